"""One feature: examples, profile, correlated features and neurons, notes, directions of one's own."""
