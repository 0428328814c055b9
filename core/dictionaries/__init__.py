"""Dictionaries, this project's word for sparse autoencoders: weights, configuration, formats, sources."""
