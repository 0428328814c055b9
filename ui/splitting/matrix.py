"""The tabs of the splitting page on many dictionaries: matrix of ratios, factors, overlap of three."""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd
import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space
from core.matching.matrix import factor_table, matrix_table, without_implied_k
from core.matching.overlap import overlap_table
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.splitting import charts
from ui.studies import opened, series_results, splitting

MOST = 24
SIDES: dict[str, DictionarySide] = {"Decoder": "decoder", "Encoder": "encoder"}


def many(threshold: float) -> None:
    """Draw the matrix of matching ratios of any set, and bars for pairs that differ in one factor."""
    picked = opened.dictionary()
    left, right = st.columns([4, 1], vertical_alignment="bottom", gap="medium")
    ids = left.multiselect(
        "Dictionaries",
        opened.dictionary_ids(),
        splitting.usual_set(picked),
        key="split_many",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        max_selections=MOST,
        placeholder="Choose two or more, or type a path",
        help="The app matches all pairs. The first choice is dictionaries at the hook of the one picked in the "
        "sidebar. Layers of a residual stream can be compared, because they share one space.",
    )
    side = SIDES[
        right.segmented_control(
            "Directions", list(SIDES), default="Decoder", required=True, key="split_side", bind="query-params"
        )
    ]
    dictionaries = those_that_open(ids)
    if len(dictionaries) < 2:
        st.info("Choose two or more dictionaries.", icon=":material/grid_on:")
        return
    left_out = missing_pairs(dictionaries, side)
    if left_out and len(left_out) == n_pairs(dictionaries):
        return
    matrix = splitting.matrix(dictionaries, side, left_out)
    if matrix.refused:
        st.warning(
            plain(f"{len(matrix.refused)} pairs have no cell, because they share no space. {matrix.refused[0]}"),
            icon=":material/warning:",
        )
    note = f"{side} cosine over {threshold:.2f} with the nearest feature; several features may share it"
    diagonal = "the control, the best other feature of the same dictionary"
    cells = f"{note} · diagonal: {'not computed yet, like other empty cells' if left_out else diagonal}"
    ratios(dictionaries, matrix_table(matrix, names(dictionaries), threshold=threshold), side, cells)
    labels = without_implied_k([dictionary.origin.labels for dictionary in dictionaries])
    by_factor(dictionaries, factor_table(matrix, names(dictionaries), labels, threshold=threshold), side, note)


def missing_pairs(dictionaries: Sequence[Dictionary], side: DictionarySide) -> list[tuple[int, int]]:
    """Say which pairs are missing where these take long, and return their places with those of all controls."""
    called = names(dictionaries)
    pairs = {f"{called[i]} and {called[j]}": (i, j) for i, j in combinations(range(len(called)), 2)}
    needed = {name: [(dictionaries[i], dictionaries[j])] for name, (i, j) in pairs.items()}
    there = series_results.those_there(needed, side, what="pairs")
    missing = [place for name, place in pairs.items() if name not in there]
    return [*missing, *((i, i) for i in range(len(called)))] if missing else []


def n_pairs(dictionaries: Sequence[Dictionary]) -> int:
    """Count the cells of a matrix on one side of the diagonal and on it."""
    return len(dictionaries) * (len(dictionaries) + 1) // 2


def those_that_open(ids: Sequence[str]) -> list[Dictionary]:
    """Open dictionaries. An error names each one that cannot be opened, and it is left out."""
    dictionaries = []
    for id in ids:
        with errors.shown():
            dictionaries.append(opened.dictionary(id))
    return dictionaries


def names(dictionaries: Sequence[Dictionary]) -> list[str]:
    """Return titles, with the id if several share a title."""
    titles = [dictionary.title for dictionary in dictionaries]
    return [d.title if titles.count(d.title) == 1 else f"{d.title} ({d.id})" for d in dictionaries]


def ratios(dictionaries: Sequence[Dictionary], table: pd.DataFrame, side: str, note: str) -> None:
    figure(
        "How much of each dictionary is found in each other",
        altair(charts.ratio_matrix(table), "split-matrix"),
        table,
        explains=["matching_ratio", "random_ratio", "mmcs"],
        note=note,
        name=f"ratio-matrix-{side}",
        provenance=provenance(dictionaries, {"side": side}),
    )


def by_factor(dictionaries: Sequence[Dictionary], table: pd.DataFrame, side: str, note: str) -> None:
    """Draw bars by factor, if there are pairs that differ in one label alone."""
    if table.empty:
        st.info(
            "No two of these dictionaries have labels that differ in exactly one of seed, data, type, k, width and "
            "layer. The demo has such dictionaries.",
            icon=":material/label_off:",
        )
        return
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            "How one change lowers the matching ratio",
            altair(charts.factors(table), "split-factors"),
            table,
            explains=["match_factor", "matching_ratio", "random_ratio"],
            note=f"{note} · pairs that differ in one label, both ways · bars: their mean · ticks: random directions",
            name=f"ratio-factors-{side}",
            provenance=provenance(dictionaries, {"side": side}),
        )
    with right:
        figure(
            "The pairs",
            listing(table, "split-factor-pairs"),
            table,
            explains=["factor_change", "matching_ratio", "mmcs"],
            note=f"{len(table):,} rows, two for each pair",
            name=f"ratio-pairs-{side}",
            provenance=provenance(dictionaries, {"side": side}),
        )


def three(threshold: float) -> None:
    """Draw what three dictionaries share, by mutual nearest neighbours."""
    picked = opened.dictionary()
    ids = st.multiselect(
        "Three dictionaries, A, B and C",
        opened.dictionary_ids(),
        splitting.usual_set(picked)[:3],
        key="split_three",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        max_selections=3,
        help="Two dictionaries share a feature if the two features are each other's nearest.",
    )
    dictionaries = those_that_open(ids)
    if len(dictionaries) != 3:
        st.info(f"Choose three dictionaries; {len(dictionaries)} chosen so far.", icon=":material/join_inner:")
        return
    pairs = [(0, 1), (0, 2), (1, 2)]
    for i, j in pairs:
        check_same_space(dictionaries[i], dictionaries[j], "decoder")
    betweens = [splitting.between(dictionaries[i], dictionaries[j]) for i, j in pairs]
    table = overlap_table(*betweens, names(dictionaries), threshold=threshold)
    letters = [f"{letter}: {name}" for letter, name in zip("ABC", names(dictionaries), strict=True)]

    def draw() -> None:
        altair(charts.overlap(table, letters), "split-overlap")()
        listing(table, "split-overlap-table")()

    figure(
        "What three dictionaries share",
        draw,
        table,
        explains=["overlap_region", "overlap_share"],
        note=f"mutual nearest neighbours by decoder cosine over {threshold:.2f} · open: the feature has partners in "
        "both others, but they are not partners of each other",
        name="overlap-of-three",
        provenance=provenance(dictionaries, {"threshold": threshold}),
    )


def provenance(dictionaries: Sequence[Dictionary], settings: dict) -> dict:
    return tables.provenance(dictionary=dictionaries, method="nearest features between dictionaries", settings=settings)
