"""Views of the Neuronpedia page."""
