"""Angles between the directions of features: neighbours, cosines, alignment with the basis."""
