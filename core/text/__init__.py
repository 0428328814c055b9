"""A dictionary on the user's own text, and differences between two texts."""
