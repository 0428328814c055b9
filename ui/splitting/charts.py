"""Charts of the splitting page; each takes a table of core.splitting or core.matching."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from core import catalogue
from core.matching.labels import LABELS
from core.matching.overlap import REGIONS
from ui.shared.charts import ACCENT, COLOURS, DIVERGING, MUTED, RAMP

_BLUE = COLOURS[1]
OVERLAP = ["#d9dce1", "#b4bac3", MUTED, *COLOURS[1:3], COLOURS[4], ACCENT, "#f6b48a"]
"""In the order of REGIONS: grey for one dictionary alone, orange for all three."""
SERIES = ("mean of all features", "picked feature", "by chance")
_LABEL = 0.34
"""The share of the way to the next dictionary that the label of a node takes."""
_CELL_TEXTS = 12
"""With more dictionaries than this, the cells of the matrix are too narrow for numbers."""


def split_graph(
    nodes: pd.DataFrame,
    edges: pd.DataFrame,
    headings: Sequence[str],
    *,
    said: tuple[str, str, str] = ("Widths", "Coarser feature", "Child"),
    picks: str = "",
) -> alt.LayerChart:
    """Draw features by dictionary, from left to right, and lines to their children. Stronger lines are more similar.

    `nodes` have level, height, label, feature, d_sae, promoted_tokens; `edges` the columns of edge_table and
    `start` and `end`, places in `nodes`. `said` are the titles of a step and of its two ends; `picks` names a selection
    of nodes by level and feature, if there is to be one.
    """
    last = len(headings) - 1
    x = alt.X("level:Q").scale(domain=[-0.02, last + _LABEL], nice=False).axis(None)
    y = alt.Y("height:Q").scale(domain=[1, 0], nice=False).axis(None)
    tooltip = [
        alt.Tooltip("d_sae:Q", title="Dictionary width", format=","),
        alt.Tooltip("feature:Q", title="Feature"),
        alt.Tooltip("promoted_tokens:N", title="Promotes"),
    ]
    base = alt.Chart(nodes).encode(x, y, tooltip=tooltip)
    dots = base.mark_circle(size=64, color=ACCENT, opacity=1)
    if picks:
        dots = dots.add_params(alt.selection_point(name=picks, fields=["level", "feature"]))
    names = base.mark_text(align="left", dx=8, fontSize=11, color=MUTED, limit=110).encode(alt.Text("label:N"))
    heads = pd.DataFrame({"level": range(len(headings)), "text": list(headings)})
    titles = (
        alt.Chart(heads)
        .mark_text(align="left", baseline="bottom", fontWeight="bold", fontSize=12, color=MUTED)
        .encode(x, alt.Text("text:N"), y=alt.value(-6))
    )
    most = int(nodes.groupby("level").size().max())
    return alt.layer(_lines(nodes, edges, x, y, said), dots, names, titles).properties(height=max(240, 22 * most + 90))


def _lines(nodes: pd.DataFrame, edges: pd.DataFrame, x: alt.X, y: alt.Y, said: tuple[str, str, str]) -> alt.Chart:
    """Draw the edges of a graph, from the end of one label to the next node."""
    level, height = (nodes[name].to_numpy(dtype=float) for name in ("level", "height"))
    data = edges.assign(
        level=level[edges["start"]] + _LABEL,
        height=height[edges["start"]],
        to_level=level[edges["end"]],
        to_height=height[edges["end"]],
    )
    colour = (
        alt.Color("split_cosine:Q")
        .title("Similarity")
        .scale(range=[MUTED, ACCENT], interpolate="rgb")
        .legend(orient="top", gradientLength=200)
    )
    tooltip = [
        alt.Tooltip("split_step:N", title=said[0]),
        alt.Tooltip("coarse_feature:Q", title=said[1]),
        alt.Tooltip("child:Q", title=said[2]),
        alt.Tooltip("split_cosine:Q", title="Similarity", format=".3f"),
    ]
    rules = alt.Chart(data).mark_rule(size=1.6, opacity=0.8)
    return rules.encode(x, y, alt.X2("to_level:Q"), alt.Y2("to_height:Q"), colour, tooltip=tooltip)


def children_by_width(table: pd.DataFrame) -> alt.LayerChart:
    """Draw the number of children against width, a line for each series; needs d_sae, series, n_children."""
    names = [name for name in SERIES if name in set(table["series"])]
    colours = dict(zip(SERIES, (_BLUE, ACCENT, MUTED), strict=True))
    base = alt.Chart(table).encode(
        alt.X("d_sae:Q")
        .title("Dictionary width (log)")
        .scale(type="log", base=2, nice=False, padding=16)
        .axis(values=sorted(set(table["d_sae"])), format=",d"),
        alt.Y("n_children:Q").title("Children").scale(zero=True),
        alt.Color("series:N")
        .title(None)
        .scale(domain=names, range=[colours[name] for name in names])
        .legend(orient="top", labelLimit=300),
        tooltip=[
            alt.Tooltip("series:N", title="Of"),
            alt.Tooltip("d_sae:Q", title="Dictionary width", format=","),
            alt.Tooltip("n_children:Q", title="Children", format=".3~f"),
        ],
    )
    return alt.layer(base.mark_line(size=2), base.mark_circle(size=60, opacity=1)).properties(height=280)


def became(table: pd.DataFrame) -> alt.Chart:
    """Draw what became of the features of each wider dictionary, as shares; needs the columns of became_table."""
    return stacked(
        table.assign(name=table["d_sae"].map("{:,}".format)),
        "match_label",
        "labelled_share",
        "labelled_features",
        LABELS,
        [MUTED, _BLUE, ACCENT, COLOURS[2]],
        "Dictionary width",
    )


def overlap(table: pd.DataFrame, names: Sequence[str]) -> alt.Chart:
    """Draw one bar for each dictionary, split by who shares its features; needs the columns of overlap_table."""
    order = dict(zip(table["dictionary"].drop_duplicates(), names, strict=True))
    return stacked(
        table.assign(name=table["dictionary"].map(order)),
        "overlap_region",
        "overlap_share",
        "overlap_features",
        REGIONS,
        OVERLAP,
        None,
    )


def stacked(
    table: pd.DataFrame,
    group: str,
    share: str,
    count: str,
    order: Sequence[str],
    colours: Sequence[str],
    title: str | None,
    *,
    columns: int = 4,
) -> alt.Chart:
    """Draw a bar for each `name`, of shares that add up to 1, in the given order; the legend has so many columns."""
    data = table.assign(place=[list(order).index(value) for value in table[group]])
    return (
        alt.Chart(data)
        .mark_bar()
        .encode(
            alt.Y("name:N").title(title).sort(list(dict.fromkeys(table["name"]))).axis(labelLimit=300),
            alt.X(f"{share}:Q").title("Share of its features").scale(domain=[0, 1]).axis(format="%"),
            alt.Color(f"{group}:N")
            .title(None)
            .scale(domain=list(order), range=list(colours))
            .legend(orient="top", columns=columns, labelLimit=200),
            alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="Dictionary"),
                alt.Tooltip(f"{group}:N", title="Part"),
                alt.Tooltip(f"{count}:Q", title="Features", format=","),
                alt.Tooltip(f"{share}:Q", title="Share", format=".1%"),
            ],
        )
        .properties(height=alt.Step(38))
    )


def sibling_tokens(cells: pd.DataFrame) -> alt.Chart:
    """Draw siblings against their distinctive tokens, coloured by difference; needs difference_cells and `text`."""
    limit = max(float(cells["sibling_difference"].abs().max()), 1e-9)
    order = cells[["token", "text"]].drop_duplicates("token")["text"].tolist()
    return (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            alt.X("sibling:N").title("Sibling").sort(None).axis(labelAngle=-50, labelOverlap=False),
            alt.Y("text:N").title("Token").sort(order).axis(labelLimit=160, labelOverlap=False),
            alt.Color("sibling_difference:Q")
            .title("Logits above siblings")
            .scale(range=DIVERGING, domain=[-limit, 0, limit])
            .legend(orient="top", gradientLength=200),
            tooltip=[
                alt.Tooltip("sibling:N", title="Sibling"),
                alt.Tooltip("text:N", title="Token"),
                alt.Tooltip("logit_weight:Q", title="Logit weight", format=".3f"),
                alt.Tooltip("sibling_difference:Q", title="Above siblings", format=".3f"),
            ],
        )
        .properties(height=alt.Step(16))
    )


def sibling_correlations(table: pd.DataFrame) -> alt.Chart:
    """Draw siblings against each other, coloured by the correlation of their logit weights."""
    return (
        alt.Chart(table)
        .mark_rect()
        .encode(
            alt.X("sibling:N").title("Sibling").sort(None).axis(labelAngle=-50, labelOverlap=False),
            alt.Y("other_sibling:N").title("Other sibling").sort(None).axis(labelOverlap=False),
            alt.Color("sibling_correlation:Q")
            .title("Correlation of logits")
            .scale(range=DIVERGING, domain=[-1, 0, 1])
            .legend(orient="top", gradientLength=200),
            tooltip=[
                alt.Tooltip("sibling:N", title="Sibling"),
                alt.Tooltip("other_sibling:N", title="Other"),
                alt.Tooltip("sibling_correlation:Q", title="Correlation", format=".3f"),
            ],
        )
        .properties(height=alt.Step(24))
    )


def ratio_matrix(table: pd.DataFrame) -> alt.LayerChart:
    """Draw which share of the rows' features the columns hold; needs the columns of matrix_table."""
    order = list(dict.fromkeys(table["matched_from"]))
    base = alt.Chart(table.dropna(subset=["matching_ratio"])).encode(
        alt.X("matched_to:N")
        .title("Looked for in")
        .sort(order)
        .scale(domain=order)
        .axis(labelAngle=-40, labelLimit=190, labelOverlap=False),
        alt.Y("matched_from:N")
        .title("Features of")
        .sort(order)
        .scale(domain=order)
        .axis(labelLimit=220, labelOverlap=False),
        tooltip=[
            alt.Tooltip("matched_from:N", title="Features of"),
            alt.Tooltip("matched_to:N", title="Looked for in"),
            alt.Tooltip("matching_ratio:Q", title="Matching ratio", format=".1%"),
            alt.Tooltip("random_ratio:Q", title="By chance", format=".1%"),
            alt.Tooltip("mmcs:Q", title="Mean max cosine", format=".3f"),
        ],
    )
    colour = (
        alt.Color("matching_ratio:Q")
        .title("Matching ratio")
        .scale(range=RAMP, domain=[0, 1])
        .legend(orient="top", format="%", gradientLength=220)
    )
    layers = [base.mark_rect().encode(colour)]
    if len(order) <= _CELL_TEXTS:
        colour_of_text = alt.condition("datum.matching_ratio > 0.5", alt.value("white"), alt.value(MUTED))
        layers.append(
            base.mark_text(fontSize=11).encode(alt.Text("matching_ratio:Q", format=".0%"), color=colour_of_text)
        )
    return alt.layer(*layers).properties(height=alt.Step(32))


