"""Open rows and labels, match class names, cache features, stream batches."""
