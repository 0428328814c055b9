"""The tabs on the results of a sweep: every dictionary on every text, and all pairs."""

import pandas as pd
import streamlit as st

from core import catalogue
from core.matching.matrix import factor_table, matrix_table, without_implied_k
from core.matching.pairs import THRESHOLD
from core.sweeps.sweep import Sweep
from core.sweeps.tables import TOTALS, cross_table, missing_pairs, stored_matrix
from ui.shared.figure import altair, figure, listing
from ui.splitting import charts as splitting_charts
from ui.sweeps import charts
from ui.sweeps.said import note, provenance


def across_texts(sweep: Sweep) -> None:
    """Draw one number of every dictionary on every text of the sweep."""
    table = cross_table(sweep.plan, sweep.place.store)
    if table.empty:
        st.info('This plan has no token pass. Add "activations" to its analyses.', icon=":material/text_fields:")
        return
    which = st.segmented_control(
        "Number",
        list(TOTALS),
        default=TOTALS[0],
        required=True,
        key="sweep_number",
        bind="query-params",
        format_func=lambda name: catalogue.statistic(name).title,
    )
    missing = int(table[which].isna().sum())
    figure(
        "Training text by the text that is read",
        lambda: (altair(charts.cross(table, which), "sweep-cross")(), listing(table, "sweep-cross-table")()),
        table,
        explains=[which, "trained_on", "read_text"],
        note=note(sweep, f"{missing:,} of {len(table):,} passes are missing"),
        name=f"sweep-texts-{which}",
        provenance=provenance(sweep),
    )


def across_dictionaries(sweep: Sweep) -> None:
    """Draw the ratios of all stored pairs, and those that differ in one factor."""
    matrix, listed = stored_matrix(sweep.plan, sweep.place.store)
    titles = [one.title for one in listed]
    names = [one.title if titles.count(one.title) == 1 else f"{one.title} ({one.id})" for one in listed]
    threshold = st.slider(
        catalogue.statistic("match_threshold").title,
        0.0,
        1.0,
        THRESHOLD,
        0.01,
        key="sweep_threshold",
        bind="query-params",
        help=catalogue.help_text("match_threshold"),
    )
    table = matrix_table(matrix, names, threshold=threshold)
    if table["matching_ratio"].isna().all():
        st.info('No pair is there yet. Pairs are the analysis "matching".', icon=":material/grid_off:")
        return
    how = f"decoder cosine over {threshold:.2f} with the nearest feature"
    missing = missing_pairs(matrix)
    figure(
        "How much of each dictionary is found in each other",
        altair(splitting_charts.ratio_matrix(table), "sweep-matrix"),
        table,
        explains=["matching_ratio", "random_ratio", "mmcs"],
        note=note(sweep, how, f"{missing:,} pairs are missing or share no space", "no control on the diagonal"),
        name="sweep-matrix",
        provenance=provenance(sweep),
    )
    _by_factor(
        sweep, factor_table(matrix, names, without_implied_k([one.labels for one in listed]), threshold=threshold)
    )


def _by_factor(sweep: Sweep, table: pd.DataFrame) -> None:
    if table.empty:
        return
    figure(
        "How one change lowers the matching ratio",
        lambda: (
            altair(splitting_charts.factors(table), "sweep-factors")(),
            listing(table, "sweep-factor-pairs", height=300)(),
        ),
        table,
        explains=["match_factor", "matching_ratio", "random_ratio"],
        note=note(sweep, "pairs that differ in one label, both ways"),
        name="sweep-factors",
        provenance=provenance(sweep),
    )
