"""The features of a second dictionary that are nearest to a feature."""

from urllib.parse import urlencode

import numpy as np
import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import check_same_space, directions
from core.errors import DoesNotFitError
from core.geometry.one_direction import cosines_with, match_table
from core.matching.comparison import SIDES
from core.matching.null import random_nearest
from ui.feature import related_charts
from ui.matching import picker
from ui.matching.picker import B_KEY
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.studies import neuronpedia
from ui.studies.feature import Subject

TOP = 5


def second_dictionary(subject: Subject) -> None:
    """Pick another dictionary and draw its features that read and write nearly the same."""
    other, own = picker.second(), subject.dictionary
    try:
        check(own, other)
    except DoesNotFitError as error:  # the first choice of the picker may not fit, which is no error
        st.info(plain(str(error)), icon=":material/compare_arrows:")
        return
    sides = [np.ascontiguousarray(directions(own, side)[subject.feature]) for side in ("decoder", "encoder")]
    cosines = [cosines_with(row, other, side) for row, side in zip(sides, SIDES, strict=True)]
    table = match_table(*cosines, top=TOP)
    known = neuronpedia.downloaded_labels(other)
    if known is not None:
        table["neuronpedia_label"] = [known.of(int(feature)) or "" for feature in table["best_match"]]
    chance = chance_level(other)

    def draw() -> None:
        left, right = st.columns([2, 3], gap="medium")
        with left:
            altair(related_charts.matches(table, chance), "rel-match-chart")()
        with right:
            listing(table, "rel-match", height=240)()

    said = "" if chance is None else f" · dashed: the median nearest cosine of random directions, {chance:.3f}"
    figure(
        f"Nearest in {other.title}",
        draw,
        table,
        explains=["best_match", "decoder_cosine", "encoder_cosine", "alignment", "random_rth_cosine"],
        note=f"the {TOP} nearest of {other.d_sae:,} features by decoder and by encoder, exact cosines{said}",
        name=f"{subject.stem}-match",
        provenance=tables.provenance(
            dictionary=[own, other], method="cosines with a second dictionary", settings={"feature": subject.feature}
        ),
        whose={"best_match": other.sha256},
    )
    if not subject.own and len(table):
        link(subject, other, int(table["best_match"].iloc[0]))


def check(own: Dictionary, other: Dictionary) -> None:
    """Raise DoesNotFitError unless there is something to compare."""
    if other.sha256 == own.sha256:
        raise DoesNotFitError(f"{other.title} is the feature's own dictionary. Expected another one. Choose it above.")
    for side in SIDES:
        check_same_space(own, other, side)


def chance_level(other: Dictionary) -> float | None:
    """Return the median of the largest cosine of a random direction with this many random directions."""
    if other.config.d_out < 2:
        return None
    return float(random_nearest(other.d_sae, other.config.d_out).rth_quantile(np.array([0.5]), 1)[0])


def link(subject: Subject, other: Dictionary, match: int) -> None:
    """Link to the pair on the matching page, which also pairs all features and compares activations on text."""
    state = {"sae": subject.dictionary.id, "b": other.id, "feature": subject.feature, B_KEY: match, "tab": "Pair"}
    if not st.session_state.get("fold", True):
        state["fold"] = "false"
    st.link_button(
        plain(f"Feature {subject.feature} and its match side by side"),
        f"matching?{urlencode(state)}",
        icon=":material/compare_arrows:",
    )
