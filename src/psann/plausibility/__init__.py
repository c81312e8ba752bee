"""What data look like when they are not what they are taken for; arrays only."""
