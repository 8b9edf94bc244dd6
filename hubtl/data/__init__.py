"""Rows and their labels, from whatever a user typed: opened, matched by class names, cached, and streamed in batches."""
