"""The tabs of the geometry page on features: hubs, density, sums of two features, neighbours of one feature."""

import pandas as pd
import streamlit as st

from core.geometry import tables
from core.geometry.study import GeometryStudy
from core.tables import with_settings
from ui.geometry import charts as geometry_charts
from ui.shared import charts, errors
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import axis_title, choose_feature_from, columns
from ui.studies import geometry, token_pass

MOST_ROWS = 500


def hubs(study: GeometryStudy) -> None:
    """Draw which features are the neighbour of many, and whether features at one distance share a neighbour."""
    table = tables.hubs(study.distinct)
    shown = table.head(MOST_ROWS)
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            "Features that are the nearest neighbour of many others",
            listing(shown, f"hubs-{study.side}", height=560, picks="feature"),
            table,
            explains=["in_degree", "in_degree_top", "nearest_cosine"],
            note=study.note(
                f"the {len(shown):,} of {len(table):,} with the most",
                f"{int((table['in_degree'] == 0).sum()):,} are the nearest of no feature",
                f"Among nearest of: {study.distinct.k} on average",
                "click a row to pick its feature",
            ),
            name=f"hubs-{study.side}",
            provenance=study.provenance,
        )
    with right:
        shared_neighbors(study)


def shared_neighbors(study: GeometryStudy) -> None:
    """Draw for each bin of the nearest cosine whether its features share a neighbour."""
    bins = st.slider("Bins", 5, 60, 20, key="bins", bind="query-params")
    edges = tables.common_edges({"nearest": study.distinct.cos[:, 0].astype(float)}, bins=bins)
    table = tables.neighbors_by_bin(study.distinct, edges)

    def draw() -> None:
        altair(geometry_charts.shared_neighbors(table), "shared-neighbors")()
        share = st.column_config.ProgressColumn(
            columns(table)["same_neighbor_share"]["label"], format="percent", min_value=0, max_value=1
        )
        listing(table, "shared-neighbors-table", config={"same_neighbor_share": share}, height=240)()

    figure(
        "Do features at one distance share their nearest neighbour?",
        draw,
        table,
        explains=["same_neighbor_share", "commonest_neighbor", "distinct_neighbors"],
        note=study.note(f"{bins} bins of the nearest cosine, empty ones left out"),
        name=f"shared-neighbors-{study.side}-{bins}",
        provenance=study.provenance,
    )


def against_density(study: GeometryStudy) -> None:
    """Draw the nearest cosine against density, and against the cosine of encoder and decoder."""
    table = tables.feature_distances(study.distinct, 1).drop(columns="rth_cosine")
    left, right = st.columns(2, gap="medium")
    with left, errors.shown():
        passed = token_pass.token_pass(study.dictionary.id)
        values = passed.density[table["feature"]]
        note = f"{passed.note}; {int((values == 0).sum()):,} features fire on no token and are not drawn"
        scatter(study, table.assign(density=values), "density", log=True, more=note)
    with right, errors.shown():
        cosine = tables.encoder_decoder_cosine(study.dictionary)
        scatter(study, table.assign(encoder_decoder_cosine=cosine[table["feature"]]), "encoder_decoder_cosine")


def scatter(study: GeometryStudy, table: pd.DataFrame, x: str, *, log: bool = False, more: str | None = None) -> None:
    """Draw one point for each feature. A click picks it."""
    key = f"nearest-{x}"
    chart = charts.scatter(
        table,
        x,
        "nearest_cosine",
        x_title=axis_title(x, log),
        y_title=axis_title("nearest_cosine", False),
        x_log=log,
        select="point",
    )
    figure(
        f"{axis_title('nearest_cosine', False)} against {axis_title(x, False).lower()}",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        table,
        explains=["nearest_cosine", x],
        note=study.note(
            f"{len(table):,} features",
            *([more] if more else []),
            "click a point to pick its feature",
        ),
        name=f"nearest-cosine-{x.replace('_', '-')}-{study.side}",
        provenance=study.provenance,
    )


def composed(study: GeometryStudy) -> None:
    """Draw features that are nearly the sum of two others."""
    composed = geometry.composed(study)
    table = tables.composed_table(composed, study.distinct)
    if table.empty:
        st.info("No feature is nearer to the sum of two neighbours than to its nearest neighbour.")
        return
    # Two random directions are nearly orthogonal, so their cosines add up, divided by the root of two.
    chance = sum(study.random.rth_mean_std(r)[0] for r in (1, 2)) / 2**0.5 if study.random.n > 2 else 0.0
    note = study.note(
        f"pairs among the {composed.n_neighbors} nearest neighbours",
        f"{len(table):,} features are nearer to a sum of two than to any single feature",
        f"random directions: about {chance:.3f}",
    )
    left, right = st.columns([2, 3], gap="medium")
    with left:
        chart = charts.scatter(
            table,
            "nearest_cosine",
            "composed_cosine",
            x_title=axis_title("nearest_cosine", False),
            y_title=axis_title("composed_cosine", False),
            select="point",
        )
        figure(
            "Cosine with the sum of two against nearest cosine",
            altair(chart, "composed", on_select=choose_feature_from("composed", "point"), selection="point"),
            table,
            explains=["composed_cosine", "nearest_cosine"],
            note=note,
            name=f"composed-scatter-{study.side}",
            provenance=study.provenance,
        )
    with right:
        figure(
            "Features nearest to the sum of two others",
            listing(table.head(MOST_ROWS), f"composed-{study.side}", height=420, picks="feature"),
            table,
            explains=["composed_cosine", "composed_first", "composed_second", "composed_gain"],
            note=f"{note} · the {min(MOST_ROWS, len(table)):,} nearest · click a row to pick its feature",
            name=f"composed-{study.side}",
            provenance=study.provenance,
        )


def one_feature(study: GeometryStudy) -> None:
    """Draw the neighbours of the picked feature by true cosine."""
    feature = picked_feature()
    table = tables.neighbors_of(study.neighbors, feature)
    if table.empty:
        st.info(f"The {study.side} weights of feature {feature} are zero, NaN or infinite: it has no neighbours.")
        return
    table = tables.with_random_ranks(table, study.random)
    first = study.first_with_direction(feature)
    degree = tables.hubs(study.distinct).set_index("feature").loc[first]
    note = study.note(
        *([f"a copy of feature {first}, which stands for it among the nearest"] if first != feature else []),
        f"nearest of {int(degree['in_degree']):,} features",
        f"among the {study.distinct.k} nearest of {int(degree['in_degree_top']):,}",
    )
    about = with_settings(study.provenance, feature=feature)
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            f"Cosines of feature {feature} with its {len(table)} nearest",
            altair(geometry_charts.by_rank(table), "by-rank"),
            table,
            explains=["neighbor_cosine", "random_rth_cosine"],
            note=f"{note} · dashed: median of random directions",
            name=f"feature-{feature}-cosines-{study.side}",
            provenance=about,
        )
    with right:
        figure(
            f"The {len(table)} nearest features to feature {feature}",
            listing(
                table[["neighbor_rank", "neighbor", "neighbor_cosine", "mutual_rank"]],
                f"near-{feature}",
                height=360,
                picks="neighbor",
            ),
            table,
            explains=["neighbor_cosine", "mutual_rank", "in_degree"],
            note="rank in return: empty if this feature is not among the neighbour's nearest · click a row to go to "
            "its feature",
            name=f"feature-{feature}-neighbors-{study.side}",
            provenance=about,
        )
