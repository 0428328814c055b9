"""Views of the Positions page."""