def factors(table: pd.DataFrame, share: str = "matching_ratio", chance: str = "random_ratio") -> alt.LayerChart:
    """Draw a bar for the mean of each factor, dots for pairs, ticks for chance.

    Needs match_factor, factor_change, matched_from, matched_to, and the columns of a share and of that by chance.
    """
    order, title = list(dict.fromkeys(table["match_factor"])), catalogue.statistic(share).title
    means = table.groupby("match_factor", sort=False).agg(**{share: (share, "mean"), "pairs": (share, "size")})
    x = alt.X(f"{share}:Q").title(title).scale(domain=[0, 1]).axis(format="%")
    y = alt.Y("match_factor:N").title(None).sort(order)
    bars = (
        alt.Chart(means.reset_index())
        .mark_bar(color=ACCENT, opacity=0.35)
        .encode(
            x,
            y,
            tooltip=[
                alt.Tooltip("match_factor:N", title="Factor"),
                alt.Tooltip(f"{share}:Q", title="Mean", format=".1%"),
                alt.Tooltip("pairs:Q", title="Pairs, both ways"),
            ],
        )
    )
    tooltip = [
        alt.Tooltip("factor_change:N", title="Change"),
        alt.Tooltip("matched_from:N", title="Features of"),
        alt.Tooltip("matched_to:N", title="Looked for in"),
        alt.Tooltip(f"{share}:Q", title=title, format=".1%"),
        alt.Tooltip(f"{chance}:Q", title="By chance", format=".2%"),
    ]
    base = alt.Chart(table).encode(y, tooltip=tooltip)
    dots = base.mark_circle(size=46, color=ACCENT, opacity=0.9).encode(x)
    ticks = base.mark_tick(color=MUTED, thickness=2).encode(alt.X(f"{chance}:Q"))
    return alt.layer(bars, ticks, dots).properties(height=alt.Step(40))
