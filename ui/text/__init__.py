"""Views of the page on your own text."""
