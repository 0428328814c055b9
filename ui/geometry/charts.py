"""Charts of the geometry page; each takes the tables of core.geometry.tables."""

import altair as alt
import pandas as pd

from ui.shared.charts import ACCENT, MUTED

SHARES = ["#b8bcc2", ACCENT]


def shared_neighbors(table: pd.DataFrame) -> alt.Chart:
    """Draw bars coloured by the share with the commonest neighbour; needs the columns of neighbors_by_bin."""
    return (
        alt.Chart(table)
        .mark_bar(binSpacing=1)
        .encode(
            alt.X("bin_low:Q").bin("binned").title("Nearest cosine").scale(nice=False, zero=False),
            alt.X2("bin_high:Q"),
            alt.Y("features_in_bin:Q").title("Features"),
            alt.Color("same_neighbor_share:Q")
            .title("Share with the commonest neighbour")
            .scale(range=SHARES, domain=[0, 1], interpolate="rgb")
            .legend(orient="top", format="%", gradientLength=220, titleLimit=320),
            tooltip=[
                alt.Tooltip("bin_low:Q", title="From", format=".3f"),
                alt.Tooltip("bin_high:Q", title="To", format=".3f"),
                alt.Tooltip("features_in_bin:Q", title="Features"),
                alt.Tooltip("distinct_neighbors:Q", title="Distinct neighbours"),
                alt.Tooltip("commonest_neighbor:Q", title="Commonest neighbour"),
                alt.Tooltip("same_neighbor_share:Q", title="Share with it", format=".1%"),
            ],
        )
        .properties(height=260)
    )


def by_rank(table: pd.DataFrame) -> alt.LayerChart:
    """Draw one feature's cosines by rank, and random directions dashed; needs the columns of with_random_ranks."""
    x = alt.X("neighbor_rank:Q").title("Rank (log)").scale(type="log", nice=False).axis(tickMinStep=1, format="d")
    points = (
        alt.Chart(table)
        .mark_circle(size=34, color=ACCENT, opacity=0.85)
        .encode(
            x,
            alt.Y("neighbor_cosine:Q").title("Cosine").scale(zero=False),
            tooltip=[
                alt.Tooltip("neighbor_rank:Q", title="Rank"),
                alt.Tooltip("neighbor:Q", title="Neighbour"),
                alt.Tooltip("neighbor_cosine:Q", title="Cosine", format=".4f"),
                alt.Tooltip("random_rth_cosine:Q", title="Random, median", format=".4f"),
            ],
        )
    )
    chance = alt.Chart(table).mark_line(strokeDash=[5, 3], color=MUTED, size=1.8)
    return alt.layer(points, chance.encode(x, alt.Y("random_rth_cosine:Q"))).properties(height=320)
