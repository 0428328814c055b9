"""Charts of the tab Related: bars around 0, and one point for each other feature."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, DIVERGING


def signed_bars(table: pd.DataFrame, unit: str, value: str, *, unit_title: str, value_title: str) -> alt.Chart:
    """Draw one bar for each row in the order of the table, with another colour left of 0; `unit` are whole numbers."""
    data = pd.DataFrame({"unit": table[unit].astype(int).astype(str), "value": table[value].astype(float)})
    return (
        alt.Chart(data)
        .mark_bar(height={"band": 0.75})
        .encode(
            alt.X("value:Q").title(value_title),
            alt.Y("unit:N").title(unit_title).sort(list(data["unit"])).axis(labelOverlap=False),
            color=alt.condition(alt.datum.value < 0, alt.value(DIVERGING[0]), alt.value(ACCENT)),
            tooltip=[alt.Tooltip("unit:N", title=unit_title), alt.Tooltip("value:Q", title=value_title, format=".4f")],
        )
        .properties(height=18 * len(data) + 56)
    )


def matches(table: pd.DataFrame, chance: float | None) -> alt.LayerChart:
    """Draw encoder against decoder cosine of the nearest features in another dictionary; dashed: by chance."""
    titles = {"best_match": "Feature", "decoder_cosine": "Decoder cosine", "encoder_cosine": "Encoder cosine"}
    points = (
        alt.Chart(table)
        .mark_circle(size=44, color=ACCENT, opacity=0.8)
        .encode(
            alt.X("decoder_cosine:Q").title(titles["decoder_cosine"]).scale(zero=False),
            alt.Y("encoder_cosine:Q").title(titles["encoder_cosine"]).scale(zero=False),
            tooltip=[
                alt.Tooltip(f"{name}:Q", title=title, format="d" if name == "best_match" else ".4f")
                for name, title in titles.items()
            ],
        )
    )
    layers = []
    if chance is not None:
        at = pd.DataFrame({"decoder_cosine": [chance], "encoder_cosine": [chance]})
        rule = alt.Chart(at).mark_rule(strokeDash=[5, 3], color="#8a8f98", size=1.5)
        layers = [rule.encode(alt.X("decoder_cosine:Q")), rule.encode(alt.Y("encoder_cosine:Q"))]
    return alt.layer(*layers, points).properties(height=240)
