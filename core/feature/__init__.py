"""One feature: examples, profile, correlated features and neurons, notes, and the user's own directions."""
