"""The tab Beyond the context: errors past the training context, and features that fire only there."""

import numpy as np
import pandas as pd
import streamlit as st

from core.models.tokens import label
from core.positions import tables
from core.positions.grids import only_beyond_tokens
from core.positions.repair import RepairCurves, check_repairable, repair_curves
from core.positions.study import Study
from core.work.progress import Progress
from ui.positions import charts as positions_charts
from ui.shared import charts, errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.selection import columns
from ui.studies import compute, positions


def beyond(study: Study, count: int) -> None:
    """Show the error by position, repairs past the training context, and features that fire only there.

    The `count` features with the largest position scores count as positional.
    """
    with errors.shown():
        reconstruction_error(study)
    if study.context_size >= study.n_pos:
        st.info(
            f"All positions shown lie inside the training context ({study.context_size}). To see later ones, move "
            "the slider Positions."
        )
        return
    if study.stats.method != "corpus":
        with errors.shown():
            repairs(study, count)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        newcomers(study)
    with right, errors.shown():
        accidental(study)


ERRORS = {
    "Normalised error": ("nmse", "nmse_random", "Squared error / variance"),
    "Mean squared error": ("mse", "mse_random", "Mean squared error"),
    "L2 norm of the error": ("l2", "l2_random", "Norm of the error"),
    "Cosine of input and output": ("cosine", None, "Cosine"),
    "Active features (L0)": ("l0", None, "Features active on a token"),
}


def reconstruction_error(study: Study) -> None:
    """Draw the dictionary's error on text by position, beside that of a random direction of the same length."""
    left, right = st.columns([1, 1])
    which = left.selectbox("Measure", list(ERRORS), key="error", bind="query-params")
    n_rows = right.select_slider(
        "Rows of text",
        [32, 64, 128, 256, 512],
        value=64,
        key="error_rows",
        bind="query-params",
        help="Rows of the chosen text, as long as the positions shown.",
    )
    name, baseline, title = ERRORS[which]
    result, sample = positions.error_by_position(study.n_pos, n_rows)
    text = sample.note
    frame = result.to_frame()
    parts = [frame[["position"]].assign(series="reconstruction", value=frame[name])]
    if baseline:
        parts.append(frame[["position"]].assign(series="random direction of the same length", value=frame[baseline]))
    table = pd.concat(parts, ignore_index=True)
    log = name not in ("cosine", "l0")
    totals = result.totals().set_index("where")
    said = [f"fve {totals.loc['inside', 'fve']:.3f} inside the training context"]
    if result.first:
        said.append("position 0 left out of fve")
    if study.context_size < study.n_pos:
        said.append(f"{totals.loc['beyond', 'fve']:.3f} beyond")
    chart = charts.error_by_position(
        table, n_pos=study.n_pos, context_size=study.context_size, y_title=title + (" (log)" if log else ""), log=log
    )
    figure(
        f"{which} by position",
        altair(chart, "error-by-position"),
        frame,
        explains=[name, "fve"],
        note=f"{text} · {' · '.join(said)}",
        name="error-by-position",
        provenance=positions.on_text(study, sample),
    )


def repairs(study: Study, count: int) -> None:
    """Show whether repairing positions by hand lowers the error (raises LoupeError)."""
    check_repairable(study.dictionary, study.model)
    features = study.top(count)
    sample = positions.text_of(study.dictionary, study.model, study.n_pos, 64)
    rows, text = sample.rows, sample.note
    chosen = {"features": features, "context_size": study.context_size}

    def work(progress: Progress) -> RepairCurves:
        return repair_curves(study.dictionary, study.model, rows, progress=progress, **chosen)

    key = RepairCurves.key(study.dictionary, study.model, rows, **chosen)
    table = compute.result(RepairCurves, key, "Repairing reconstructions", work).to_frame()
    chart = charts.error_by_position(
        table.rename(columns={"repair": "series", "mse": "value"}),
        n_pos=study.n_pos,
        context_size=study.context_size,
        y_title="Mean squared error (log)",
        log=True,
    )
    figure(
        "Error by position after repairs by hand",
        altair(chart, "repairs"),
        table,
        explains=["repair", "mse", "l2"],
        note=f"{text} · {len(features)} features count as positional",
        name=f"repairs-{len(features)}",
        provenance=positions.on_text(study, sample, n_positional=len(features)),
    )


def newcomers(study: Study) -> None:
    """Draw the features with the largest mean activations past the training context."""
    outside = study.stats.mean[:, study.context_size :].max(axis=1)
    top = [int(i) for i in np.argsort(-outside, kind="stable")[:12] if outside[i] > 0]
    table = tables.curves(study.stats, top)
    chart = positions_charts.curves(
        table, n_pos=study.n_pos, context_size=study.context_size, y_title="Mean activation", legend=True
    )
    figure(
        f"The {len(top)} features with the largest mean beyond position {study.context_size}",
        altair(chart, "newcomers"),
        table,
        explains=["mean_activation", "std_activation"],
        note=study.note("band: one standard deviation either side"),
        name="beyond-curves",
        provenance=study.provenance,
    )


def accidental(study: Study) -> None:
    """List features that fire on a token only beyond the training context."""
    table = study.scores.loc[
        study.scores["only_beyond"] > 0, ["feature", "only_beyond", "position_score", "token_score"]
    ]
    table = table.sort_values("only_beyond", ascending=False, ignore_index=True)
    if study.stats.method == "corpus":
        st.info("This table needs a layer-0 dictionary of a model with absolute positions.")
        return
    event = figure(
        f"{len(table):,} features that fire on more tokens beyond the context",
        lambda: st.dataframe(
            table.head(500),
            hide_index=True,
            column_config=columns(table),
            height=280,
            key="accidental",
            on_select="rerun",
            selection_mode="single-row",
        ),
        table,
        explains=["only_beyond"],
        note=study.note(f"context {study.context_size}", "click a row to see its tokens"),
        name="only-beyond",
        provenance=study.provenance,
    )
    rows = event["selection"]["rows"] if event else []
    if rows and rows[0] < len(table):
        feature = int(table["feature"].iloc[rows[0]])
        grid = positions.feature_grid(feature, study.n_pos)
        tokens = only_beyond_tokens(grid, study.context_size)
        shown = ", ".join(label(study.model.token_strings[t]) for t in tokens[:60])
        st.markdown(f"Feature {feature} on {len(tokens):,} tokens: {plain(shown)}{' …' if len(tokens) > 60 else ''}")
