"""Read recipes, which determine a run, from files, mappings and flags."""
