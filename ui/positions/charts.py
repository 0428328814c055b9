"""Charts of the positions page; each takes a table of core.positions.tables or the table of scores."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from ui.shared.charts import ACCENT, COLOURS, DIVERGING, MUTED, context_marker, heatmap, position_axis, ramp

RANKS_DRAWN = 300


def feature_heatmap(cells: pd.DataFrame, order: Sequence[int], *, n_pos: int, context_size: int) -> alt.LayerChart:
    """Draw mean activation by position, one row for each feature, in the order given."""
    return heatmap(
        cells,
        row="feature",
        value="mean",
        n_pos=n_pos,
        row_order=order,
        row_title="Feature, by peak position",
        value_title="Mean activation over tokens",
        context_size=context_size,
        select="cell",
        tooltip=[
            alt.Tooltip("feature:N", title="Feature"),
            alt.Tooltip("position:Q", title="Position"),
            alt.Tooltip("mean:Q", title="Mean activation", format=".4f"),
            alt.Tooltip("std:Q", title="Standard deviation", format=".4f"),
            alt.Tooltip("rate:Q", title="Density at the position", format=".2%"),
        ],
    )


def token_heatmap(cells: pd.DataFrame, labels: Sequence[str], *, n_pos: int, context_size: int) -> alt.LayerChart:
    """One feature's activation, a row for each token label; needs `token`, `position`, `activation`."""
    return heatmap(
        cells,
        row="token",
        value="activation",
        n_pos=n_pos,
        row_order=labels,
        row_title="Token",
        value_title="Activation",
        context_size=context_size,
        tooltip=["token:N", "position:Q", alt.Tooltip("activation:Q", format=".4f")],
    )


def cosine_heatmap(cells: pd.DataFrame, order: Sequence[int], *, n_pos: int, context_size: int) -> alt.LayerChart:
    """Cosine of features' rows with position vectors; needs `feature`, `position`, `cosine_with_position`."""
    return heatmap(
        cells,
        row="feature",
        value="cosine_with_position",
        n_pos=n_pos,
        row_order=order,
        row_title="Feature, by peak position",
        value_title="Cosine",
        context_size=context_size,
        diverging=True,
        tooltip=["feature:N", "position:Q", alt.Tooltip("cosine_with_position:Q", title="Cosine", format=".3f")],
    )


def score_rank(table: pd.DataFrame, chosen: int, suggested: int) -> alt.LayerChart:
    """Position score against rank (log x); needs `rank` from 1, `position_score`, `feature`, `peak`."""
    data = table.loc[table["position_score"] > 0, ["rank", "position_score", "feature", "peak"]]
    if len(data) > RANKS_DRAWN:  # most points lie on top of each other on a log axis
        data = data.iloc[np.unique(np.geomspace(1, len(data), RANKS_DRAWN).astype(int) - 1)]
    x = alt.X("rank:Q").title("Rank (log)").scale(type="log", domain=[1, max(10, len(table))], nice=False)
    line = (
        alt.Chart(data)
        .mark_line(color=ACCENT, point={"size": 18, "color": ACCENT})
        .encode(
            x,
            alt.Y("position_score:Q").title("Position score"),
            tooltip=[
                alt.Tooltip("rank:Q", title="Rank by position score"),
                alt.Tooltip("feature:Q", title="Feature"),
                alt.Tooltip("position_score:Q", title="Position score", format=".4f"),
                alt.Tooltip("peak:Q", title="Peak position"),
            ],
        )
    )
    marks = pd.DataFrame({"rank": [chosen, suggested], "text": [f"{chosen} shown", f"elbow at {suggested}"]})
    marks = marks.tail(1) if chosen == suggested else marks[marks["rank"] > 0]
    rule = alt.Chart(marks).mark_rule(strokeDash=[5, 4], color=MUTED).encode(alt.X("rank:Q"))
    marks = marks.assign(y=np.arange(len(marks)) * 14 + 2)
    late = marks["rank"] ** 1.5 > len(table)  # in the right third of the log axis, where a text must end at its line
    texts = [
        alt.Chart(some)
        .mark_text(align=align, baseline="top", dx=dx, color=MUTED, fontSize=11)
        .encode(alt.X("rank:Q"), alt.Text("text:N"), y=alt.Y("y:Q", scale=None, axis=None))
        for some, align, dx in ((marks[~late], "left", 4), (marks[late], "right", -4))
        if len(some)
    ]
    return alt.layer(line, rule, *texts).resolve_scale(y="independent").properties(height=260)


def peaks(table: pd.DataFrame, *, context_size: int) -> alt.LayerChart:
    """How many of the chosen features peak at each position; needs `position`, `features`."""
    data = table[table["features"] > 0].assign(
        left=lambda d: d["position"] - 0.5, right=lambda d: d["position"] + 0.5, zero=0
    )
    bars = (
        alt.Chart(data)
        .mark_rect(color=ACCENT)
        .encode(
            alt.X("left:Q")
            .title("Peak position")
            .scale(domain=[-0.5, context_size - 0.5], nice=False)
            .axis(tickMinStep=1, grid=False),
            alt.X2("right:Q"),
            alt.Y("features:Q").title("Features").axis(tickMinStep=1, format="d").scale(zero=True),
            alt.Y2("zero:Q"),
            tooltip=[alt.Tooltip("position:Q", title="Position"), alt.Tooltip("features:Q", title="Features")],
        )
    )
    return alt.layer(bars).properties(height=180)


