"""Train dictionaries with sae-lens' own trainer, on activations of the models that run here."""
