"""Signals of a sensor: a list of numbers, always as many."""
