"""Views of the Feature map page."""
