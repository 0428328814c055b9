"""Where large analyses are computed: the setting in the sidebar, on machines that have more than a CPU."""

from contextlib import suppress

import streamlit as st

from core.devices import device as devices
from core.errors import LoupeError
from ui.shared.errors import DEVICE
from ui.shared.escape import plain
from ui.studies import compute


def pick() -> None:
    """Pick the device; the URL holds it. Draws nothing where there is nothing to choose."""
    if not devices.may_have_more():
        return
    usual = compute.workspace().device.strip().lower()
    # What is asked for may not be there, or not be listed yet, as torch is still being imported.
    asked = [name[:50] for name in (usual, st.query_params.get(DEVICE, usual))]
    options = dict.fromkeys(["auto", *(found.setting for found in devices.known()), *asked])
    st.selectbox(
        "Compute on",
        list(options),
        index=list(options).index(usual[:50]),
        key=DEVICE,
        bind="query-params",
        help="The processor for large analyses: `auto` is the first GPU, if there is one. Small analyses stay on the "
        "CPU, where they are as fast. Neighbours and their cosines are the same on every device. Other numbers agree "
        "within the rounding of float32 products, and their figures and files name the device.",
    )
    with suppress(LoupeError):  # the page says what is wrong with it
        st.caption(plain(compute.device().label))
