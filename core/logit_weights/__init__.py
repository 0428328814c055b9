"""What a feature adds to the logit of every token."""
