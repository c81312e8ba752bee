"""A user's own table of prices: read, aligned, split."""
