"""Language models: opening and running them, their names and layouts, tokens as text."""
