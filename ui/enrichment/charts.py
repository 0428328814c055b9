"""Charts of token-set enrichment; each takes a table of core.enrichment.tables."""

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, MUTED, RAMP

SUPPRESSED = "#2563eb"
SIDES = ["promoted", "suppressed"]
STRIP = 0.13
"""The share of an axis that a marginal histogram takes."""


def side_colour() -> alt.Color:
    """One colour for each sign of the score."""
    return alt.Color("side:N").title(None).sort(SIDES).scale(domain=SIDES, range=[ACCENT, SUPPRESSED])


def manhattan(table: pd.DataFrame, d_sae: int, *, y_title: str, reach: float | None) -> alt.LayerChart:
    """Draw one point for each feature, with its number on x and texts at the peaks.

    Needs `feature`, `height`, `side`, `text` (empty but for peaks), `enrichment_score`, `log10_q`. Dashed lines lie
    at `reach` and -`reach`, if it is known.
    """
    x = alt.X("feature:Q").title("Feature").scale(domain=[0, max(1, d_sae - 1)], nice=False)
    base = alt.Chart(table).encode(x, alt.Y("height:Q").title(y_title))
    points = base.mark_circle(size=22, opacity=0.65).encode(
        side_colour().legend(orient="top"),
        tooltip=[
            alt.Tooltip("feature:Q", title="Feature"),
            alt.Tooltip("enrichment_score:Q", title="Enrichment score", format=".3f"),
            alt.Tooltip("height:Q", title=y_title, format=".2f"),
            alt.Tooltip("log10_q:Q", title="log10 q", format=".1f"),
            alt.Tooltip("text:N", title="Token at that end"),
        ],
    )
    points = points.add_params(alt.selection_point(name="point", fields=["feature"]))
    texts = [
        alt.Chart(table[(table["text"] != "") & (table["side"] == side)])
        .mark_text(dy=-9 if side == "promoted" else 10, fontSize=11, color=MUTED, limit=120)
        .encode(x, alt.Y("height:Q"), alt.Text("text:N"))
        for side in SIDES
    ]
    lines = pd.DataFrame({"height": [reach, -reach] if reach is not None else []})
    rule = alt.Chart(lines).mark_rule(color=MUTED, strokeDash=[5, 4], size=1.5).encode(alt.Y("height:Q"))
    return alt.layer(points, *([rule] if reach is not None else []), *texts).properties(height=340)


def set_against_set(
    table: pd.DataFrame, whole: pd.DataFrame, *, x_title: str, y_title: str, bins: int = 60
) -> alt.LayerChart:
    """Draw one point for each feature, and a histogram of all features along each axis.

    Both tables need `score_x` and `score_y`; `table` also `feature`, `score_difference`, `text` (a label or
    empty). The histograms lie inside the plot, on strips left of and below the points, because concatenated charts lose
    the page's width and the click.
    """
    columns = ("score_x", "score_y")
    low = {name: float(whole[name].min()) for name in columns}
    size = {name: max(float(whole[name].max()) - low[name], 1e-9) for name in columns}
    domain = {name: [low[name] - 1.25 * STRIP * size[name], low[name] + 1.04 * size[name]] for name in columns}
    x = alt.X("score_x:Q").title(x_title).scale(domain=domain["score_x"], nice=False, zero=False)
    y = alt.Y("score_y:Q").title(y_title).scale(domain=domain["score_y"], nice=False, zero=False)
    tooltip = [alt.Tooltip("feature:Q", title="Feature")]
    tooltip += [alt.Tooltip(f"{name}:Q", format=".3f") for name in (*columns, "score_difference")]
    points = alt.Chart(table).mark_circle(size=24, opacity=0.55, color=ACCENT).encode(x, y, tooltip=tooltip)
    points = points.add_params(alt.selection_point(name="point", fields=["feature"]))
    text = (
        alt.Chart(table[table["text"] != ""])
        .mark_text(dy=-9, fontSize=11, color=MUTED)
        .encode(x, y, alt.Text("text:N"))
    )
    corners = [max(domain[name][end] for name in columns) if end == 0 else 0 for end in (0, 1)]
    corners[1] = min(domain[name][1] for name in columns)
    equal = alt.Chart(pd.DataFrame({"score_x": corners, "score_y": corners}))
    layers = [equal.mark_line(color=MUTED, strokeDash=[5, 4], size=1).encode(x, y)] if corners[0] < corners[1] else []
    for along, across in (columns, columns[::-1]):
        bars = _strip(whole[along].to_numpy(), bins, start=domain[across][0], height=STRIP * size[across])
        layers.append(_bars(bars, along, x_title if along == "score_x" else y_title))
    return alt.layer(*layers, points, text).properties(height=460)


