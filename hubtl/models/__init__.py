"""Load saved models, predict with them, and explain predictions."""
