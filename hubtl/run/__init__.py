"""One run, from a recipe to a delivered model."""
