"""Automata page: its views and charts."""
