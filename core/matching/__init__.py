"""Find the features that two dictionaries share, by weights and by activations, and compare with chance."""
