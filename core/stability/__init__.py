"""Stability: which features return in other dictionaries, and how features live through the layers of a model."""
