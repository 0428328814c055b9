"""Proxies: a rule for what a feature might mean, and how well its activations agree with it."""
