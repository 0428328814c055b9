"""Sets of tokens, by rules, by lists and as typed."""
