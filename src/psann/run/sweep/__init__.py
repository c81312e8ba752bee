"""Many runs: a search over keys of one configuration, on any number of machines."""
