"""Open rows and their labels, match class names, cache features, and stream batches."""
