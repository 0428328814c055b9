"""Views of the Overview page."""
