"""Recipes: what determines a run, from files, mappings and flags."""
