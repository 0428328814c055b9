"""SAE Loupe: `streamlit run app.py -- [--sae FOLDER] [--root FOLDER] [--model FOLDER] [--cache FOLDER]`."""

import streamlit as st

from ui.shell.warm_up import warm_up

# The script that draws lies in ui/shell/: beside a folder named pages/, Streamlit would take every file in
# it for a page by itself until the first session has run, and open a first deep link without the router.
app = st.App("ui/shell/script.py", lifespan=warm_up)
