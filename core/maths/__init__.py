"""Mathematics that knows no dictionary: exact sums, assignment, significance, random directions."""
