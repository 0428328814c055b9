"""Which features two dictionaries share, by weights and by activations, compared with chance."""
