"""Views of the first page."""
