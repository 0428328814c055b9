"""Activations on text: the token pass, its store, and the statistics taken from them."""
