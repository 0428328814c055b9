"""Views of the Activations page."""
