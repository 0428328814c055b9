"""A text of one's own through a dictionary, and the difference between two."""
