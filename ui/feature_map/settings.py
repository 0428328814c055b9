"""The settings of a feature map, in the sidebar and in the URL. Nothing is computed here."""

import streamlit as st

from core.feature_map.layout import LayoutSettings
from ui.sidebar import pickers
from ui.studies import opened

METHODS = {"UMAP": "umap", "t-SNE": "tsne", "PCA": "pca"}


def pick() -> tuple[LayoutSettings, list[str]]:
    """Return the settings and the ids of all dictionaries on the map, the picked one first."""
    with st.sidebar.expander("How the map is made", icon=":material/tune:", expanded=True):
        method = METHODS[
            st.segmented_control(
                "Method",
                list(METHODS),
                default="UMAP",
                required=True,
                key="method",
                bind="query-params",
                help="UMAP and t-SNE keep neighbours together; distances between groups mean nothing. PCA needs no "
                "waiting and shows the two directions in which features differ most.",
            )
        ]
        side = pickers.side()
        chosen = _numbers(method)
        picked = opened.dictionary().id
        others = st.multiselect(
            "Also on this map",
            [id for id in opened.dictionary_ids() if id != picked],
            key="with",
            format_func=opened.in_pickers(),
            accept_new_options=True,
            bind="query-params",
            placeholder="Choose dictionaries",
            help="Dictionaries of the same model and space. The map shows them together with the picked one.",
        )
    return LayoutSettings(method=method, side=side, **chosen), [picked, *(id for id in others if id != picked)]


def _numbers(method: str) -> dict[str, int | float]:
    """Draw the settings of a method."""
    usual = LayoutSettings()
    numbers: dict[str, int | float] = {}
    if method == "umap":
        numbers["n_neighbors"] = st.slider(
            "Neighbours",
            2,
            101,
            usual.n_neighbors,
            key="n_neighbors",
            bind="query-params",
            help="How many features count as near, the feature itself included. A large number shows large structure, "
            "a small number shows small structure.",
        )
        numbers["min_dist"] = st.slider(
            "Least distance",
            0.0,
            1.0,
            usual.min_dist,
            step=0.01,
            key="min_dist",
            bind="query-params",
            help="How close points may lie to each other. Small values make tight groups.",
        )
    if method == "tsne":
        numbers["perplexity"] = st.slider(
            "Perplexity",
            1.0,
            33.0,
            usual.perplexity,
            step=1.0,
            key="perplexity",
            bind="query-params",
            help="About how many features count as near.",
        )
    if method != "pca":
        numbers["seed"] = st.number_input(
            "Seed",
            0,
            2**32 - 1,
            usual.seed,
            key="seed",
            bind="query-params",
            help="The same seed gives the same map on every x86 processor; Apple's and other ARM processors round "
            "otherwise and may give another. If something changes with the seed, it is no property of the "
            "dictionary.",
        )
    return numbers
