"""Read files within bounds, write them atomically, show foreign text without control characters."""
