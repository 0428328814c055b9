"""Views of the Geometry page."""
