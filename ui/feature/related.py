"""The tab Related: near directions, correlated features and neurons, coordinates, a second dictionary."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.amounts import of_seconds
from core.dictionaries.dictionary import Dictionary
from core.feature.correlated_features import LEAST
from core.feature.correlated_neurons import NeuronCost
from core.geometry import basis
from ui.feature import related_charts
from ui.feature.second_dictionary import second_dictionary
from ui.geometry import charts as geometry_charts
from ui.shared import charts, errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies import neuronpedia, relations
from ui.studies.feature import Subject

TOP = 20
AT_ONCE_S = 10.0
"""A run of the model that takes no longer starts when the button is pressed. Before a longer one, the cost is shown."""
ENDS = {"Most alike": False, "Most opposed": True}


def related(subject: Subject) -> None:
    """Draw everything that a feature is related to. What is quick to compute comes first."""
    left, right = st.columns(2, gap="medium")
    with left, errors.shown():
        nearest(subject)
    with right, errors.shown():
        correlated(subject)
    left, right = st.columns(2, gap="medium")
    with left, errors.shown():
        alike_and_near(subject)
    with right, errors.shown():
        neurons(subject)
    with errors.shown():
        coefficients(subject)
    with errors.shown():
        second_dictionary(subject)


def labelled(table: pd.DataFrame, column: str, dictionary: Dictionary) -> pd.DataFrame:
    """Add a column with Neuronpedia's labels, if they were downloaded."""
    known = neuronpedia.downloaded_labels(dictionary)
    if known is None:
        return table
    return table.assign(neuronpedia_label=[known.of(int(feature)) or "" for feature in table[column]])


def nearest(subject: Subject) -> None:
    """Draw the features that write nearly the same."""
    table = labelled(relations.nearest(subject, top=TOP), "neighbor", subject.among)
    if table.empty:
        st.info("The dictionary has only one feature, so it has no neighbours.")
        return
    shown = table.drop(columns="random_rth_cosine", errors="ignore")

    def draw() -> object:
        if "random_rth_cosine" in table:
            altair(geometry_charts.by_rank(table).properties(height=190), "rel-near-chart")()
        return listing(shown, "rel-near", height=250, picks="neighbor")()

    figure(
        "Nearest features by what they write",
        draw,
        table,
        explains=["neighbor_cosine", "random_rth_cosine", "mutual_rank"],
        note=f"exact cosines of decoder rows, {subject.among.d_sae:,} features · dashed: median of random directions · "
        "click a row to go to its feature",
        name=f"{subject.stem}-nearest",
        provenance=weights_provenance(subject, "cosines of decoder rows"),
        whose={"neighbor": subject.among.sha256},
        told={"count": len(table)},
    )


def correlated(subject: Subject) -> None:
    """List the features that are active on the same tokens, or on others."""
    correlated = relations.correlated(subject)
    end = st.segmented_control(
        "Correlated features",
        list(ENDS),
        default="Most alike",
        required=True,
        key="rel_end",
        bind="query-params",
        label_visibility="collapsed",
    )
    table = labelled(correlated.table(top=TOP, lowest=ENDS[end]), "correlated_feature", subject.among)
    if table.empty:
        said = (
            "is active on no token of this text" if not correlated.own_count else "has no such correlation on this text"
        )
        st.info(plain(f"{subject.title} {said}."))
        return
    few = f" · {subject.title} itself is active on only {correlated.own_count}" if correlated.own_count < LEAST else ""
    figure(
        "Features active on the same tokens" if not ENDS[end] else "Features active on other tokens",
        listing(table.drop(columns="density"), f"rel-corr-{ENDS[end]}", height=430, picks="correlated_feature"),
        table,
        explains=["feature_correlation", "together_share", "together_lift"],
        note=subject.note(f"features active on {LEAST} tokens or more{few}", "click a row to go to its feature"),
        name=f"{subject.stem}-correlated",
        provenance=subject.passed.provenance(feature=subject.feature, least=LEAST),
        whose={"correlated_feature": subject.among.sha256},
        told=subject.passed.told | {"lowest": ENDS[end]},
    )


