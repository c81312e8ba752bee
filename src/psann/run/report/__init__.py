"""What a person shows of runs: one HTML page, or markdown with pictures."""
