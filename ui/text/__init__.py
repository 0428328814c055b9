"""Views of the page on a text of one's own."""
