"""What features cause: edits of activations, the runs that show their effects, and the controls beside them."""
