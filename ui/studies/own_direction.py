"""A direction of your own in place of a feature, as a dictionary with one feature."""

import streamlit as st

from core.corpus.samples import TextSample
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.feature.own_direction import DirectionError, OwnDirection, as_dictionary, projections, suggested_threshold
from core.models.language_model import LanguageModel
from core.work.calls import silent_call
from ui.studies import compute, corpus, opened

OWN, THRESHOLD = "_own_direction", "fe_threshold"
"""The session keys of the direction and its threshold."""


def standing_in(among: Dictionary) -> Dictionary | None:
    """Return the direction that stands in for a feature, as a dictionary with one feature, or None.

    Raises DirectionError if it does not fit the picked dictionary, and StillRunning while it runs on text.
    """
    direction: OwnDirection | None = st.session_state.get(OWN)
    if direction is None:
        return None
    check_width(direction, among)
    threshold = st.session_state.get(THRESHOLD)
    if threshold is None:
        model = opened.model_of(among)
        threshold = suggested(direction, among, model, corpus.sample(among, model))
    threshold = float(threshold)
    key = f"own direction {direction.sha256} {threshold!r} {among.sha256} {direction.title}"
    return compute.loaded().get(key, lambda: as_dictionary(direction, among, threshold=threshold))


def check_width(direction: OwnDirection, among: Dictionary) -> None:
    """Raise DirectionError unless the direction is as wide as what the dictionary reads."""
    if len(direction.unit) != among.d_in:
        raise DirectionError(
            f"The direction {direction.title[:100]!r} has {len(direction.unit):,} numbers, expected {among.d_in:,} for "
            "this dictionary. Go back to its features, or pick a dictionary of the hook that the direction comes from."
        )


def suggested(direction: OwnDirection, among: Dictionary, model: LanguageModel, sample: TextSample) -> float:
    """Return the threshold that about 1 % of the tokens of a few rows exceed."""
    hook = among.config.hook_name
    key = f"projections {direction.sha256} {model.sha256} {hook} {rows_sha256(sample.rows)}"
    values = compute.transient(
        key, "Trying the direction on text", silent_call(projections, direction, model, hook, sample.rows)
    )
    return suggested_threshold(values)


def stands_in() -> bool:
    """Whether a direction stands in."""
    return OWN in st.session_state
