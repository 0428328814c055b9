"""Labels of features from Neuronpedia that were downloaded before."""

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.neuronpedia.labels import Labels, NeuronpediaSource, neuronpedia_source
from ui.studies import compute

TYPED = "_np_typed"
"""The session key of ids that a person typed, by dictionary."""


def downloaded_labels(dictionary: Dictionary) -> Labels | None:
    """Return the labels of a dictionary's features if they were downloaded before. Sends no request."""
    source = neuronpedia_source(dictionary) or st.session_state.get(TYPED, {}).get(dictionary.id)
    return _kept(source) if source is not None else None


def _kept(source: NeuronpediaSource) -> Labels | None:
    key = Labels.key(source)
    if key in compute.loaded():
        return compute.loaded().get(key, lambda: compute.store().load(Labels, key))
    labels = compute.store().load(Labels, key)
    return labels and compute.loaded().get(key, lambda: labels)
