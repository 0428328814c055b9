"""Labels of features from Neuronpedia that were downloaded before."""

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.neuronpedia.labels import Labels, neuronpedia_source
from ui.studies import compute

TYPED = "_np_typed"
"""The session key of ids that a person typed, by dictionary."""


def downloaded_labels(dictionary: Dictionary) -> Labels | None:
    """Return the labels of a dictionary's features if they were downloaded before. Sends no request."""
    source = neuronpedia_source(dictionary) or st.session_state.get(TYPED, {}).get(dictionary.id)
    return compute.stored(Labels, Labels.key(source), "Neuronpedia's labels") if source is not None else None
