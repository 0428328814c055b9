"""Views of the page on one feature."""
