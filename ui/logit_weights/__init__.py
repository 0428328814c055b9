"""Views of the Logit weights page."""
