"""The tab Error by position: the error of the dictionary, past its training context too."""

from dataclasses import replace

import pandas as pd
import streamlit as st

from core.activations import tables
from core.corpus.samples import SampleSettings
from core.dictionaries.config import check_reconstructs
from ui.activations.positions import Chosen
from ui.shared import charts
from ui.shared.figure import altair, figure
from ui.studies import corpus, token_pass

ERRORS = {
    "Normalised error": ("nmse", "nmse_random", "Squared error / variance", True),
    "Mean squared error": ("mse", "mse_random", "Mean squared error", True),
    "Norm of the error": ("l2", "l2_random", "Norm of the error", True),
    "Cosine of input and output": ("cosine", None, "Cosine", False),
    "Length of output over input": ("l2_ratio", None, "‖x̂‖ / ‖x‖", False),
    "Active features (L0)": ("l0", None, "Features active on a token", False),
    "Sum of activations (L1)": ("l1", None, "Σ|f| on a token", False),
}


def error(view: Chosen) -> None:
    """Draw the error by position on rows of the chosen length, with the end of the training context marked."""
    left, right = st.columns(2)
    which = left.selectbox("Measure", list(ERRORS), key="act_error", bind="query-params")
    with right:
        settings = lengths(view)
    wpe = view.passed.model.wpe
    longer = Chosen(token_pass.token_pass(settings=settings, wpe=wpe), view.with_first) if settings else view
    curve(longer, which)


def lengths(view: Chosen) -> SampleSettings | None:
    """Pick the length of rows; None: that of the page. Longer rows are fewer, so the tokens stay as many."""
    own, model, context = view.statistics.n_pos, view.passed.model, view.context_size
    sizes = sorted(
        {own, *(size for size in (context, 2 * (context or 0), model.n_ctx) if size and size <= model.n_ctx)}
    )
    if len(sizes) == 1:
        return None
    if st.session_state.get("act_length", own) not in sizes:
        del st.session_state["act_length"]  # from a dictionary with another context
    length = st.select_slider(
        "Tokens in a row",
        sizes,
        value=own,
        key="act_length",
        bind="query-params",
        help=f"The dictionary was trained on rows of {context or 'unknown length'}; the model reads {model.n_ctx}. "
        "Rows of another length need a token pass of their own.",
    )
    if length == own:
        return None
    n_rows = max(1, round(len(view.passed.sample.rows) * own / length))
    return replace(corpus.settings(), context=int(length), n_rows=n_rows)


def curve(view: Chosen, which: str) -> None:
    """Draw one measure of the reconstruction by position."""
    name, baseline, title, log = ERRORS[which]
    if name not in ("l0", "l1"):
        check_reconstructs(view.passed.dictionary.config, view.passed.dictionary.title)
    n_pos, context = view.statistics.n_pos, view.context_size or view.statistics.n_pos
    frame, sums = tables.error_curves(view.statistics, context_size=context, with_first=view.with_first)
    parts = [frame[["position"]].assign(series="reconstruction", value=frame[name])]
    if baseline:
        parts.append(frame[["position"]].assign(series="random direction of the same length", value=frame[baseline]))
    chart = charts.error_by_position(
        pd.concat(parts, ignore_index=True),
        n_pos=n_pos,
        context_size=context,
        y_title=title + (" (log)" if log else ""),
        log=log,
    )
    figure(
        f"{which} by position",
        altair(chart, "act-error"),
        frame,
        explains=[name, "fve"],
        note=view.note(*totals(sums, context, n_pos)),
        name="activations-error-by-position",
        provenance=view.provenance,
        told=view.passed.told,
    )


def totals(sums: pd.DataFrame, context: int, n_pos: int) -> list[str]:
    """Say how much variance is explained inside and beyond the training context."""
    by_place = sums.set_index("where")
    said = [f"fve {by_place.loc['inside', 'fve']:.3f} inside the training context of {context}"]
    if context < n_pos:
        return [*said, f"{by_place.loc['beyond', 'fve']:.3f} beyond"]
    return [*said, "choose longer rows to see beyond it"]