def alike_and_near(subject: Subject) -> None:
    """Draw every other feature by decoder cosine and correlation."""
    correlated, cosines = relations.correlated(subject), relations.cosines(subject)
    table = correlated.beside(cosines)
    if table.empty:
        return
    names = ["neighbor_cosine", "feature_correlation"]
    chart = charts.scatter(table, *names, **axis_titles(names), select="point").properties(height=300)
    figure(
        "Decoder cosine against correlation",
        altair(chart, "rel-both", on_select=choose_feature_from("rel-both", "point"), selection="point"),
        table,
        explains=names,
        note=subject.note(
            f"{len(table):,} features active on {LEAST} tokens or more",
            "large cosine and correlation: a split or copied feature · large cosine alone: two variants of one meaning "
            "· click a point to go to it",
        ),
        name=f"{subject.stem}-near-and-alike",
        provenance=subject.passed.provenance(feature=subject.feature, least=LEAST),
        whose={"feature": subject.among.sha256},
        told=subject.passed.told,
    )


def axis_titles(names: list[str]) -> dict[str, str]:
    return {f"{axis}_title": axis_title(name, False) for axis, name in zip("xy", names, strict=True)}


def neurons(subject: Subject) -> None:
    """List the model's own units that correlate with the feature, when a person asks for it."""
    hooks = relations.neuron_hooks(subject)
    if st.session_state.get("rel_hook") not in (None, *hooks):
        del st.session_state["rel_hook"]  # from another model
    hook = st.selectbox(
        "Units to correlate with",
        hooks,
        index=hooks.index(relations.usual_hook(subject)),
        key="rel_hook",
        bind="query-params",
        help="The neurons of a layer (mlp.hook_post, after the activation function), or the coordinates of the hook "
        "that the dictionary reads.",
    )
    if not (relations.neurons_known(subject, hook) or agreed(subject, hook)):
        return
    neuron_figure(subject, hook)


def agreed(subject: Subject, hook: str) -> bool:
    """Offer to run the model for all features at once. True if a person agreed, or if the run is short."""
    key = relations.neuron_key(subject, hook)
    asked, sure = f"_rel_asked_{key}", f"_rel_sure_{key}"
    if asked not in st.session_state:
        st.info(
            plain(f"This runs {subject.passed.model.name} once more over this text, for all features together."),
            icon=":material/neurology:",
        )
        st.button("Correlate with these units", key="rel_run", on_click=_set, args=(asked,))
        return False
    if sure in st.session_state:
        return True
    cost = relations.neuron_cost(subject, hook)
    if cost.seconds <= AT_ONCE_S:
        return True
    st.info(plain(cost_line(cost)), icon=":material/timer:")
    st.button("Start", key="rel_start", type="primary", on_click=_set, args=(sure,))
    return False


def _set(key: str) -> None:
    st.session_state[key] = True


def cost_line(cost: NeuronCost) -> str:
    """Say how long correlating with neurons takes."""
    times = f", {cost.runs} times, because memory does not hold all features at once" if cost.runs > 1 else ""
    text = f"The model reads {cost.n_tokens:,} tokens{times}: about {of_seconds(cost.seconds)} on this machine."
    return f"{text} The result is kept."


def neuron_figure(subject: Subject, hook: str) -> None:
    """List the units that a feature is most correlated with, beside what other features reach."""
    units = relations.correlated_units(subject, hook)
    table = units.table(subject.feature)
    if table.empty:
        st.info(plain(f"{subject.title} is active on no token of this text, so nothing correlates with it."))
        return
    title = basis.basis_name(hook).capitalize()
    value_title = axis_title("neuron_correlation", False)
    bars = related_charts.signed_bars(
        table, "correlated_unit", "neuron_correlation", unit_title="Unit", value_title=value_title
    )
    best = np.abs(units.corr[units.count >= LEAST, 0])
    than = f"farther from 0 than {(best < abs(table['neuron_correlation'][0])).mean():.0%} of features' best"
    figure(
        f"{title} that correlate with it",
        altair(bars, "rel-neurons"),
        table,
        explains=["correlated_unit", "neuron_correlation"],
        note=subject.note(f"{units.n_units:,} units at {hook}", *([than] if best.size > 1 else [])),
        name=f"{subject.stem}-neurons",
        provenance=subject.passed.provenance(feature=subject.feature, hook_name=hook),
        told=subject.passed.told | {"hook": repr(hook)},
    )


