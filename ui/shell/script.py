"""What Streamlit runs for every session and every interaction."""

from ui.shell.router import main

main()
