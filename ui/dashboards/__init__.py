"""Views of the Dashboards page."""
