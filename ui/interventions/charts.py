"""Charts of the page Interventions, and its text with two marks for each token."""

import html
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, MUTED
from ui.shared.token_text import visible

BANDS = {"": ("random directions", MUTED), "_feature": ("other features", "#4c78a8")}
LINES = """<style>.loupe-edits span,.loupe-edits i{padding-bottom:2px}
.loupe-edits .place{outline:1.5px solid #2563eb}</style>"""


def underlined(
    rows: Sequence[tuple[str, Sequence[str], Sequence[float], Sequence[float], int | None]],
    *,
    largest: float,
    most: float,
) -> str:
    """HTML of texts: each token shaded by activation / largest and underlined by change / most.

    A row is its head, and of each token its text, activation and change, and the index of the framed one. An underline
    is orange where the token becomes likelier, blue where it becomes less likely.
    """
    lines = []
    for head, pieces, acts, changes, place in rows:
        spans = []
        for i, (piece, act, change) in enumerate(zip(pieces, acts, changes, strict=True)):
            shade = 0.6 * min(1.0, abs(act) / largest) if largest > 0 else 0.0
            share = min(1.0, abs(change) / most) if most > 0 and np.isfinite(change) else 0.0
            hue = "234,88,12" if change > 0 else "37,99,235"
            style = f"background:rgba(234,88,12,{shade:.2f});border-bottom:3px solid rgba({hue},{share:.2f})"
            said = "n/a" if not np.isfinite(change) else f"{change:+.3g} nats"
            title = html.escape(f"{piece!r}  activation {act:.3g}, change {said}", quote=True)
            mark = ' class="place"' if i == place else ""
            tag = "span" if piece else "i"
            spans.append(f'<{tag} title="{title}" style="{style}"{mark}>{visible(piece) if piece else "‥"}</{tag}>')
        lines.append(f'<div class="loupe-text loupe-edits"><b>{html.escape(head)}</b>{"".join(spans)}</div>')
    return "".join(lines)


def strip(table: pd.DataFrame, value: str, *, title: str, edit: str) -> alt.LayerChart:
    """One point for each change, by `change_kind`; that of the edit is large and in the accent's colour."""
    order = list(dict.fromkeys(table["change_kind"]))
    x = alt.X(f"{value}:Q").title(title).scale(zero=True)
    y = alt.Y("change_kind:N").title(None).sort(order).axis(labelLimit=160)
    own, others = table["change_kind"] == edit, table["change_kind"] != edit
    tooltip = ["change_kind:N", alt.Tooltip(f"{value}:Q", format=".4~g")]
    ticks = alt.Chart(table[others]).mark_tick(thickness=2, color=MUTED, opacity=0.7).encode(x, y, tooltip=tooltip)
    point = alt.Chart(table[own]).mark_circle(size=110, color=ACCENT, opacity=1).encode(x, y, tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({value: [0.0]})).mark_rule(color=MUTED, strokeDash=[4, 4]).encode(x)
    return alt.layer(zero, ticks, point).properties(height=alt.Step(26))


def dose_curve(table: pd.DataFrame, *, x_title: str, y_title: str, leaves: Sequence[float]) -> alt.LayerChart:
    """The response by dose with the bands of its controls, its opposite, and lines where it leaves the band."""
    x = alt.X("dose:Q").title(x_title)
    layers = []
    present = [suffix for suffix in BANDS if f"response{suffix}_low" in table]
    for suffix in present:
        name, colour = BANDS[suffix]
        part = table.rename(columns={f"response{suffix}_low": "low", f"response{suffix}_high": "high"})
        part = part[["dose", "low", "high"]].assign(series=name).dropna()
        ends = [alt.Tooltip(f"{end}:Q", format=".4~g") for end in ("low", "high")]
        layers.append(
            alt.Chart(part)
            .mark_area(opacity=0.25, color=colour)
            .encode(
                x,
                alt.Y("low:Q").title(y_title),
                alt.Y2("high:Q"),
                tooltip=["series:N", "dose:Q", *ends],
            )
        )
    opposite = alt.Chart(table).mark_line(size=1.2, color=MUTED, strokeDash=[4, 3])
    layers.append(opposite.encode(x, alt.Y("response_opposite:Q").title(y_title)))
    line = alt.Chart(table).mark_line(size=2, color=ACCENT, point=alt.OverlayMarkDef(size=26, color=ACCENT))
    tooltip = [alt.Tooltip("dose:Q", format=".4~g"), alt.Tooltip("response:Q", format=".4~g"), "outside_band:N"]
    layers.append(line.encode(x, alt.Y("response:Q").title(y_title), tooltip=tooltip))
    if leaves:
        rule = alt.Chart(pd.DataFrame({"dose": list(leaves)})).mark_rule(color=ACCENT, strokeDash=[2, 3])
        layers.append(rule.encode(x))
    return alt.layer(*layers).properties(height=320)
