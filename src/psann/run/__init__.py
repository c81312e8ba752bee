"""From a config file to a run directory that can be believed."""
