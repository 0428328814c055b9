"""The page Training: a form for a new run, and the curves of runs."""
