"""Run one recipe, from its data to a delivered model."""
