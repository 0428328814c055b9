"""Where results of core meet Streamlit's caches: one file for each subject, and the engine `compute`."""
