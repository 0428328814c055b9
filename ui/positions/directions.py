"""The tabs of the positions page on directions: helix, cosines with W_pos, width, neurons of the model."""

import numpy as np
import pandas as pd
import streamlit as st

from core.dictionaries.sources import entries
from core.dictionaries.spaces import directions
from core.models.names import same_model
from core.positions import embeddings, tables
from core.positions.study import Study
from core.positions.units import UnitCurves
from ui.positions import charts as positions_charts
from ui.shared import charts, errors
from ui.shared.figure import altair, figure
from ui.studies import compute
from ui.studies import positions as positions_studies


def geometry(study: Study, count: int) -> None:
    """Show position vectors and the features that write along them."""
    if study.model.positions != "absolute" or study.dictionary.config.d_in != study.model.d_model:
        st.info(
            f"{study.model.name} has no position vectors in the space of this dictionary, so this tab has nothing to "
            "draw.",
            icon=":material/category:",
        )
        return
    features = study.top(count)
    left, right = st.columns([3, 2], gap="medium")
    with left, errors.shown():
        helix(study, features)
    with right:
        max_cosine(study)
    side = st.segmented_control(
        "Rows", ["Decoder", "Encoder"], default="Decoder", required=True, key="side", bind="query-params"
    )
    left, right = st.columns([3, 2], gap="medium")
    with left:
        cosine_heatmap(study, features, side)
    with right:
        self_similarity(study)


def helix(study: Study, features: list[int]) -> None:
    """Draw a PCA of the position vectors, with decoder rows on the same axes."""
    C = study.context_size
    controls = st.columns([1, 1, 1], vertical_alignment="bottom")
    first = controls[0].number_input("First position", 0, C - 5, 1 if C > 6 else 0, key="first", bind="query-params")
    last = controls[1].number_input("Last position", int(first) + 4, study.n_pos - 1, C - 1, key="last")
    unit = controls[2].toggle("Rows of length 1", value=True, key="unit", bind="query-params")
    pca = embeddings.position_pca(study.model.W_pos, first=int(first), last=int(last) + 1, unit_norm=unit)
    peaks = study.scores.set_index("feature")["peak"].loc[features].to_numpy(dtype=int)
    inside = (peaks >= first) & (peaks <= last)
    chosen = np.asarray(features, dtype=int)[inside]
    positions = pd.DataFrame(pca.coordinates, columns=["x", "y", "z"]).assign(position=np.arange(first, last + 1))
    where = embeddings.project(pca, study.dictionary.W_dec[chosen])
    diamonds = pd.DataFrame(where, columns=["x", "y", "z"]).assign(feature=chosen, position=peaks[inside])
    shares = pca.explained[:3]
    titles = [f"PC{i + 1} ({share:.0%})" for i, share in enumerate(shares)]
    figure(
        f"Position vectors: three axes hold {shares.sum():.0%} of their variance",
        lambda: st.plotly_chart(positions_charts.helix(positions, diamonds, titles), key="helix", width="stretch"),
        pd.concat([positions.assign(kind="W_pos"), diamonds.assign(kind="W_dec")]),
        explains=["pca_explained", "peak"],
        note=f"PCA of W_pos rows {int(first)} to {int(last)}, {'scaled to length 1' if unit else 'as stored'} · "
        f"{len(diamonds)} decoder rows projected, coloured by peak · drag to turn",
        name="position-helix",
        provenance=study.provenance,
    )


def max_cosine(study: Study) -> None:
    """Draw how close every feature comes to a position vector."""
    W_pos = study.model.W_pos[: study.context_size]
    sides = ("decoder", "encoder")
    parts = {side: np.ascontiguousarray(directions(study.dictionary, side)) for side in sides}
    nearest = {name: embeddings.nearest_position(rows, W_pos) for name, rows in parts.items()}
    table = pd.DataFrame(
        {
            "feature": np.arange(study.dictionary.d_sae),
            **{f"max_cosine_{name}": near.cosine for name, near in nearest.items()},
            **{f"nearest_position_{name}": near.index for name, near in nearest.items()},
        }
    )
    chart = charts.histogram(table, "max_cosine_decoder", "Largest cosine with a position vector", log=True)
    figure(
        "Nearest position vector of each decoder row",
        altair(chart, "max-cosine"),
        table,
        explains=["max_cosine"],
        note=f"{study.dictionary.d_sae:,} features × positions below {study.context_size} · log counts, linear near 0",
        name="max-cosine",
        provenance=study.provenance,
    )


