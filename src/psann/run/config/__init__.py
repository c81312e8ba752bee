"""What a run is told: read, translated, checked, resolved, written."""
