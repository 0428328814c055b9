"""SAE Loupe: `streamlit run app.py -- [PATH ...] [--page NAME] ...`; the command `sae-loupe` does the same."""

import streamlit as st

from ui.shell.warm_up import SCRIPT, warm_up

# The script that draws lies in ui/shell/. If it lay beside the folder pages/, Streamlit would take every file there for
# a page of its own until the first session has run, and a first deep link would open without the router.
app = st.App(SCRIPT, lifespan=warm_up)
