"""What the first page says of a dictionary: one finding for each question, in a sentence."""
