"""The script that Streamlit runs, its router and what it warms up; the only folder on Streamlit's import path."""
