"""The tab By activations: which features are active on the same tokens."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.geometry import tables as geometry_tables
from core.matching.activation_tables import (
    WAYS,
    best_table,
    excess_table,
    matches_of,
    medians,
    universal_share,
    with_decoder_cosines,
)
from core.matching.activations import LEAST, ActivationMatch, K
from core.matching.baselines import RotatedMatch, UnitMatch
from ui.shared import charts, distributions
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies import matching_activations
from ui.studies.matching_activations import N_ROWS, SharedTokens

MOST_ROWS = 2_000
UNITS, ROTATED = "The models' own units", "A in a rotated basis of B"


@dataclass(frozen=True, eq=False)
class Found:
    """What was matched, on which tokens, and its baselines if they were asked for."""

    tokens: SharedTokens
    match: ActivationMatch
    units: UnitMatch | None
    rotated: RotatedMatch | None
    missing: tuple[str, ...] = ()
    """What the notes say of baselines that are still being computed."""

    @property
    def series(self) -> dict[str, np.ndarray]:
        """Return the best correlation of every feature, by direction."""
        return {WAYS[0]: self.match.a_in_b_corr[:, 0], WAYS[1]: self.match.b_in_a_corr[:, 0]}

    @property
    def chance(self) -> dict[str, np.ndarray]:
        """Return the same numbers of the baselines."""
        series = {UNITS: self.units.a_best} if self.units else {}
        return series | ({ROTATED: self.rotated.a_best} if self.rotated else {})

    def note(self, *more: str) -> str:
        tokens = self.tokens
        place = "" if tokens.with_first else " after position 0"
        parts = [f"{tokens.n_tokens:,} tokens{place} of {tokens.text}"]
        parts.append(f"features active on at least {self.match.least} of them")
        return " · ".join([*parts, *more])

    @property
    def provenance(self) -> dict:
        tokens = self.tokens
        settings = {"n_rows": len(tokens.rows), "context": tokens.rows.shape[1], "text": tokens.text}
        settings |= {"rows_sha256": rows_sha256(tokens.rows), "with_first": tokens.with_first}
        settings |= {"least": self.match.least, "k": K}
        return tables.provenance(
            dictionary=[self.tokens.a, self.tokens.b],
            model=self.tokens.model_a,
            method="activation correlation",
            settings=settings,
        )


def activations(a: Dictionary, b: Dictionary) -> None:
    """Match A and B by their activations on the same text. Their models may differ if they read the same tokens."""
    if a.sha256 == b.sha256:
        st.info("A and B are the same dictionary, so every feature matches itself. Choose another one for B.")
        return
    n_rows, least, with_first, rotate = settings()
    tokens = matching_activations.shared(a, b, n_rows=n_rows, with_first=with_first)
    match = matching_activations.match(tokens, least=least)
    if not (match.a_in_b_idx >= 0).any():
        st.info(
            f"No two features are active on {least} or more of the {tokens.n_tokens:,} tokens, so nothing can be "
            "correlated. Choose more rows, or a smaller number of active tokens."
        )
        return
    units = Later(lambda: matching_activations.units(tokens), missing="not yet compared with the models' own units")
    rotated = Later(
        lambda: matching_activations.rotated(tokens, least=least) if rotate else None,
        missing="not yet compared with a rotated basis",
    )
    view = Found(tokens, match, units.value, rotated.value, (*units.said, *rotated.said))
    readouts(view)
    histogram(view)
    units.draw()
    rotated.draw()
    left, right = st.columns(2, gap="medium")
    with left:
        best(view)
    with right:
        against_cosine(view)
    one_feature(view)


def settings() -> tuple[int, int, bool, bool]:
    """Pick how much text, how rare a feature may be, and the baselines: rows, least, with_first, rotated."""
    places = st.columns([2, 2, 2, 3], vertical_alignment="bottom", gap="medium")
    n_rows = places[0].number_input(
        "Rows of text",
        2,
        100_000,
        N_ROWS,
        key="match_rows",
        bind="query-params",
        help="Rows of the chosen text, as long as both training contexts allow. Stored passes are used again.",
    )
    least = places[1].number_input(
        "Least active tokens",
        1,
        1_000_000,
        LEAST,
        key="match_least",
        bind="query-params",
        help="Features active on fewer tokens are left out on both sides. Otherwise two features that fire on one "
        "common token alone would correlate perfectly.",
    )
    without_first = places[2].toggle(
        "Without position 0",
        value=True,
        key="match_without_first",
        bind="query-params",
        help="In deep layers position 0 is unlike all other positions, so all features that fire on it correlate.",
    )
    rotate = places[3].toggle(
        "Compare with a rotated basis",
        key="match_rotated",
        bind="query-params",
        help=plain(catalogue.help_text("excess_correlation")),
    )
    return int(n_rows), int(least), not without_first, rotate


def readouts(view: Found) -> None:
    """Draw medians of features and of units, and the share of universal features."""
    values = medians(view.series | view.chance)
    readings = [(f"Median, {name}", "median_best_correlation", value) for name, value in values.items()]
    if view.rotated is not None:
        readings.append((None, "universal_share", universal_share(view.match, view.rotated.a_best)))
    cards = st.container(horizontal=True)
    for label, name, value in readings:
        item = catalogue.statistic(name)
        cards.metric(
            label or item.title,
            f"{value:{item.format}}",
            border=True,
            height="stretch",
            help=plain(catalogue.help_text(name)),
        )


def histogram(view: Found) -> None:
    """Draw the best correlation of every feature, both ways, with medians and baselines."""
    edges = geometry_tables.common_edges(view.series | view.chance)
    known = geometry_tables.histograms(view.series, edges)
    chance = geometry_tables.histograms(view.chance, edges) if view.chance else known.head(0)
    lines = {f"median {name}, {value:.2f}": value for name, value in medians(view.series | view.chance).items()}
    chart = distributions.distances(
        known,
        chance,
        {name: value for name, value in lines.items() if np.isfinite(value)},
        value="share_in_bin",
        x_title="Best activation correlation",
        y_title="Share of the features",
        log=False,
    )
    figure(
        "How well features of one dictionary are found in the other",
        altair(chart, "match-activations"),
        pd.concat([known, chance], ignore_index=True),
        explains=["activation_correlation", "median_best_correlation", "unit_correlation", "rotated_correlation"],
        note=view.note("dotted: medians", *units_note(view), *view.missing),
        name="match-activations-histogram",
        provenance=view.provenance,
    )


def units_note(view: Found) -> list[str]:
    (one, hook), (other, _) = view.tokens.hooks
    if view.units is not None:
        return ["dashed: each unit at A's hook with its best match at B's hook"]
    if one.folder == other.folder:
        return [f"both read {hook} of {one.name}, so the model's own units would only match themselves"]
    return []


def best(view: Found) -> None:
    """List A's features with their best matches in B. A click picks the feature of A."""
    table = best_table(view.match)
    if view.rotated is not None:
        table = excess_table(view.match, view.rotated.a_best)
    shown = table.head(MOST_ROWS)
    figure(
        "Best matches of A's features",
        listing(shown, "match-activations-best", picks="feature_a", height=420),
        table,
        explains=["activation_correlation", "active_tokens_a", "active_tokens_b"]
        + (["rotated_correlation", "excess_correlation"] if view.rotated else []),
        note=view.note(f"{len(shown):,} of {len(table):,} features", "click a row to pick its feature of A"),
        name="match-activations-best",
        provenance=view.provenance,
        whose=whose(view),
    )


