"""Files and foreign text: read within bounds, written whole, shown without control characters."""
