"""The tabs of the positions page on all features: overview, curves, scores, table.

A view takes the study (dictionary, model, statistics, scores), gets tables from core and draws figures. Core computes
every number that has a definition.
"""

import numpy as np
import streamlit as st

from core import catalogue
from core.home import findings
from core.positions import tables
from core.positions.scores import chance_r2, peaks_per_position
from core.positions.study import Study
from core.tables import with_settings
from ui.positions import charts as positions_charts
from ui.shared import charts, selected
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies.positions import told

MOST_CURVES = 50
"""The most lines that a reader can follow and a browser redraws without a pause."""

MOST_BARS = 40


def overview(study: Study, count: int) -> None:
    """Draw the heatmap, the scores by rank, and where the peaks lie."""
    top, members = study.top(count), selected.members_of(study.dictionary, only=True)
    features = top
    if members is not None:
        features = [feature for feature in study.top(study.dictionary.d_sae) if members[feature]][:count] or top
    left, right = st.columns([3, 2], gap="medium")
    with left:
        feature_heatmap(study, features)
    with right:
        score_rank(study, len(top))
        peak_counts(study, features)


def feature_heatmap(study: Study, features: list[int]) -> None:
    """Draw the mean activation of the chosen features by position. A click picks a feature."""
    order = tables.feature_order_by_peak(study.stats, features)
    floor = 0.0
    cells = tables.heatmap_cells(study.stats, order)
    while len(cells) > charts.MAX_CELLS:
        floor = max(1.5 * floor, 1e-3)
        cells = tables.heatmap_cells(study.stats, order, floor=floor)
    chart = positions_charts.feature_heatmap(cells, order, n_pos=study.n_pos, context_size=study.context_size)
    hidden = [f"means below {floor:.2%} of the largest are not drawn"] if floor else []
    figure(
        "Mean activation by position, features sorted by peak",
        altair(chart, "heatmap", on_select=choose_feature_from("heatmap", "cell"), selection="cell"),
        lambda: tables.heatmap_cells(study.stats, order),
        explains=["mean_activation", "peak"],
        note=study.note(
            f"{len(order)} of {study.dictionary.d_sae:,} features",
            "colour on a square-root scale",
            *hidden,
            *study.context_note,
            "click a row to pick its feature",
        ),
        name="position-heatmap",
        provenance=study.provenance,
        told=told(study) | ({"count": len(order)} if features == study.top(len(order)) else {}),
        finding=findings.positional(study).said,
    )


def score_rank(study: Study, count: int) -> None:
    """Draw the scores by rank and their elbow."""
    figure(
        "Position score by rank",
        altair(positions_charts.score_rank(study.scores, count, study.suggested), "score-rank"),
        study.scores[["rank", "feature", "position_score", "peak"]],
        explains=["position_score", "n_positional"],
        note=study.note(f"positions below {study.context_size}", _elbow(study)),
        name="position-score-rank",
        provenance=study.provenance,
        told=told(study),
        finding=findings.positional(study).said,
    )


def _elbow(study: Study) -> str:
    if study.suggested:
        return f"elbow at {study.suggested}"
    return f"no clear elbow: position explains no more than chance, {chance_r2(study.stats):.2g} of the variance"


def peak_counts(study: Study, features: list[int]) -> None:
    """Draw how many of the chosen features peak at each position."""
    table = peaks_per_position(study.stats, features)
    covered = int((table["features"] > 0).sum())
    figure(
        f"Where the {len(features)} shown features peak",
        altair(positions_charts.peaks(table, context_size=study.context_size), "peaks"),
        table,
        explains=["features_peaking", "peak"],
        note=study.note(f"{covered} of {study.context_size} positions are the peak of some feature"),
        name="position-peaks",
        provenance=study.provenance,
    )


def first_position(study: Study) -> int:
    """Return the position to show until a person picks one; position 0 is unlike all others in most models."""
    return min(5, study.n_pos - 1)


def one_position(study: Study) -> None:
    """Draw the features with the largest mean at the picked position, and their curves."""
    position = int(st.session_state.get("position", first_position(study)))
    table = tables.at_position(study.stats, position, top=20)
    lines = tables.curves(study.stats, table["feature"].head(10).astype(int).tolist())
    left, right = st.columns(2, gap="medium")
    with left:
        chart = positions_charts.curves(
            lines, n_pos=study.n_pos, context_size=study.context_size, y_title="Mean activation", legend=True
        )
        figure(
            f"The ten strongest features at position {position}, at all positions",
            altair(chart, "at-position-curves"),
            lines,
            explains=["mean_activation", "std_activation"],
            note=study.note("band: one standard deviation over tokens either side", *study.context_note),
            name=f"position-{position}-curves",
            provenance=study.provenance,
        )
    with right:
        figure(
            f"Strongest features at position {position}",
            listing(table, "at-position", picks="feature"),
            table,
            explains=["mean_activation", "std_activation", "firing_rate"],
            note=study.note("top 20 by mean activation", "click a row to pick its feature"),
            name=f"position-{position}-features",
            provenance=with_settings(study.provenance, position=position),
            told=told(study),
        )


