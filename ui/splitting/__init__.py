"""Views of the Splitting page."""
