"""Picks the other dictionaries, and what counts as returning."""

from collections.abc import Sequence

import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide
from core.matching.pairs import THRESHOLD
from core.stability.returning import Rule
from ui.shared.escape import plain
from ui.splitting.matrix import those_that_open
from ui.studies import opened, series_results, stability
from ui.studies.stability import Choice

SIDES: dict[str, DictionarySide] = {"Decoder": "decoder", "Encoder": "encoder"}
RULES: dict[str, Rule] = {"Nearest": "nearest", "Each other's nearest": "mutual"}


def others(dictionary: Dictionary) -> list[Dictionary]:
    """Pick the others and the settings, and keep them for all pages. Return the others that are there."""
    ids = pick_ids(dictionary)
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom", gap="medium")
    threshold = left.slider(
        catalogue.statistic("match_threshold").title,
        0.0,
        1.0,
        THRESHOLD,
        0.01,
        key="st_threshold",
        bind="query-params",
        help="A feature returns if its match has a cosine above this. Where random features reach it too often, the "
        "threshold by chance counts instead: the cosine that one in a hundred reaches.",
    )
    rule = middle.segmented_control(
        "Match",
        list(RULES),
        default="Nearest",
        required=True,
        key="st_rule",
        bind="query-params",
        help="Nearest: the most similar feature of the other dictionary, which several features may share. Each "
        "other's nearest: none is more similar to that feature either.",
    )
    side = right.segmented_control(
        "Directions", list(SIDES), default="Decoder", required=True, key="st_side", bind="query-params"
    )
    found = {other.id: other for other in those_that_open(ids) if other.id != dictionary.id}
    needed = {id: [(dictionary, other)] for id, other in found.items()}
    there = series_results.those_there(needed, SIDES[side], what="other dictionaries")
    stability.choose(Choice(tuple(there), threshold, RULES[rule], SIDES[side]))
    return [found[id] for id in there]


def pick_ids(dictionary: Dictionary) -> list[str]:
    """Pick other dictionaries one by one, all of a training run, or all that fit a pattern."""
    # Others of another dictionary are dropped.
    usual = stability.usual_others(dictionary)
    if st.session_state.setdefault("_st_for", dictionary.id) != dictionary.id:
        st.session_state["_st_for"] = dictionary.id
        st.session_state["st_others"] = usual
    left, right = st.columns([3, 1], vertical_alignment="bottom", gap="medium")
    ids = left.multiselect(
        "Other dictionaries",
        [id for id in dict.fromkeys([*usual, *opened.dictionary_ids()]) if id != dictionary.id],
        usual,
        key="st_others",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        max_selections=stability.MOST,
        placeholder="Choose one or more, or type a path",
        help="The page looks for the features of the picked dictionary in these. The first choice is dictionaries at "
        "its hook that differ in one factor: seed, data, type, k or width.",
    )
    pattern = right.text_input(
        "All that fit",
        key="st_glob",
        bind="query-params",
        max_chars=200,
        placeholder="demo/layer2-*",
        help="A pattern with * and ? for the ids of listed dictionaries. Those that fit join the ones chosen.",
    )
    return within_limit([*ids, *ids_of_runs(dictionary), *said_fitting(pattern, dictionary)])


def ids_of_runs(dictionary: Dictionary) -> list[str]:
    """Pick training runs, if there are any, and return the ids of all their seeds, without the picked dictionary."""
    runs = stability.trained_runs()
    if not runs:
        return []
    chosen = st.multiselect(
        "Training runs",
        list(runs),
        key="st_runs",
        bind="query-params",
        placeholder="Choose a run for all its seeds",
        help="All dictionaries that these runs of the page Training made join the ones chosen.",
    )
    return [id for run in chosen for id in runs[run] if id != dictionary.id]


def said_fitting(pattern: str, dictionary: Dictionary) -> list[str]:
    """Return the ids that fit a pattern, without the picked one; say so if there are none."""
    found = [id for id in stability.fitting(pattern) if id != dictionary.id]
    if pattern.strip() and not found:
        st.warning(plain(f"No listed dictionary but the picked one fits {pattern.strip()}."), icon=":material/search:")
    return found


def within_limit(ids: Sequence[str]) -> list[str]:
    """Return each id once, and no more than a page compares; say how many are left out."""
    unique = list(dict.fromkeys(ids))
    if len(unique) > stability.MOST:
        st.warning(
            plain(f"{len(unique)} dictionaries are chosen, and the first {stability.MOST} are compared."),
            icon=":material/warning:",
        )
    return unique[: stability.MOST]
