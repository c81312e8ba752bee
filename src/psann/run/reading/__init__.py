"""What one reads of runs at home; knows neither torch nor execution."""
