"""The tab Returning features: how many features return how often, in which dictionaries, and which they are."""

from collections.abc import Sequence

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from ui.shared.figure import altair, figure, listing
from ui.splitting.matrix import names
from ui.stability import charts
from ui.studies import stability
from ui.studies.stability import StabilityStudy

MOST_ROWS = 2_000


def returning(others: Sequence[Dictionary]) -> None:
    """Draw the histogram, the others, and the table of features (raises LoupeError)."""
    study = stability.study(others=others)
    left, right = st.columns(2, gap="medium")
    with left:
        histogram(study)
    with right:
        by_other(study)
    features(study)


def histogram(study: StabilityStudy) -> None:
    """Draw how many features return in how many of the others, with chance beside."""
    table = study.found.histogram()
    always, never = (int(table["returning_features"].iloc[place]) for place in (-1, 0))
    figure(
        "In how many other dictionaries features return",
        altair(charts.histogram(table), "st-histogram"),
        table,
        explains=["return_count", "returning_features", "random_features", "return_threshold"],
        note=study.note("ticks: expected by chance, the others independent of each other"),
        name="return-counts",
        provenance=study.provenance,
        finding=f"{always:,} features return in all of them and {never:,} in none.",
    )


def by_other(study: StabilityStudy) -> None:
    """Draw which share of the features returns in each of the others."""
    table = study.found.by_other(names(study.others))

    def draw() -> None:
        altair(charts.by_other(table), "st-by-other")()
        with st.expander("Numbers"):
            listing(table, "st-by-other-table")()

    figure(
        "Which dictionaries hold the features",
        draw,
        table,
        explains=["returned_share", "returned_low", "random_share", "chance_threshold"],
        note=study.note("lines: 95 % interval · ticks: by chance"),
        name="returned-by-dictionary",
        provenance=study.provenance,
    )


def features(study: StabilityStudy) -> None:
    """List features, those that return most often first. A click picks one."""
    table = study.table
    order = ["return_share", "mean_return_cosine"]
    shown = table.dropna(subset=order).sort_values(order, ascending=False, kind="stable").head(MOST_ROWS)
    figure(
        "Features, those that return most often first",
        listing(shown, "st-features", height=420, picks="feature"),
        table,
        explains=["return_share", "return_low", "return_chance", "mean_return_cosine"],
        note=study.note(f"the first {len(shown):,} of {len(table):,} features", "click a row to pick it"),
        name="returning-features",
        provenance=study.provenance,
        whose=study.whose,
    )
