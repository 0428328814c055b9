"""A page with two charts of features, one of them with a click alone; n in the URL, `log` for a logarithmic axis.

`streamlit run tests/house/cloud_app.py`.
"""

import sys
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ui.shared import charts
from ui.shared.figure import altair, figure
from ui.shared.selection import selection_of


def table(n: int) -> pd.DataFrame:
    """Points along a bow, one of them alone; a third column groups them."""
    at = np.arange(n)
    x, y = np.linspace(-1, 1, n), 10 ** np.linspace(-2, 3, n)
    x[7], y[7] = 0.9, 0.02
    kind = np.where(at % 3, "many <b>&", "few")
    return pd.DataFrame(
        {"feature": at, "skewness": x, "kurtosis": y, "kind": kind, "token": [f" t{i % 50}" for i in at]}
    )


def chart(shown: pd.DataFrame, *, log: bool, brush: bool = True) -> alt.LayerChart:
    """Points, two lines, a text and a ring."""
    x, y = alt.X("skewness:Q").title("Skewness").scale(zero=False), alt.Y("kurtosis:Q").title("Kurtosis")
    y = y.scale(type="log") if log else y
    colour = alt.Color("kind:N").title("Kind").scale(domain=["few", "many <b>&"], range=[charts.ACCENT, "#4c78a8"])
    tips = [alt.Tooltip("feature:Q", title="Feature"), "kind:N", alt.Tooltip("kurtosis:Q", title="Kurtosis"), "token:N"]
    points = alt.Chart(shown).mark_circle().encode(x, y, colour, tooltip=tips)
    points = points.add_params(alt.selection_point(name="point", fields=["feature"]))
    if brush:
        points = points.add_params(alt.selection_interval(name="brush", encodings=["x", "y"]))
    rules = [
        alt.Chart(pd.DataFrame({"skewness": [-0.5]})).mark_rule().encode(alt.X("skewness:Q")),
        alt.Chart(pd.DataFrame({"kurtosis": [20.0]})).mark_rule().encode(alt.Y("kurtosis:Q")),
    ]
    few = shown.iloc[[7]]
    text = alt.Chart(few.assign(text="alone <b>")).mark_text(dy=-9).encode(x, y, alt.Text("text:N"))
    return alt.layer(points, *rules, text, alt.Chart(few).mark_point(size=160).encode(x, y)).properties(height=380)


def told() -> None:
    st.session_state["told"] = selection_of("first")


def main() -> None:
    st.set_page_config(layout="wide")
    n = int(st.query_params.get("n", 6000))
    log = "log" in st.query_params
    shown = table(n)
    said = {"explains": ["skewness"], "note": "a note", "provenance": {}}
    draw = altair(chart(shown, log=log), "first", on_select=told, selection=["point", "brush"])
    event = figure("First", draw, shown, name="first", finding="A finding.", **said)
    st.code(f"told {st.session_state.get('told')}", language=None)
    st.code(f"event {dict(event['selection'])}", language=None)
    figure("Second", altair(chart(shown, log=log, brush=False), "second"), shown, name="second", **said)


if __name__ == "__main__":
    main()
