"""What a dictionary is and whether it is healthy: loss and variance recovered, suspicions, all features in a table."""
