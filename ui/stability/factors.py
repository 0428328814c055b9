"""The tab Factors: what one change of seed, data, type, k, width or layer costs."""

from collections.abc import Sequence

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from ui.shared.figure import altair, figure, listing
from ui.splitting.charts import factors as factor_bars
from ui.splitting.matrix import names
from ui.studies import stability


def factors(others: Sequence[Dictionary]) -> None:
    """Draw bars by factor, if there are pairs that differ in one label alone (raises LoupeError)."""
    study = stability.study(others=others)
    table = stability.factor_bars(study, names([study.dictionary, *study.others]))
    if table.empty:
        st.info(
            "No two of these dictionaries have labels that differ in exactly one of seed, data, type, k, width and "
            "layer. The demo has such dictionaries.",
            icon=":material/label_off:",
        )
        return

    def draw() -> None:
        altair(factor_bars(table, "returned_share", "random_share"), "st-factors")()
        with st.expander("The pairs"):
            listing(table, "st-factor-pairs")()

    figure(
        "How many features return after one change",
        draw,
        table,
        explains=["match_factor", "returned_share", "random_share", "return_threshold"],
        note=study.note("pairs that differ in one label, both ways · bars: their mean · ticks: by chance"),
        name="returning-by-factor",
        provenance=study.provenance,
    )