def cosine_heatmap(study: Study, features: list[int], side: str) -> None:
    """Draw the cosines of the chosen features' rows with every position vector."""
    order = tables.feature_order_by_peak(study.stats, features[:40])
    rows = directions(study.dictionary, "decoder" if side == "Decoder" else "encoder")
    values = embeddings.cosine_to_positions(np.ascontiguousarray(rows[order]), study.model.W_pos[: study.n_pos])
    table = tables.matrix_cells(
        values, order, np.arange(study.n_pos), names=("feature", "position", "cosine_with_position"), keep_zeros=True
    )
    chart = positions_charts.cosine_heatmap(table, order, n_pos=study.n_pos, context_size=study.context_size)
    figure(
        f"Cosine of {side.lower()} rows with W_pos",
        altair(chart, "cosine-heatmap"),
        table,
        explains=["cosine_with_position"],
        note=f"{len(order)} features with the largest position score · {study.n_pos} positions",
        name=f"cosine-{side.lower()}",
        provenance=study.provenance,
    )


def self_similarity(study: Study) -> None:
    """Draw the cosines of position vectors with each other, on a grid of at most 64 x 64."""
    step = max(1, -(-study.n_pos // 64))
    chosen = np.arange(0, study.n_pos, step)
    values = embeddings.position_self_similarity(study.model.W_pos[chosen])
    table = tables.matrix_cells(
        values, chosen, chosen, names=("position", "other", "position_self_similarity"), keep_zeros=True
    )
    figure(
        "Position vectors compared with each other",
        altair(positions_charts.self_similarity(table, study.n_pos), "self-similarity"),
        table,
        explains=["position_self_similarity"],
        note=f"cosine of W_pos rows · one position in {step}, of {study.n_pos}" if step > 1 else "cosine of W_pos rows",
        name="position-self-similarity",
        provenance=study.provenance,
    )


def widths(study: Study) -> None:
    """Draw the number of positional features against the width, of the picked dictionary and its model's others."""
    picked = study.dictionary
    same = [
        entry
        for entry in entries(compute.workspace())
        if entry.hook_name == picked.config.hook_name
        and same_model(entry.model_name or "", study.model.name)
        and entry.id != picked.id
    ]
    if study.stats.method != "additive grid" or not same:
        return
    rows = [(picked.title, picked.d_sae, study.suggested)]
    for entry in same:
        with errors.shown():
            other = positions_studies.position_study(entry.id, study.n_pos)
            if other.stats.method == "additive grid":
                rows.append((entry.title, other.dictionary.d_sae, other.suggested))
    table = pd.DataFrame(rows, columns=["dictionary", "d_sae", "positional"])
    figure(
        "Positional features against width",
        altair(positions_charts.widths(table), "widths"),
        table,
        explains=["n_positional", "d_sae"],
        note=f"{len(table)} dictionaries at {study.dictionary.config.hook_name} · count by the elbow of the scores",
        name="positional-by-width",
        provenance=study.provenance,
    )


def neurons(study: Study) -> None:
    """Draw the same curves for the model's own units at any hook, from text."""
    hooks = study.model.hook_names()
    left, right = st.columns([2, 1])
    default = next((i for i, hook in enumerate(hooks) if hook.endswith("mlp.hook_pre")), 0)
    hook = left.selectbox("Hook", hooks, index=default, key="hook", bind="query-params")
    n_rows = right.select_slider("Rows of text", [64, 128, 256, 512], value=128, key="neuron_rows", bind="query-params")
    curves, sample = positions_studies.unit_curves(hook, study.n_pos, n_rows)
    note = f"{sample.note} · {hook} · {len(curves.mean):,} units"
    provenance = positions_studies.on_text(study, sample, hook=hook)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        unit_lines(curves, note, provenance)
    with right:
        table = curves.score_table()
        histogram = charts.histogram(table, "positional_r2", "Positional R²", log=True, y_title="Units")
        figure(
            "Share of variance that position explains, all units",
            altair(histogram, "unit-r2"),
            table,
            explains=["positional_r2"],
            note=note,
            name="unit-r2",
            provenance=provenance,
        )


def unit_lines(curves: UnitCurves, note: str, provenance: dict) -> None:
    """Draw the ten most positional units by position."""
    table = curves.curve_table(curves.score_table().head(10)["unit"].astype(int).tolist())
    n_pos = curves.mean.shape[1]
    chart = positions_charts.curves(
        table,
        n_pos=n_pos,
        context_size=n_pos,
        y_title="Mean value",
        legend=True,
        by="unit",
    )
    figure(
        "The ten units whose value position explains best",
        altair(chart, "unit-curves"),
        table,
        explains=["mean_unit", "positional_r2"],
        note=f"{note} · band: one standard deviation either side",
        name="unit-curves",
        provenance=provenance,
    )
