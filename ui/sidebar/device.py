"""Where large analyses are computed: the setting in the sidebar, on machines that have more than a CPU."""

import streamlit as st

from core.devices import device as devices
from ui.studies import compute

KEY = "device"


def pick() -> None:
    """Pick the device; the URL holds it. Draws nothing where there is nothing to choose."""
    if not devices.may_have_more():
        return
    labels = {"auto": "The first GPU, if there is one"} | {known.setting: known.label for known in devices.known()}
    usual = compute.workspace().device.strip().lower()
    for asked in (usual, st.query_params.get(KEY, usual)):
        labels.setdefault(asked, asked[:50])  # not there, or not listed yet, as torch is still being imported
    st.selectbox(
        "Compute on",
        list(labels),
        index=list(labels).index(usual),
        key=KEY,
        bind="query-params",
        format_func=labels.__getitem__,
        help="The processor for large analyses. Small ones stay on the CPU, where they are as fast. Neighbours and "
        "their cosines are the same on every device. Other numbers agree within the rounding of float32 products, "
        "and their figures and files name the device.",
    )
