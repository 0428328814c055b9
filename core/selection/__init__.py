"""Named sets of features, that travel from page to page."""
