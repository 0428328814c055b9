"""Views of the Matching page."""
