"""Automata: which feature fires on the next token, compared with the same tokens in another order."""
