"""SAE Loupe: `streamlit run app.py -- [--sae FOLDER] [--root FOLDER] [--model FOLDER]`."""

from ui.router import main

main()
