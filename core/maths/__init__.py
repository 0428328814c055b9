"""Mathematics that is independent of dictionaries: exact sums, assignment, significance, random directions."""
