"""What a temporal dictionary predicts from the tokens before, and what is novel, on the sample of the health badge."""

import pandas as pd
import streamlit as st

from core import tables
from core.activations.temporal import TemporalHalves, temporal_halves
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.work.calls import call
from ui.overview import charts, health
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.studies import compute, opened

MOST_ROWS = 500


def halves(dictionary: Dictionary) -> None:
    """Draw both halves by position, and by feature (raises LoupeError, StillRunning)."""
    model = opened.model_of(dictionary)
    compute.expect_model_run()
    rows = health.sample(dictionary, model).rows
    work = call(temporal_halves, dictionary, model, rows)
    key = TemporalHalves.key(dictionary.sha256, model.sha256, rows_sha256(rows))
    found = compute.result(TemporalHalves, key, f"Halves of {dictionary.title}", work)
    provenance = tables.provenance(dictionary=dictionary, method="predicted and novel halves", settings={})
    note = f"{rows.size:,} tokens of the Python standard library"
    st.caption(
        plain(
            f"The predicted half explains {found.fve_predicted:.3f} of the variance by itself, both halves together "
            f"{found.fve_both:.3f}."
        )
    )
    by_position(found.position_table(), note, provenance)
    table = found.feature_table().sort_values("predicted_code", ascending=False, kind="stable")
    figure(
        "Predicted and novel codes",
        listing(table.head(MOST_ROWS), "halves-features", height=320, picks="feature"),
        table,
        explains=["predicted_code", "novel_code"],
        note=f"{note} · the {min(MOST_ROWS, len(table)):,} with the largest predicted codes",
        name="halves-features",
        provenance=provenance,
    )


def by_position(table: pd.DataFrame, note: str, provenance: dict) -> None:
    """Draw lengths and variance explained of the halves along the row."""
    pairs = (
        ("Length of both halves by position", {"predicted_norm": "predicted", "novel_norm": "novel"}, "Length"),
        (
            "Variance explained by position",
            {"fve_predicted": "predicted alone", "fve_both": "both"},
            "Variance explained",
        ),
    )
    for place, (title, names, y_title) in zip(st.columns(2, gap="medium"), pairs, strict=True):
        first = next(iter(names))
        with place:
            figure(
                title,
                altair(charts.halves(table, names, y_title=y_title), f"halves-{first}"),
                table[["position", *names]],
                explains=list(names),
                note=note,
                name=f"halves-{first.replace('_', '-')}",
                provenance=provenance,
            )
