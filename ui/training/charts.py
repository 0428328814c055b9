"""Curves of training runs. DataFrame in, chart out."""

import altair as alt
import pandas as pd

from core import catalogue
from core.training.tables import COLUMNS
from ui.shared.charts import COLOURS, MUTED

HEIGHT = 240


def curve(table: pd.DataFrame, column: str, run: str) -> alt.LayerChart:
    """Draw one number over the tokens seen: a coloured line for each seed of a run, grey ones for other runs behind.

    `table` is that of core.training.tables.curve_table.
    """
    title = catalogue.statistic(column).title
    x = alt.X("training_tokens:Q").title("Tokens seen").axis(format="~s", tickCount=5)
    y = alt.Y(f"{column}:Q").title(None).scale(zero=False)  # the figure has the title
    if column == COLUMNS["dead_share"]:
        top = max(0.01, float(table[column].max()) if len(table) else 0)
        y = y.scale(domain=[0, top]).axis(format=".2~%")
    form = ".1%" if column == COLUMNS["dead_share"] else ".4~g"
    tooltip = [
        alt.Tooltip("training_run:N", title="Run"),
        alt.Tooltip("training_tokens:Q", title="Tokens seen", format=","),
        alt.Tooltip(f"{column}:Q", title=title, format=form),
    ]
    mine, others = table[table["run"] == run], table[table["run"] != run]
    names = list(dict.fromkeys(mine["training_run"]))
    colour = (
        alt.Color("training_run:N")
        .title(None)
        .scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
        .legend(orient="top", columns=3, labelLimit=260)
    )
    behind = alt.Chart(others).mark_line(color=MUTED, opacity=0.5, strokeWidth=1.2)
    front = alt.Chart(mine).mark_line(strokeWidth=1.8)
    layers = [front.encode(x, y, colour, tooltip=tooltip)]
    if len(others):
        layers.insert(0, behind.encode(x, y, alt.Detail("training_run:N"), tooltip=tooltip))
    return alt.layer(*layers).properties(height=HEIGHT)
