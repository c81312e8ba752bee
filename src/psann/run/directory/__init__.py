"""One run directory: its names, its only writer, the formats of its files."""
