"""The tab By layer: activation values of a series of dictionaries side by side."""

from collections.abc import Mapping

import altair as alt
import pandas as pd
import streamlit as st

from core import catalogue
from core import tables as core_tables
from core.activations import tables
from core.amounts import of_bytes, of_seconds
from core.corpus.samples import TextSample
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry
from core.models.language_model import LanguageModel
from ui.activations import charts as activations_charts
from ui.activations.positions import Chosen
from ui.shared import charts, distributions, errors
from ui.shared.errors import NotStored
from ui.shared.figure import altair, figure
from ui.shared.selection import axis_title
from ui.studies import compute, corpus, feature_map, opened, sweeps, token_pass
from ui.studies.token_pass import TokenPass

_PANELS = 3
"""The number of small plots in a row."""


def layers(view: Chosen) -> None:
    """Find the series, offer to run the missing passes, and compare the layers."""
    listed = feature_map.series(view.passed.dictionary.id)
    if len(listed) < 2:
        feature_map.say_no_series()
        return
    chosen = st.multiselect(
        "Layers",
        list(listed),
        list(listed),
        key="act_layers",
        bind="query-params",
        help="Each layer needs a token pass.",
    )
    wpe = view.passed.model.wpe
    passes, missing = {}, {}
    for name, entry in listed.items():
        if name in chosen:
            with errors.shown():
                known = stored(entry, wpe)
                (missing if known is None else passes)[name] = known or entry
    if missing:
        with errors.shown():
            offer(missing, wpe)
    if not passes:
        return
    shown = {name: Chosen(passed, view.with_first) for name, passed in passes.items()}
    with errors.shown():
        by_position(view, shown)
    by_feature(view, shown)


def stored(entry: Entry, wpe: str) -> TokenPass | None:
    """Return a dictionary's pass if it is stored, else None. Runs nothing."""
    try:
        with compute.only_stored():
            return token_pass.token_pass(entry.id, wpe=wpe)
    except NotStored:
        return None


def offer(missing: Mapping[str, Entry], wpe: str) -> None:
    """Say what the missing passes cost, and run them one after the other when a person asks."""
    agreed = f"_act_passes {wpe} {corpus.settings()}"
    if not st.session_state.get(agreed):
        cost_line(missing, wpe)
        st.button(
            f"Run {len(missing)} token {'passes' if len(missing) > 1 else 'pass'}",
            key="act_run_layers",
            type="primary",
            icon=":material/play_arrow:",
            on_click=lambda: st.session_state.update({agreed: True}),
        )
        return
    name, entry = next(iter(missing.items()))
    label = f"Token pass of layer {name}, {len(missing)} to go"
    token_pass.pass_over(*parts(entry, wpe), ask=False, label=label)
    st.rerun()


def cost_line(missing: Mapping[str, Entry], wpe: str) -> None:
    """Estimate the cost of all passes from a few tokens of the deepest layer, which takes longest."""
    needed = [parts(entry, wpe) for entry in missing.values()]
    cost = token_pass.cost(*needed[-1])
    sweeps.say_missing(
        f"These layers have no token pass yet: {', '.join(missing)}. Each pass reads {cost.n_tokens:,} tokens. "
        f"Together they take at most about {of_seconds(len(missing) * cost.seconds)} on this machine and "
        f"{of_bytes(len(missing) * cost.nbytes)} on disk.",
        {token_pass.pass_key(*each) for each in needed},
    )


def parts(entry: Entry, wpe: str) -> tuple[Dictionary, LanguageModel, TextSample]:
    """Return what a pass of a dictionary needs."""
    dictionary = opened.dictionary(entry.id)
    model = opened.model_of(dictionary, wpe=wpe)
    return dictionary, model, corpus.sample(dictionary, model)


def by_position(view: Chosen, shown: Mapping[str, Chosen]) -> None:
    """Draw the mean activation by position: a plot for each layer, and all smoothed curves in one."""
    table = tables.layer_curves({name: other.statistics for name, other in shown.items()}, with_first=view.with_first)
    colours = dict(zip(shown, charts.ramp(len(shown)), strict=True))
    n_pos = max(other.statistics.n_pos for other in shown.values())

    def draw() -> None:
        names = list(shown)
        for first in range(0, len(names), _PANELS):
            for name, column in zip(names[first : first + _PANELS], st.columns(_PANELS), strict=False):
                chart = activations_charts.panel(
                    table[table["layer"] == name],
                    "mean_active",
                    n_pos=n_pos,
                    title=f"Layer {name}",
                    colour=colours[name],
                )
                with column:
                    altair(chart, f"act-panel-{name}")()

    figure(
        "Mean when active by position, layer by layer",
        draw,
        table,
        explains=["mean_active"],
        note=view.note(series_note(shown), "each layer has its own y axis"),
        name="layers-mean-by-position",
        provenance=provenance(view, shown),
    )
    overlay(view, shown, table, n_pos)