def against_cosine(view: Found) -> None:
    """Draw activation correlation of the best pairs against decoder cosine, if they have one."""
    try:
        table = with_decoder_cosines(best_table(view.match), view.tokens.a, view.tokens.b)
    except DoesNotFitError as error:
        st.info(f"Only activations can be compared. {plain(str(error))}", icon=":material/info:")
        return
    names = ["decoder_cosine", "activation_correlation"]
    chart = charts.scatter(table.rename(columns={"feature_a": "feature"}), *names, **axes(names), select="point")
    key = "match-activations-cosine"
    figure(
        "Activation correlation against decoder cosine",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        table,
        explains=names,
        note=view.note(f"{len(table):,} features of A, each with its best match in B by activations"),
        name=key,
        provenance=view.provenance,
        whose=whose(view),
    )


def whose(view: Found) -> dict[str, str]:
    """Return whose features the columns of tables hold, by hash."""
    a, b = view.tokens.a.sha256, view.tokens.b.sha256
    return {"feature": a, "feature_a": a, "feature_b": b}


def axes(names: list[str]) -> dict[str, str]:
    return {f"{axis}_title": axis_title(name, False) for axis, name in zip("xy", names, strict=True)}


def one_feature(view: Found) -> None:
    """List the best matches of the picked feature."""
    feature = picked_feature()
    if feature >= view.tokens.a.d_sae:
        return
    table = matches_of(view.match, feature)
    active = int(view.match.a_count[feature])
    if table.empty:
        st.info(f"Feature {feature} of A is active on {active:,} tokens, expected {view.match.least} or more.")
        return
    figure(
        f"The {len(table)} features of B most like feature {feature} of A",
        listing(table, "match-activations-one", picks="feature_a", height=390),
        table,
        explains=["match_rank", "activation_correlation"],
        note=view.note(f"feature {feature} is active on {active:,}"),
        name=f"match-activations-{feature}",
        provenance=view.provenance,
        whose=whose(view),
    )
