"""Between Streamlit and core: routing, cached computing, charts, messages."""
