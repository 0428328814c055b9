"""Where what core computes meets Streamlit's caches: one file a subject, `compute` the engine."""
