"""Which features follow the position of a token."""
