"""Views of the Enrichment page."""
