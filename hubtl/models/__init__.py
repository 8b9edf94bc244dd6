"""Saved models: loading, predicting, explaining."""
