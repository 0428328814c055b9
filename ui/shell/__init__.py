"""The script that Streamlit runs, the router, and the warm-up. Streamlit puts only this folder on its import path."""
