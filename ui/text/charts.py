"""Charts of the text page. Tokens are data and never part of an expression."""

from collections.abc import Sequence
from unicodedata import east_asian_width

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, DIVERGING, MUTED, RAMP, heatmap

CHOSEN = "#2563eb"
STRIP_TOKENS = 400
_NAMED_TOKENS = 100
"""With more tokens than this, their texts find no room on an axis."""
"""The most tokens in a strip; it has two marks for each."""
COLUMNS, _COLUMN_PX, _LINE_PX = 128, 7.2, 21
_SHOWN = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
PART = "‥"
"""Stands for a token that completes no character."""


def visible(piece: str) -> str:
    """Return a token on one line, with marks for line breaks, tabs and unprintable characters."""
    return "".join(_SHOWN.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in piece) or PART


def token_strip(
    pieces: Sequence[str],
    values: Sequence[float],
    *,
    first: int,
    chosen: int,
    value_title: str,
    select: str,
    titles: Sequence[str],
    dark: bool = False,
) -> alt.LayerChart:
    """Draw tokens as running text, line by line, each shaded by its value. A click chooses one.

    `first` is the number of the first token, `chosen` the token with a frame, `titles` the titles in tooltips.
    The points of the selection `select` have the field `token_number`.
    """
    numbers = np.arange(first, first + len(pieces))
    data = _places(pieces).assign(token_number=numbers, value=list(values), what=list(titles))
    data["frame"] = np.where(numbers == chosen, 2, 0)
    largest = float(np.nanmax(np.abs(data["value"]), initial=0.0)) or 1.0
    scale = alt.Scale(range=["rgba(234,88,12,0)", RAMP[1]], domain=[0, largest])
    if (data["value"] < 0).any():
        scale = alt.Scale(range=DIVERGING, domain=[-largest, 0, largest])
    ink = "#e6e8eb" if dark else "#1f2328"  # Streamlit's theme sets no colour for text marks
    across = alt.Scale(domain=[0, COLUMNS], nice=False)
    # Streamlit keeps a height only if it is a step for each line.
    line = alt.Y("line:O").axis(None).scale(padding=0.06).sort(None)
    boxes = (
        alt.Chart(data.drop(columns=["text", "text_left"]))
        .mark_rect(cornerRadius=3, opacity=0.85, stroke=CHOSEN, cursor="pointer")
        .encode(
            alt.X("left:Q").axis(None).scale(across),
            alt.X2("right:Q"),
            line,
            alt.Color("value:Q").scale(scale).title(value_title).legend(orient="top", gradientLength=220),
            alt.StrokeWidth("frame:Q").scale(None),
            tooltip=[
                alt.Tooltip("token_number:Q", title="Token"),
                alt.Tooltip("what:N", title="Text"),
                alt.Tooltip("value:Q", title=value_title, format=".4~g"),
            ],
        )
        .add_params(alt.selection_point(name=select, fields=["token_number"]))
    )
    text = (
        alt.Chart(data[["text", "text_left", "line"]])
        .mark_text(align="left", baseline="middle", font="Source Code Pro, monospace", fontSize=12, color=ink)
        .encode(alt.X("text_left:Q").axis(None).scale(across), line, alt.Text("text:N"))
    )
    return alt.layer(boxes, text).properties(width=COLUMNS * _COLUMN_PX, height=alt.Step(_LINE_PX))


