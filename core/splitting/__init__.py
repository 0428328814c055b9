"""Splitting: features of a narrow dictionary and their descendants in wider ones."""
