"""Whether the logit weights of a feature gather a set of tokens at one end."""