def _places(pieces: Sequence[str]) -> pd.DataFrame:
    """Lay tokens out on lines of COLUMNS characters. Text after a token's last line break is indentation."""
    rows, line, column = [], 0, 0
    for piece in pieces:
        head, broken, indent = piece.rpartition("\n")
        shown = visible(head + broken) if broken else visible(piece)
        # Vega trims spaces at both ends, so their width is added here.
        lead = len(shown) - len(shown.lstrip(" "))
        width = max(1, _width(shown))
        if column + width > COLUMNS and column:
            line, column = line + 1, 0
        left = column
        rows.append((shown.strip(" "), left + min(lead, COLUMNS), left, min(left + width, COLUMNS), line))
        column += width
        if broken:
            line, column = line + 1, min(_width(visible(indent)) if indent else 0, COLUMNS // 2)
    data = pd.DataFrame(rows, columns=["text", "text_left", "left", "right", "line"])
    return data.assign(left=data["left"] + 0.05, right=data["right"] - 0.05)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def token_heatmap(
    cells: pd.DataFrame,
    order: Sequence[int],
    *,
    tokens: range,
    value: str,
    value_title: str,
    select: str,
    texts: Sequence[str],
    diverging: bool = False,
) -> alt.LayerChart:
    """Draw features by tokens; needs `feature`, `token_number`, `what` (the token's text) and `value`.

    `texts` are those of the tokens in view. If they are few, they stand on the axis.
    """
    data = cells.assign(position=cells["token_number"])
    return heatmap(
        data,
        row="feature",
        value=value,
        first=tokens.start,
        n_pos=tokens.stop,
        row_order=order,
        row_title="Feature",
        value_title=value_title,
        x_title="Token of the text",
        x_labels=texts if len(texts) <= _NAMED_TOKENS else (),
        diverging=diverging or bool((data[value] < 0).any()),
        select=select,
        tooltip=[
            alt.Tooltip("feature:N", title="Feature"),
            alt.Tooltip("token_number:Q", title="Token"),
            alt.Tooltip("what:N", title="Text"),
            alt.Tooltip(f"{value}:Q", title=value_title, format=".4~g"),
        ],
    )


def token_line(table: pd.DataFrame, column: str, *, title: str, chosen: int, select: str) -> alt.LayerChart:
    """Draw one number of every token; needs `token_number`, `token_text` and the column. A click chooses a token."""
    data = pd.DataFrame({"token_number": table["token_number"], "value": table[column], "what": table["token_text"]})
    x = alt.X("token_number:Q").title("Token of the text").scale(zero=False, nice=False).axis(tickMinStep=1, grid=False)
    tooltip = [
        alt.Tooltip("token_number:Q", title="Token"),
        alt.Tooltip("what:N", title="Text"),
        alt.Tooltip("value:Q", title=title, format=".4~g"),
    ]
    y = alt.Y("value:Q").title(title)
    line = alt.Chart(data).mark_line(color=ACCENT, size=1.2, opacity=0.6).encode(x, y)
    points = (
        alt.Chart(data)
        .mark_circle(color=ACCENT, size=30, opacity=1, cursor="pointer")
        .encode(x, y, tooltip=tooltip)
        .add_params(alt.selection_point(name=select, fields=["token_number"]))
    )
    mark = alt.Chart(pd.DataFrame({"token_number": [chosen]})).mark_rule(color=CHOSEN, strokeDash=[5, 4])
    return alt.layer(line, mark.encode(alt.X("token_number:Q")), points).properties(height=190)


def grouped_scatter(
    table: pd.DataFrame, x: str, y: str, *, x_title: str, y_title: str, group: str, select: str
) -> alt.Chart:
    """Draw one point for each feature, coloured by the test's outcome; needs `feature`, `group`, x and y."""
    colours = {"q ≤ 0.05, higher in A": ACCENT, "q ≤ 0.05, higher in B": CHOSEN, "q > 0.05": MUTED}
    # Features with a small q are drawn last, so that no other point hides them.
    data = table[["feature", x, y, group]].iloc[::-1]
    return (
        alt.Chart(data)
        .mark_circle(size=28, opacity=0.65, cursor="pointer")
        .encode(
            alt.X(f"{x}:Q").title(x_title).scale(zero=False),
            alt.Y(f"{y}:Q").title(y_title).scale(zero=False),
            alt.Color(f"{group}:N")
            .title(None)
            .scale(domain=list(colours), range=list(colours.values()))
            .legend(orient="top"),
            tooltip=[
                alt.Tooltip("feature:Q", title="Feature"),
                alt.Tooltip(f"{x}:Q", title=x_title, format=".4~g"),
                alt.Tooltip(f"{y}:Q", title=y_title, format=".4~g"),
            ],
        )
        .properties(height=340)
        .add_params(alt.selection_point(name=select, fields=["feature"]))
    )
