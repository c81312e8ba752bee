"""The arrays of a run: read, checked, frozen."""
