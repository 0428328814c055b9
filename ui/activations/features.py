"""The tabs Features and Values of one feature of the activations page."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.activations import tables
from core.activations.store import FeatureActivations
from core.feature.profile import position_profile
from core.tables import with_settings
from ui.activations import charts
from ui.activations.positions import Chosen
from ui.shared import audit
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import axis_title, choose_feature_from
from ui.sidebar import pickers
from ui.studies import token_pass


def features(view: Chosen) -> None:
    """Draw means against standard deviations and densities, the spread of means, and cumulative counts."""
    table = view.deciles
    if table.empty:
        st.info("No feature is active on this text. Choose more text.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        scatter(view, table, "std_active")
        means(view, table)
    with right:
        scatter(view, table, "density")
        cumulative(view, table)


def scatter(view: Chosen, table: pd.DataFrame, y: str) -> None:
    """Draw one point for each feature, on log axes. A click picks it."""
    x, key = "mean_active", f"act-scatter-{y}"
    placed = table[(table[x] > 0) & (table[y] > 0)]
    hidden = len(table) - len(placed)
    chart = charts.feature_scatter(
        placed,
        x,
        y,
        x_title=axis_title(x, True),
        y_title=axis_title(y, True),
        picked=table[table["feature"] == picked_feature()],
    )
    figure(
        f"{catalogue.statistic(y).title} against mean when active",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        table[["feature", "active_tokens", x, y]],
        explains=[x, y],
        note=view.note(
            f"{len(table):,} active features",
            *([f"{hidden:,} with a value of 0 or less are not on the log axes"] if hidden else []),
            "ring: the picked feature · click a point to pick another",
        ),
        name=f"features-mean-{y.replace('_', '-')}",
        provenance=view.provenance,
        told=view.passed.told,
    )


def means(view: Chosen, table: pd.DataFrame) -> None:
    """Draw the spread of the features' means, on a log axis."""
    counted = tables.distribution(table["mean_active"].to_numpy(dtype=float), log=True)
    figure(
        "Means of all features",
        altair(charts.distribution(counted, title="Mean when active", y_title="Features", log=True), "act-means"),
        counted.bars,
        explains=["mean_active", "kernel_density"],
        note=view.note(
            f"{len(table) - counted.left_out:,} active features",
            f"{len(counted.bars)} bins of equal ratio",
            *(["line: kernel density of log₁₀"] if len(counted.curve) else []),
            *([f"{counted.left_out:,} means of 0 or less left out"] if counted.left_out else []),
        ),
        name="features-means-histogram",
        provenance=view.provenance,
        told=view.passed.told,
    )


def cumulative(view: Chosen, table: pd.DataFrame) -> None:
    """Draw how many features have a mean, and a median, below a threshold."""
    counts = tables.cumulative_counts(table)
    titles = {name: catalogue.statistic(name).title for name in ("features_mean_below", "features_median_below")}
    figure(
        "How many features have a mean or median below x",
        altair(charts.cumulative(counts, titles), "act-cumulative"),
        counts,
        explains=["features_mean_below", "features_median_below"],
        note=view.note(f"{len(table):,} active features", f"{tables.THRESHOLDS} thresholds up to the largest mean"),
        name="features-cumulative",
        provenance=view.provenance,
        told=view.passed.told,
    )


def one_feature(view: Chosen) -> None:
    """Draw the histogram of the picked feature's activations, and its profile by position."""
    feature = picked_feature()
    acts = token_pass.of_feature(view.passed, feature)
    if not view.with_first:
        acts = only(acts, acts.position > 0)
    if not len(acts.act):
        st.info(
            plain(
                f"Feature {feature} is never active on this text ({view.note()}). Pick another feature, or "
                "choose more text."
            )
        )
        return
    numbers(view, feature, acts.act)
    left, right = st.columns(2, gap="medium")
    with left:
        values(view, feature, acts)
    with right:
        profile(view, feature, acts)


