"""Training: how do I train a dictionary of my own here?"""

import streamlit as st

from ui.shared import errors, tabs
from ui.studies import training
from ui.training import new_run, watch

ICON = ":material/model_training:"
GROUP = "Make"
ORDER = 15

st.title("Training")
st.caption("Train dictionaries with sae-lens' own trainer, several seeds at once, and watch their curves.")

with errors.shown(stop=True):
    training.check_allowed()

watch.take_up()
TABS = {"New run": new_run.new_run, "Runs": watch.watch}
tabs.draw(TABS)
