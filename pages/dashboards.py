"""Dashboards: what have others computed for this feature?"""

import streamlit as st

from ui.dashboards import page
from ui.shared import errors

ICON = ":material/dashboard:"
GROUP = "Other tools"
ORDER = 22

st.title("Dashboards of other tools")
st.caption(
    "Shows the files that SAEDashboard, Neuronpedia, OpenAI's viewer or Delphi wrote to a folder. The page needs "
    "neither the model nor the dictionary. The numbers are those of the files."
)

left, right = st.columns([3, 1], gap="medium")
with left, errors.shown(stop=True):
    dashboards = page.choose()
if dashboards is not None:
    with right, errors.shown(stop=True):
        feature = page.choose_feature(dashboards)
    st.caption(f"{len(dashboards.features):,} features · {dashboards.title}")
    with errors.shown():
        page.show(dashboards, feature)
