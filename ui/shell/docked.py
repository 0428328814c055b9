"""The picked feature in one line at the foot of each page: its number, name, activations, and links to its pages."""

from contextlib import suppress
from html import escape

import numpy as np
import streamlit as st
from jaxtyping import Int

from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from ui.shared import links, naming, picked_feature
from ui.shared.errors import NotReady
from ui.shared.escape import plain
from ui.studies import compute, opened, token_pass

LINKS = {
    "feature": {},
    "logit_weights": {"tab": "Weights of one feature"},
    "positions": {"tab": "Feature by position"},
    "feature_map": {},
    "interventions": {},
}
"""The pages that show one feature, and the tab that does."""
_WITHOUT = ("home", "feature", "dashboards")
"""Pages that show no picked feature, or nothing else."""
_HEIGHT, _STEP = 18, 4


def draw(page: str) -> None:
    """Draw the line on a page, given by the name of its file, once a person has picked a feature."""
    if page in _WITHOUT or not picked_feature.is_picked():
        return
    with suppress(LoupeError, NotReady):
        dictionary, feature = opened.dictionary(), picked_feature.picked_feature()
        name = naming.names_of(dictionary.sha256).of(feature)
        with st.container(key="docked", horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**Feature {feature}** {plain(name)}", width="content")
            with compute.only_stored():
                _activations(dictionary, feature)
            for other, query in LINKS.items():
                if other != page:
                    links.to(st, other, {picked_feature.KEY: str(feature), **query})


def _activations(dictionary: Dictionary, feature: int) -> None:
    """Draw the histogram of the feature's activations over the latest token pass, if there is one."""
    if (statistics := token_pass.latest(dictionary)) is None:
        return
    counts = statistics.histogram[:, feature].sum(axis=0)
    if counts.any():
        says = f"Activations on text, in half octaves: {counts.sum():,} of {statistics.n_tokens():,} tokens"
        st.html(sparkline(counts, says), width="content")


def sparkline(counts: Int[np.ndarray, " bin"], says: str) -> str:
    """Return a small histogram as SVG, from the first bin that is not empty to the last. `says` is its text."""
    inside = np.flatnonzero(counts)
    shown = counts[inside[0] : inside[-1] + 1] / counts.max()
    bars = "".join(
        f'<rect x="{_STEP * i}" y="{_HEIGHT * (1 - share):.1f}" width="{_STEP - 1}" height="{_HEIGHT * share:.1f}"/>'
        for i, share in enumerate(shown.tolist())
    )
    return (
        f'<svg role="img" aria-label="{escape(says)}" width="{_STEP * len(shown)}" height="{_HEIGHT}" '
        f'fill="#ea580c"><title>{escape(says)}</title>{bars}</svg>'
    )