def overlay(view: Chosen, shown: Mapping[str, Chosen], table: pd.DataFrame, n_pos: int) -> None:
    """Draw the smoothed means of all layers on one axis."""
    smooth = bool(table["smoothed_mean"].notna().any())
    column = "smoothed_mean" if smooth else "mean_active"
    log = st.toggle("Log axis", key="act_layers_log", bind="query-params")
    chart = activations_charts.lines(
        table,
        column,
        group="layer",
        order=list(shown),
        colours=charts.ramp(len(shown)),
        x=charts.position_axis(n_pos),
        y_title=catalogue.statistic(column).title,
        log=log,
        legend="right",
        legend_title="Layer",
    ).properties(height=320)
    figure(
        f"{catalogue.statistic(column).title} by position, all layers",
        altair(chart, "act-layers-overlay"),
        table,
        explains=[column],
        note=view.note(
            series_note(shown), *([] if smooth else [f"rows too short to smooth over {tables.WINDOW} positions"])
        ),
        name="layers-smoothed-by-position",
        provenance=provenance(view, shown),
    )


def by_feature(view: Chosen, shown: Mapping[str, Chosen]) -> None:
    """Draw how means, standard deviations and densities of features change from layer to layer."""
    features = {name: other.features for name, other in shown.items()}
    for column, name in zip(st.columns(2, gap="medium"), ("mean_active", "density"), strict=True):
        with column:
            boxes(view, shown, tables.layer_boxes(features, name), name)
    left, right = st.columns(2, gap="medium")
    with left:
        scatter(view, shown, features, "std_active")
    with right:
        scatter(view, shown, features, "density")
    densities(view, shown, tables.layer_densities(features, "mean_active"))


def boxes(view: Chosen, shown: Mapping[str, Chosen], table: pd.DataFrame, name: str) -> None:
    """Draw quartiles over features by layer."""
    title = catalogue.statistic(name).title
    figure(
        f"{title} of features by layer",
        altair(distributions.layer_boxes(table, title=title, log=True), f"act-boxes-{name}"),
        table,
        explains=[name],
        note=view.note(
            series_note(shown), "active features", "whiskers: to the last value within 1.5 interquartile ranges"
        ),
        name=f"layers-{name.replace('_', '-')}-boxes",
        provenance=provenance(view, shown),
    )


def scatter(view: Chosen, shown: Mapping[str, Chosen], features: Mapping[str, pd.DataFrame], y: str) -> None:
    """Draw one point for each feature of each layer."""
    active = {name: table[table["active_tokens"] > 0].assign(layer=name) for name, table in features.items()}
    table = pd.concat(active.values(), ignore_index=True)
    chart = activations_charts.layer_scatter(
        table,
        "mean_active",
        y,
        x_title=axis_title("mean_active", True),
        y_title=axis_title(y, True),
        order=list(shown),
    )
    figure(
        f"{catalogue.statistic(y).title} against mean when active, by layer",
        altair(chart, f"act-layers-{y}"),
        table,
        explains=["mean_active", y],
        note=view.note(
            series_note(shown),
            f"{len(table):,} active features",
            "values of 0 are not on the log axes",
        ),
        name=f"layers-mean-{y.replace('_', '-')}",
        provenance=provenance(view, shown),
    )


def densities(view: Chosen, shown: Mapping[str, Chosen], table: pd.DataFrame) -> None:
    """Draw the spread of features' means, a smooth curve for each layer."""
    axis = alt.X("value:Q").title(axis_title("mean_active", True)).scale(type="log", nice=False)
    chart = activations_charts.lines(
        table,
        "height",
        group="layer",
        order=list(shown),
        colours=charts.ramp(len(shown)),
        x=axis,
        y_title="Kernel density of log₁₀",
        zero=True,
        legend="right",
        legend_title="Layer",
    ).properties(height=300)
    figure(
        "Means of features, by layer",
        altair(chart, "act-layers-means"),
        table,
        explains=["mean_active", "kernel_density"],
        note=view.note(series_note(shown), "active features with a mean above 0", "area 1 under each curve"),
        name="layers-mean-densities",
        provenance=provenance(view, shown),
    )


def series_note(shown: Mapping[str, Chosen]) -> str:
    """Say which dictionaries these are, and whether they read the same text."""
    same = len({other.passed.rows_sha256 for other in shown.values()}) == 1
    titles = "; ".join(other.passed.dictionary.title for other in shown.values())
    count = f"{len(shown)} {'dictionary' if len(shown) == 1 else 'dictionaries'}"
    return f"{count}{'' if same else ', each on its own rows'}: {titles}"


def provenance(view: Chosen, shown: Mapping[str, Chosen]) -> dict:
    """Return what a download of several layers says of its numbers."""
    dictionaries = [other.passed.dictionary for other in shown.values()]
    same = view.provenance
    return core_tables.provenance(
        dictionary=dictionaries, model=view.passed.model, method=same["method"], settings=same["settings"]
    )
