"""Proxies: rules for what a feature may stand for, and the agreement of its activations with them."""