def curves(
    table: pd.DataFrame,
    *,
    n_pos: int,
    context_size: int,
    y_title: str,
    band: bool = True,
    legend: bool = False,
    by: str = "feature",
) -> alt.LayerChart:
    """A line for each value of a column with a band of one standard deviation; needs the columns of `curves`."""
    name = by.capitalize()
    data = table.assign(**{by: table[by].astype(str)})
    order = list(dict.fromkeys(data[by]))
    key = alt.Legend(orient="top", columns=2, symbolLimit=50, symbolOpacity=1, symbolType="stroke") if legend else None
    colours = COLOURS if len(order) <= len(COLOURS) else ramp(len(order))
    colour = alt.Color(f"{by}:N").sort(order).title(name).scale(range=colours).legend(key)
    base, x = alt.Chart(data), position_axis(n_pos)
    tooltip = [
        alt.Tooltip(f"{by}:N", title=name),
        alt.Tooltip("position:Q", title="Position"),
        alt.Tooltip("mean:Q", title="Mean", format=".4f"),
    ]
    area = []
    if band:
        tooltip.append(alt.Tooltip("std:Q", title="Standard deviation", format=".4f"))
        area = [base.mark_area(opacity=0.14).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour)]
    lines = base.mark_line(size=1.6).encode(x, alt.Y("mean:Q").title(y_title), colour, tooltip=tooltip)
    return alt.layer(*area, lines, *context_marker(context_size, n_pos)).properties(height=360)


def shares(table: pd.DataFrame, titles: Mapping[str, str]) -> alt.Chart:
    """Draw a bar of stacked shares of variance for each feature; `titles` names the columns in stacking order."""
    known = [name for name in titles if table[name].notna().any()]
    long = table.melt(["feature"], known, var_name="part", value_name="share").dropna()
    long = long.assign(
        order=long["part"].map({name: i for i, name in enumerate(known)}),
        part=long["part"].map(titles),
        feature=long["feature"].astype(str),
    )
    return (
        alt.Chart(long)
        .mark_bar()
        .encode(
            alt.X("share:Q").title("Share of the variance").scale(domain=[0, 1]),
            alt.Y("feature:N")
            .title("Feature, by position score")
            .sort(list(dict.fromkeys(long["feature"])))
            .axis(labelOverlap=False),
            alt.Color("part:N")
            .title(None)
            .sort([titles[name] for name in known])
            .scale(range=[*COLOURS[:2], "#b8bcc2"])
            .legend(orient="top", columns=1, labelLimit=220),
            alt.Order("order:Q"),
            tooltip=["feature:N", "part:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(height=alt.Step(13))
    )


def self_similarity(table: pd.DataFrame, n_pos: int) -> alt.Chart:
    """Draw the cosines of position vectors; needs `position`, `other` and `position_self_similarity`."""
    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            alt.X("position:O").title("Position").axis(labelOverlap=True, ticks=False),
            alt.Y("other:O").title("Position").axis(labelOverlap=True, ticks=False),
            alt.Color("position_self_similarity:Q")
            .title("Cosine")
            .scale(range=DIVERGING, domain=[-1, 0, 1])
            .legend(orient="top", gradientLength=220),
            tooltip=["position:O", "other:O", alt.Tooltip("position_self_similarity:Q", title="Cosine", format=".3f")],
        )
        .properties(height=380)
    )


def widths(table: pd.DataFrame) -> alt.LayerChart:
    """Number of positional features against dictionary width; needs `d_sae`, `positional`, `dictionary`."""
    base = alt.Chart(table).encode(
        alt.X("d_sae:Q").title("Features in the dictionary, d_sae (log)").scale(type="log", nice=True, padding=20),
        alt.Y("positional:Q").title("Positional features"),
        tooltip=["dictionary:N", "d_sae:Q", "positional:Q"],
    )
    text = base.mark_text(align="left", dx=9, fontSize=11, color=MUTED).encode(alt.Text("dictionary:N"))
    return alt.layer(base.mark_circle(size=110, color=ACCENT, opacity=0.9), text).properties(height=260)


def helix(positions: pd.DataFrame, features: pd.DataFrame, titles: Sequence[str]):
    """Draw a Plotly scene: position vectors as dots along the helix, decoder rows as diamonds, coloured by position.

    Both tables need `x`, `y`, `z`, `position`; `features` also `feature`.
    """
    import plotly.graph_objects as go

    limits = {"cmin": int(positions["position"].min()), "cmax": int(positions["position"].max()), "colorscale": "Turbo"}
    dots = go.Scatter3d(
        x=positions["x"],
        y=positions["y"],
        z=positions["z"],
        mode="markers",
        name="Position vectors",
        marker={
            "size": 3,
            "color": positions["position"],
            "colorbar": {"title": "Position", "thickness": 12},
            **limits,
        },
        text=[f"position {p}" for p in positions["position"]],
        hovertemplate="%{text}<extra>W_pos</extra>",
    )
    diamonds = go.Scatter3d(
        x=features["x"],
        y=features["y"],
        z=features["z"],
        mode="markers",
        name="Decoder rows of positional features",
        marker={"size": 5, "symbol": "diamond-open", "color": features["position"], **limits},
        text=[f"feature {f}, peak at {p}" for f, p in zip(features["feature"], features["position"], strict=True)],
        hovertemplate="%{text}<extra>W_dec</extra>",
    )
    figure = go.Figure([dots, diamonds])
    axes = {name: {"title": {"text": title}} for name, title in zip(("xaxis", "yaxis", "zaxis"), titles, strict=True)}
    legend = {"orientation": "h", "y": 1.02, "x": 0}
    figure.update_layout(scene=axes, height=560, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend=legend)
    return figure
