"""The text that a token pass reads: streams of rows from the library, files, datasets and tables of token ids."""
