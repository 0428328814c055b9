"""The tab Atlas: what every feature does to the loss on a sample of text, beside random directions."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.activations.own_loss import said
from core.activations.store import counted
from core.interventions.atlas import QUADRANTS, SILENT_FEATURE
from core.maths.samples import drawn
from ui.interventions import attribution
from ui.interventions import attribution_charts as charts
from ui.interventions.subject import Subject
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies import atlas, token_pass
from ui.studies.atlas import AtlasStudy
from ui.studies.token_pass import TokenPass

ALL = "All"
CHECKED_TOKENS, CHECKED_FEATURES = 1024, 10
MOST_DRAWN = 2_400
"""Features in the scatter, each with two marks."""
COLUMNS = ("feature", "atlas_quadrant", "density", "atlas_effect", "atlas_size", "atlas_per_firing")
COLUMNS += ("atlas_mean_firing", "atlas_chance", "atlas_over_chance")


def draw() -> None:
    """Draw the atlas. Raises LoupeError, and StillRunning while it is computed or waits for a button."""
    _choose_size(token_pass.token_pass())
    study = atlas.study(ask=True)
    table = study.table[list(COLUMNS)]
    fires = table[table["atlas_quadrant"] != SILENT_FEATURE]
    st.caption(
        plain(
            "Each row of text is run forward and back once. A firing's effect is its activation times the gradient of "
            "the row's summed loss along the feature's decoder row: to first order, the loss as it is minus the loss "
            "without this firing. Below the table, ablation shows how far first order can be trusted. "
            f"{said(study.atlas.ce, study.passed.model.d_vocab)}"
        )
    )
    if fires.empty:
        st.info("No feature fires on this text. Choose more text.")
        return
    _facts(fires, table)
    scatter(study, fires)
    listed(study, table)
    _trust(study)


def _choose_size(passed: TokenPass) -> None:
    sizes, n_pos = atlas.sizes(passed), passed.sample.rows.shape[1]
    if len(sizes) == 1:
        return
    if st.session_state.get(atlas.KEY) not in sizes:
        st.session_state.pop(atlas.KEY, None)  # from a shorter text
    st.select_slider(
        "Tokens",
        sizes,
        format_func=lambda n_rows: f"{n_rows * n_pos:,}",
        key=atlas.KEY,
        bind="query-params",
        width=320,
        help="How much of the text of the token pass the atlas reads. Longer texts tell more of rare features.",
    )


def _facts(fires: pd.DataFrame, table: pd.DataFrame) -> None:
    cards = st.container(horizontal=True)
    cards.metric("Features that fire", f"{len(fires):,} of {len(table):,}", border=True)
    lower = (fires["atlas_effect"] < 0).mean()
    cards.metric(
        "Lower the loss", f"{lower:.0%}", border=True, help="Share of features whose effect on the loss is < 0."
    )
    idle = (fires["atlas_over_chance"] < 1).mean()
    cards.metric("Do less than chance", f"{idle:.0%}", border=True, help=catalogue.help_text("atlas_over_chance"))
    much = int((fires["atlas_quadrant"] == QUADRANTS[1]).sum())
    cards.metric(QUADRANTS[1].capitalize(), f"{much:,}", border=True, help=catalogue.help_text("atlas_quadrant"))


def scatter(study: AtlasStudy, fires: pd.DataFrame) -> None:
    """Draw how often a feature fires against what a firing does, and random directions in its place."""
    key, y = "iv-atlas-scatter", "atlas_per_firing"
    placed = fires[(fires[y] > 0) & (fires["density"] > 0)]
    shown = drawn(placed, y, most=MOST_DRAWN)
    chart = charts.atlas_scatter(
        shown,
        x_title=axis_title("density", True),
        y_title=axis_title(y, True),
        middles=(float(fires["density"].median()), float(fires[y].median())),
        picked=placed[placed["feature"] == picked_feature()],
    )
    some = ", the largest and a sample of the others" if len(shown) < len(placed) else ""
    figure(
        "How often features fire, and what a firing does to the loss",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        fires,
        explains=["density", y, "atlas_chance", "atlas_quadrant"],
        note=f"{len(shown):,} of {len(fires):,} features that fire{some} · dashed: medians, which part the four "
        f"quadrants · grey dashes: expected of random directions, as long and at the same tokens · ring: the picked "
        f"feature · click to pick · {study.note}",
        name="causal-atlas",
        provenance=study.provenance(),
        finding=f"{int((fires['atlas_over_chance'] > 1).sum()):,} features do more than a random direction would.",
    )


def listed(study: AtlasStudy, table: pd.DataFrame) -> None:
    """Draw the table of features, of one quadrant or of all."""
    chosen = st.pills(
        "Which features", [ALL, *QUADRANTS, SILENT_FEATURE], default=ALL, key="atlas_which", bind="query-params"
    )
    shown = table if chosen in (None, ALL) else table[table["atlas_quadrant"] == chosen]
    shown = shown.sort_values(["atlas_size", "feature"], ascending=[False, True], kind="stable")
    figure(
        f"{len(shown):,} of {len(table):,} features",
        listing(shown, "iv-atlas-table", height=420, picks="feature"),
        shown,
        explains=["atlas_effect", "atlas_size", "atlas_per_firing", "atlas_over_chance"],
        note=f"largest size of effects first · click a row to pick its feature · {study.note}",
        name="causal-atlas-features",
        provenance=study.provenance(),
    )


def _trust(study: AtlasStudy) -> None:
    """Offer to ablate some features on the first tokens of the text, and to compare that with first order."""
    passed = study.passed
    rows = passed.sample.rows[: max(1, CHECKED_TOKENS // passed.sample.rows.shape[1])].astype(np.int64)
    ablate = st.toggle(
        "Compare with ablation",
        key="atlas_check",
        bind="query-params",
        help=f"Ablates {2 * CHECKED_FEATURES} features, one at a time, and as many random directions, on the first "
        f"{rows.size:,} tokens of the text.",
    )
    if not ablate:
        return
    subject = Subject(
        passed.dictionary,
        passed.model,
        picked_feature(),
        rows,
        counted(rows, passed.sample.left_out),
        tuple(range(rows.shape[1]) for _ in rows),
        tuple(rows.shape[1] - 1 for _ in rows),
        passed,
        f"the first rows of {passed.text}",
    )
    attribution.compared(attribution.loss_of(subject), CHECKED_FEATURES)