def coefficients(subject: Subject) -> None:
    """Draw how the decoder row of the feature is spread over coordinates or neurons."""
    layer = choose_basis(subject)
    rows = relations.neuron_basis(subject, layer)
    table = basis.coefficients(subject.dictionary, subject.feature, basis=rows)
    if table["basis_coefficient"].isna().all():
        st.info(plain(f"{subject.title} has a decoder row of zeros, so it writes nothing."))
        return
    spread(subject, layer)
    hook = basis.written_hook(subject.dictionary)
    words = basis.basis_name(hook) if layer is None else f"neurons of layer {layer}"
    note = f"{len(table):,} {words}, decoder row of length 1"
    provenance = weights_provenance(subject, "coefficients of a decoder row", layer=layer)
    left, right = st.columns(2, gap="medium")
    with left:
        bars = related_charts.signed_bars(
            table.head(TOP), "coordinate", "basis_coefficient", unit_title=words.capitalize(), value_title="Coefficient"
        )
        figure(
            f"The {min(TOP, len(table))} largest coefficients",
            altair(bars, "rel-coefficients"),
            table,
            explains=["basis_coefficient", "coordinate"],
            note=note,
            name=f"{subject.stem}-coefficients",
            provenance=provenance,
            told={"layer": repr(layer)},
        )
    with right:
        chart = charts.histogram(table, "basis_coefficient", "Coefficient", log=True, y_title=words.capitalize())
        figure(
            "All coefficients",
            altair(chart.properties(height=300), "rel-all-coefficients"),
            table,
            explains=["basis_coefficient"],
            note=f"{note} · one bar far from 0: the feature is that coordinate; a bell: the feature is spread over all",
            name=f"{subject.stem}-all-coefficients",
            provenance=provenance,
            told={"layer": repr(layer)},
        )


def choose_basis(subject: Subject) -> int | None:
    """Pick the basis: the coordinates of the hook (None), or the neurons of a layer."""
    hook = basis.written_hook(subject.dictionary)
    names: dict[str, int | None] = {basis.basis_name(hook).capitalize(): None}
    if basis.in_stream(hook):
        names |= {f"Neurons of layer {layer}": layer for layer in range(subject.model.n_layers)}
    if st.session_state.get("rel_basis") not in (None, *names):
        del st.session_state["rel_basis"]  # from another hook
    chosen = st.selectbox(
        "Basis of what it writes",
        list(names),
        key="rel_basis",
        bind="query-params",
        help="The coordinates of the hook, or the directions that the neurons of a layer's MLP write to the stream.",
    )
    return names[chosen]


def spread(subject: Subject, layer: int | None) -> None:
    """Draw numbers of the spread, each with the feature's rank among all features."""
    table = relations.alignment(subject.dictionary, subject, layer).to_frame()
    names = ("top3_share", "large_coefficients", "basis_kurtosis", "effective_coordinates")
    cards = st.container(horizontal=True)
    for name in names:
        value, all_values = table[name][subject.feature], table[name].dropna()
        item = catalogue.statistic(name)
        text = f"{value:,.0f}" if item.format == "d" else f"{value:.4g}"
        more = f" Higher than in {(all_values < value).mean():.0%} of features." if len(table) > 1 else ""
        cards.metric(item.title, text, border=True, help=plain(catalogue.help_text(name) + more))


def weights_provenance(subject: Subject, method: str, **settings: int | None) -> dict:
    """Return where numbers that need no text are from."""
    named = [subject.dictionary] if subject.dictionary is subject.among else [subject.dictionary, subject.among]
    return tables.provenance(dictionary=named, method=method, settings={"feature": subject.feature} | settings)
