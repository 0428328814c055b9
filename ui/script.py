"""What Streamlit runs for every session and every interaction."""

from ui.router import main

main()
