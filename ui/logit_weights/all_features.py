"""The tab Moments of the logit-weight page: scatter of shapes, histograms, filter by ranges.

A view takes the study (dictionary, model, settings, statistics, table) and draws figures. Core computes every number
that has a definition.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.logit_weights.classes import CLASSES, ClassThresholds, class_counts
from core.logit_weights.study import BASELINE_SEED, LogitStudy
from ui.logit_weights import charts, one_feature
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import choose_feature_from, selection_of
from ui.studies import feature_columns, logit_weights

RANGED = ("logit_std", "skewness", "kurtosis")


def overview(study: LogitStudy) -> None:
    """Draw the scatter with its classes, the histograms, and the features in chosen ranges."""
    with st.expander("Borders of the classes", icon=":material/straighten:"):
        thresholds = logit_weights.thresholds()
    table = study.classified(thresholds)
    counts(table)
    if study.stats.constant.all():
        st.info("Every feature gives all tokens the same logit weight, so no feature has a shape to show.")
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        with errors.shown():
            scatter(study, table, thresholds)
        with errors.shown():
            picked(study)
    with right, errors.shown():
        histograms(study)
    range_query(study, table)


def counts(table: pd.DataFrame) -> None:
    """Count the features of each class that has any, with the borders as set, and name the other classes."""
    counts = of_classes(table)
    cards = st.container(horizontal=True)
    for name in CLASSES:
        if counts[name]:
            cards.metric(
                name.capitalize(),
                f"{counts[name]:,}",
                border=True,
                help=plain(catalogue.help_text("logit_class")),
            )
    if empty := [name for name in CLASSES if not counts[name]]:
        st.caption(f"No feature within these borders: {', '.join(empty)}.")


def of_classes(table: pd.DataFrame) -> dict[str, int]:
    return class_counts(table["logit_class"].to_numpy(dtype=str))


def colour_of(study: LogitStudy) -> tuple[str, bool, np.ndarray | None]:
    """Pick the colour of points. Return its name, whether its scale is logarithmic, and values not in the table."""
    own = {catalogue.statistic(name).title: name for name in ("logit_std", "logit_class")}
    others = {column.title: column for column in feature_columns.COLUMNS.values() if column.title not in own}
    title = st.selectbox("Colour", [*own, *others], key="lw_colour", bind="query-params")
    if title in own:
        return own[title], own[title] == "logit_std", None
    column = others[title]
    return column.name, column.log, np.asarray(column.values(study.dictionary.id))


def scatter(study: LogitStudy, table: pd.DataFrame, thresholds: ClassThresholds) -> None:
    """Draw skewness against kurtosis of all features. A click picks one; a drag sets the ranges below."""
    controls = st.columns([2, 1], vertical_alignment="bottom")
    excess = controls[1].toggle("Excess", key="lw_excess", bind="query-params", help="Kurtosis − 3: 0 for a Gaussian.")
    with controls[0]:
        colour, log, values = colour_of(study)
    if values is not None:
        table = table.assign(**{colour: values})
    y = "excess_kurtosis" if excess else "kurtosis"
    table = table.assign(excess_kurtosis=table["kurtosis"] - 3)
    drawn = table[~study.stats.constant]
    least = drawn.loc[drawn[colour] > 0, colour].min() if log else np.nan
    shift = 3 if excess else 0
    chart = charts.shape_scatter(
        # A log scale has no colour for 0, so such points take the colour of the smallest value above 0.
        drawn.assign(**{colour: drawn[colour].clip(lower=least)}) if log and least > 0 else drawn,
        y=y,
        y_title=catalogue.statistic(y).title,
        colour=colour,
        colour_title=catalogue.statistic(colour).title,
        log=log and least > 0,
        borders={
            "skewness": (-thresholds.even, thresholds.even),
            y: (thresholds.flat - shift, thresholds.peaked - shift),
        },
        picked=picked_feature(),
    )
    figure(
        "Shape of every feature's logit weights",
        altair(chart, "lw-scatter", on_select=on_scatter, selection=["point", "brush"]),
        table,
        explains=["skewness", y, colour, "logit_class"],
        note=study.note(
            f"{len(drawn):,} features with a shape",
            f"dashed: {thresholds.describe(study.stats)}",
            "click a point to pick its feature, drag to set the range below",
        ),
        name=f"logit-{y.replace('_', '-')}-skewness",
        provenance=study.provenance,
        finding=f"Features by class: {', '.join(f'{name} {count:,}' for name, count in of_classes(table).items())}.",
    )


def picked(study: LogitStudy) -> None:
    """Draw the logit weights of the picked feature."""
    feature = picked_feature()
    if study.stats.constant[feature]:
        st.caption(f"Feature {feature} gives every token the same logit weight.")
        return
    split = one_feature.split_by(study, st.session_state.get("lw_split", "starts_with_space"))
    one_feature.weight_histogram(study, feature, split)


def on_scatter() -> None:
    """Turn a click into the picked feature, and a drag into the ranges below."""
    choose_feature_from("lw-scatter", "point")()
    brush = selection_of("lw-scatter").get("brush") or {}
    shift = 3 if st.session_state.get("lw_excess") else 0
    for name, field, add in (
        ("skewness", "skewness", 0),
        ("kurtosis", "kurtosis", 0),
        ("kurtosis", "excess_kurtosis", shift),
    ):
        limits = brush.get(field)
        if limits:
            st.session_state[f"lw_{name}_min"] = float(min(limits)) + add
            st.session_state[f"lw_{name}_max"] = float(max(limits)) + add


def histograms(study: LogitStudy) -> None:
    """Draw skewness and log10 kurtosis of all features, beside random directions."""
    controls = st.columns([1, 1], vertical_alignment="bottom")
    bins = controls[0].select_slider("Bins", [25, 50, 100, 200, 400], value=100, key="lw_bins", bind="query-params")
    against = controls[1].toggle(
        "Random directions",
        value=True,
        key="lw_random",
        bind="query-params",
        help=f"Draws as many random directions as there are features (seed {BASELINE_SEED}).",
    )
    baseline = Later(lambda: logit_weights.random_baseline(study) if against else None)
    for name, title in (("skewness", "Skewness"), ("kurtosis", "log₁₀ kurtosis")):
        series = {f"{study.dictionary.d_sae:,} features": getattr(study.stats, name)}
        if baseline.value is not None:
            series["as many random directions"] = getattr(baseline.value, name)
        if name == "kurtosis":
            series = {key: np.log10(values) for key, values in series.items()}
        table = charts.binned(series, int(bins))
        figure(
            title,
            altair(charts.overlaid(table, title=title), f"lw-{name}"),
            table,
            explains=[name],
            note=study.note(f"{bins} bins", "log counts, linear near 0", *baseline.said),
            name=f"logit-{name}-histogram",
            provenance=study.provenance,
        )
    baseline.draw()


def range_query(study: LogitStudy, table: pd.DataFrame) -> None:
    """List the features within ranges of standard deviation, skewness and kurtosis. A click on a row picks one."""
    limits = {}
    boxes = st.columns(2 * len(RANGED) + 1, vertical_alignment="bottom")
    for i, name in enumerate(RANGED):
        title = catalogue.statistic(name).title
        limits[name] = [
            boxes[2 * i + j].number_input(
                f"{title} {words}",
                value=None,
                format="%.4g",
                placeholder="any",
                key=f"lw_{name}_{end}",
                bind="query-params",
            )
            for j, (end, words) in enumerate((("min", "from"), ("max", "to")))
        ]
    boxes[-1].button("Clear", on_click=clear_ranges, width="stretch")
    inside = within(table, limits).sort_values(["skewness", "feature"], ascending=[False, True], ignore_index=True)
    if not len(inside):
        st.info(f"None of {len(table):,} features lies in these ranges. Widen or clear the ranges.")
        return
    figure(
        f"{len(inside):,} of {len(table):,} features lie in these ranges",
        listing(inside, "lw-range", height=420, picks="feature"),
        inside,
        explains=["logit_class", *RANGED, "top_token", "bottom_token"],
        note=study.note("sorted by skewness; click a column to sort by it, a row to pick its feature"),
        name="logit-features",
        provenance=study.provenance,
    )


def clear_ranges() -> None:
    """Forget all limits."""
    for name in RANGED:
        for end in ("min", "max"):
            st.session_state[f"lw_{name}_{end}"] = None


def within(table: pd.DataFrame, limits: dict[str, Sequence[float | None]]) -> pd.DataFrame:
    """Keep rows whose columns lie between both limits, ends included; None is no limit, and NaN lies nowhere."""
    keep = np.ones(len(table), bool)
    for name, (low, high) in limits.items():
        if low is not None:
            keep &= (table[name] >= low).to_numpy()
        if high is not None:
            keep &= (table[name] <= high).to_numpy()
    return table[keep]
