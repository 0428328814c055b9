"""The page Ground truth: a dictionary whose truth is known, beside what the pages say of it."""
