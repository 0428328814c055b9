"""Labels from Neuronpedia, and files in its format."""
