"""Read files within bounds, write them atomically, and show foreign text. The text is shown without control characters."""