def only(acts: FeatureActivations, keep: np.ndarray) -> FeatureActivations:
    """Return some of a feature's activations."""
    return FeatureActivations(acts.row[keep], acts.position[keep], acts.act[keep])


def numbers(view: Chosen, feature: int, acts: np.ndarray) -> None:
    """Draw the feature's statistics."""
    row = view.features.iloc[feature]
    shown = {name: row[name] for name in ("active_tokens", "density", "mean_active", "std_active")}
    shown |= {"active_quantile": np.median(acts), "largest_activation": row["largest_activation"]}
    cards = st.container(horizontal=True)
    for name, value in shown.items():
        titles = {"active_quantile": "Median when active", "std_active": "Standard deviation"}
        title = titles.get(name, catalogue.statistic(name).title)
        text = f"{int(value):,}" if name == "active_tokens" else f"{value:.4g}"
        cards.metric(title, text, border=True, help=catalogue.help_text(name))
    checked = {"decile_5" if name == "active_quantile" else name: value for name, value in shown.items()}
    audit.beside_cards(cards, checked, f"feature-{feature}-numbers", with_settings(view.provenance, feature=feature))


def values(view: Chosen, feature: int, acts: FeatureActivations) -> None:
    """Draw the histogram of the non-zero activations, with a smooth curve that tells one peak from two."""
    where, which, how = st.columns([5, 3, 2], vertical_alignment="bottom")
    one = where.segmented_control(
        "Activations at", ["All positions", "One position"], default="All positions", required=True, key="act_at",
        bind="query-params",
    ) == "One position"  # fmt: skip
    at = "all positions"
    if one:
        with which:
            position = pickers.number("Position of the activations", "act_position", view.statistics.n_pos, default=1)
        acts, at = only(acts, acts.position == position), f"position {position}"
    log = how.toggle("Log axis", key="act_value_log", bind="query-params")
    if not len(acts.act):
        st.info(f"Feature {feature} is never active at {at}.")
        return
    # About this many values tell peaks from chance.
    shown = tables.distribution(acts.act, bins=min(60, max(8, round(2 * len(acts.act) ** 0.5))), log=log)
    chart = charts.distribution(shown, title="Activation", y_title="Tokens", log=log)
    figure(
        f"Activations of feature {feature} at {at}",
        altair(chart, "act-values"),
        shown.bars,
        explains=["active_tokens", "kernel_density"],
        note=view.note(
            f"{len(acts.act) - shown.left_out:,} activations at {at}, zeros left out",
            f"{len(shown.bars)} bins",
            "line: kernel density" if len(shown.curve) else "too few or equal values for a curve",
            *([f"{shown.left_out:,} of 0 or less are not on the log axis"] if shown.left_out else []),
        ),
        name=f"feature-{feature}-activation-bins",
        provenance=with_settings(view.provenance, feature=feature),
        told=view.passed.told,
    )


def profile(view: Chosen, feature: int, acts: FeatureActivations) -> None:
    """Draw mean and count of the feature's activations by position."""
    table = position_profile(acts, view.statistics.position_rows)
    n_pos = view.statistics.n_pos
    if not view.with_first:
        table = table.iloc[1:].reset_index(drop=True)
    # The band reaches below 0 only if an activation does.
    low = table["mean_active"] - table["std_active"]
    low = low if (acts.act < 0).any() else low.clip(lower=0)
    band = table.assign(low=low, high=table["mean_active"] + table["std_active"])

    def draw() -> None:
        chart = charts.profile(band, n_pos=n_pos, context_size=view.context_size)
        altair(chart, "act-profile")()
        altair(charts.counts(table, n_pos=n_pos), "act-profile-counts")()

    figure(
        f"Feature {feature} by position",
        draw,
        table,
        explains=["mean_active", "std_active", "active_tokens"],
        note=view.note(
            "bars: one standard deviation either side, none if it is active once",
            "below: number of rows on which it is active",
        ),
        name=f"feature-{feature}-by-position",
        provenance=with_settings(view.provenance, feature=feature),
        told=view.passed.told,
    )