def curves(study: Study, count: int) -> None:
    """Draw mean and band by position, before or after the activation function."""
    stage = st.segmented_control(
        "Show",
        ["Activations", "Pre-activations"],
        default="Activations",
        required=True,
        key="stage",
        bind="query-params",
        help="Pre-activations are the input of the activation function: (x − b_dec) · W_enc + b_enc.",
    )
    before = stage == "Pre-activations"
    features = study.top(min(count, MOST_CURVES))
    table = tables.curves(study.stats, features, stage="pre_acts" if before else "acts")
    chart = positions_charts.curves(
        table,
        n_pos=study.n_pos,
        context_size=study.context_size,
        y_title="Mean pre-activation" if before else "Mean activation",
        legend=len(features) <= 20,
    )
    figure(
        f"{stage} of the {len(features)} features with the largest position score",
        altair(chart, "curves"),
        table,
        explains=["mean_pre_activation", "std_pre_activation"] if before else ["mean_activation", "std_activation"],
        note=study.note("band: one standard deviation over tokens either side", *study.context_note),
        name=f"position-curves-{'pre' if before else 'post'}",
        provenance=with_settings(study.provenance, stage=stage),
    )


SCATTERS = {
    "Position score against token score": ("token_score", "position_score", True, True),
    "Share of variance: token against position": ("share_token", "share_position", False, False),
    "Mutual information against position score": ("position_score", "mutual_information", True, True),
    "Inverse scores (disjointness)": ("inverse_token_score", "inverse_position_score", True, True),
    "t-score against position score": ("position_score", "t_score", True, False),
    "Peak width against peak": ("peak", "peak_width", False, False),
}


def scores(study: Study, count: int) -> None:
    """Compare how far features follow position or token, by several definitions."""
    table = study.scores
    pair = st.selectbox("Compare", list(SCATTERS), key="pair", bind="query-params")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if table[list(SCATTERS[pair][:2])].notna().all(axis=1).any():
            scatter(study, pair, count)
        else:
            st.info(f"{plain(pair)} needs the activations on all tokens at all positions. This dictionary has none.")
    with right:
        shares(study, min(count, MOST_BARS))


def scatter(study: Study, pair: str, count: int) -> None:
    """Draw one point for each feature. A click picks it."""
    x, y, x_log, y_log = SCATTERS[pair]
    table = study.scores[["feature", "rank", x, y]]
    groups = np.where(table["rank"] <= count, f"{count} largest position scores", "other features")
    drawn = table.assign(group=groups).dropna(subset=[x, y])
    chart = charts.scatter(
        drawn,
        x,
        y,
        x_title=axis_title(x, x_log),
        y_title=axis_title(y, y_log),
        x_log=x_log,
        y_log=y_log,
        group="group",
        select="point",
    )
    zeros = sum(int((table[name] <= 0).sum()) for name, log in ((x, x_log), (y, y_log)) if log)
    figure(
        pair,
        altair(chart, "scatter", on_select=choose_feature_from("scatter", "point"), selection="point"),
        table,
        explains=[x, y],
        note=study.note(
            f"{len(drawn):,} features with both values",
            *([f"{zeros:,} with values of 0 or less are not on the log axis"] if zeros else []),
            "click a point to pick its feature",
        ),
        name=f"scatter-{x}-{y}",
        provenance=study.provenance,
        told=told(study),
    )


def shares(study: Study, count: int) -> None:
    """Draw how the variance of the strongest features splits into position, token and both together."""
    names = ["share_position", "share_token", "share_interaction"]
    table = study.scores.loc[study.scores["position_score"] > 0, ["feature", "rank", *names]].head(count)
    figure(
        f"How the variance of the top {len(table)} splits",
        altair(positions_charts.shares(table, {name: catalogue.statistic(name).title for name in names}), "shares"),
        table,
        explains=names,
        note=study.note(f"positions below {study.context_size}", "two-way analysis of variance"),
        name="variance-shares",
        provenance=study.provenance,
    )


def all_features(study: Study) -> None:
    """List every score of every feature."""
    table = study.scores
    figure(
        f"All {len(table):,} features",
        listing(table, "all-features", height=560, picks="feature"),
        table,
        explains=["position_score", "token_score", "mutual_information", "t_score"],
        note=study.note("sorted by position score; click a column to sort by it, a row to pick its feature"),
        name="positional-features",
        provenance=study.provenance,
        told=told(study),
    )