def _strip(values: np.ndarray, bins: int, *, start: float, height: float) -> pd.DataFrame:
    """Bin values. The bars stand on `start`, and the tallest is `height` tall."""
    counts, edges = np.histogram(values, bins=bins)
    top = start + height * counts / max(1, counts.max())
    bars = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "start": start, "top": top, "features": counts})
    return bars[bars["features"] > 0]


def _bars(bars: pd.DataFrame, along: str, title: str) -> alt.Chart:
    tooltip = [
        alt.Tooltip("low:Q", title=f"{title}, from", format=".2f"),
        alt.Tooltip("high:Q", title="to", format=".2f"),
    ]
    chart = alt.Chart(bars).mark_rect(color=MUTED, opacity=0.55)
    if along == "score_x":
        return chart.encode(
            alt.X("low:Q"), alt.X2("high:Q"), alt.Y("start:Q"), alt.Y2("top:Q"), tooltip=[*tooltip, "features:Q"]
        )
    return chart.encode(
        alt.X("start:Q"), alt.X2("top:Q"), alt.Y("low:Q"), alt.Y2("high:Q"), tooltip=[*tooltip, "features:Q"]
    )


def running_sum(curve: pd.DataFrame, ranking: pd.DataFrame, n_tokens: int) -> alt.LayerChart:
    """Draw the running sum along the ranking, its two extremes, and below it where the tokens of the set lie.

    Needs `tokens_passed`, `running_sum`, `logit_weight`; `ranking` needs `low`, `high`, `members`.
    """
    x = (
        alt.X("tokens_passed:Q")
        .title("Tokens passed, largest logit weight first")
        .scale(domain=[0, n_tokens], nice=False)
    )
    y = alt.Y("running_sum:Q").title("Running sum")
    tooltip = [
        alt.Tooltip("tokens_passed:Q", title="Tokens passed", format=","),
        alt.Tooltip("running_sum:Q", title="Running sum", format=".4f"),
        alt.Tooltip("logit_weight:Q", title="Logit weight", format=".3f"),
    ]
    base = alt.Chart(curve).encode(x, y, tooltip=tooltip)
    ends = curve.loc[[curve["running_sum"].idxmax(), curve["running_sum"].idxmin()]]
    ends = ends.assign(side=SIDES)[lambda d: d["running_sum"] != 0]
    dots = alt.Chart(ends).mark_point(size=90, filled=True).encode(x, y, side_colour().legend(None), tooltip=tooltip)
    zero = alt.Chart(pd.DataFrame({"running_sum": [0.0]})).mark_rule(color=MUTED, strokeDash=[5, 4]).encode(y)
    # The strip below the curve uses the units of its axis, because the height of the plot in pixels is unknown here.
    low, high = curve["running_sum"].min(), curve["running_sum"].max()
    strip = ranking[ranking["members"] > 0].assign(bottom=low - 0.16 * (high - low), top=low - 0.06 * (high - low))
    where = (
        alt.Chart(strip)
        .mark_rect()
        .encode(
            alt.X("low:Q"),
            alt.X2("high:Q"),
            alt.Y("bottom:Q"),
            alt.Y2("top:Q"),
            alt.Color("members:Q")
            .title("Tokens of the set")
            .scale(range=RAMP)
            .legend(orient="top", gradientLength=140),
            tooltip=[alt.Tooltip("low:Q", title="Ranks from"), alt.Tooltip("high:Q", title="to"), "members:Q"],
        )
    )
    layers = alt.layer(zero, where, base.mark_line(color=MUTED, size=1.8), dots)
    return layers.resolve_scale(color="independent").properties(height=300)
