"""The chart of dictionaries by text."""

import altair as alt
import pandas as pd

from core import catalogue
from ui.shared.charts import RAMP

_ROW = 26


def cross(table: pd.DataFrame, which: str) -> alt.LayerChart:
    """Draw a cell for each dictionary and text; needs sweep_of, trained_on, read_text and the column `which`.

    A cell without a number is grey. The rows are grouped by what dictionaries were trained on.
    """
    item = catalogue.statistic(which)
    drawn = table.assign(row=table["sweep_of"] + table["trained_on"].map(lambda data: f" · {data}" if data else ""))
    order = list(drawn.sort_values(["trained_on", "sweep_of"], kind="stable")["row"].unique())
    base = alt.Chart(drawn).encode(
        alt.X("read_text:N").title("Text that is read").axis(labelAngle=0, labelLimit=240),
        alt.Y("row:N").title("Dictionary · trained on").sort(order).axis(labelLimit=320),
        tooltip=[
            alt.Tooltip("row:N", title="Dictionary · trained on"),
            alt.Tooltip("read_text:N", title="Text that is read"),
            alt.Tooltip(f"{which}:Q", title=item.title, format=item.format),
        ],
    )
    colour = alt.condition(
        f"isValid(datum.{which})",
        alt.Color(f"{which}:Q").title(item.title).scale(range=RAMP).legend(orient="top", gradientLength=220),
        alt.value("#9996"),
    )
    cells = base.mark_rect().encode(color=colour)
    texts = base.mark_text(fontSize=11).encode(alt.Text(f"{which}:Q", format=item.format))
    return alt.layer(cells, texts.transform_filter(f"isValid(datum.{which})")).properties(height=alt.Step(_ROW))
