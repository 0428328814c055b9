"""What every page draws with: figures, charts, selection, errors, progress, text from files."""
