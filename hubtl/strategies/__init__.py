"""Implement the methods: one file each, or one file for a family."""
