"""The tab Life over layers: births, passings and deaths along a series, and the flow of one feature."""

from collections.abc import Mapping
from itertools import pairwise

import pandas as pd
import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry
from core.stability.life import FATES, LifeGraph, life_graph
from ui.shared import links
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import pick_feature, picked_feature, suggest_feature
from ui.splitting.charts import split_graph
from ui.stability import charts
from ui.studies import feature_map, opened, series_results, stability
from ui.studies.stability import LifeStudy

BY = ("Directions", "Activations on text")
_FLOW = "st-life"


def life() -> None:
    """Pick the layers and how features are compared; draw fates, and the flow of the picked feature."""
    picked = opened.dictionary()
    listed = feature_map.series()
    if len(listed) < 2:
        feature_map.say_no_series()
        return
    left, right = st.columns([3, 1], vertical_alignment="bottom", gap="medium")
    names = pick_layers(listed, left)
    by = right.segmented_control("Compare by", BY, default=BY[0], required=True, key="st_life_by", bind="query-params")
    if len(names) < 2:
        st.info("Choose two or more layers.", icon=":material/layers:")
        return
    if by == BY[0]:
        names = unbroken({name: opened.dictionary(listed[name].id) for name in names})
    if len(names) < 2:
        return
    study = stability.life_study({name: listed[name].id for name in names}, by_activation=by == BY[1])
    layer = next((i for i, one in enumerate(study.dictionaries) if one.id == picked.id), None)
    if layer is None:
        st.info("The picked dictionary is not among the layers, so none of its features is followed.")
    else:
        flow(study, layer)
    fates(study)


def pick_layers(listed: dict[str, Entry], place) -> list[str]:
    """Pick layers of a series. They stay in the order of the model."""
    chosen = place.multiselect(
        "Layers of the series",
        list(listed),
        list(listed),
        key="st_layers",
        bind="query-params",
        help="These dictionaries differ from the picked one in the layer alone.",
    )
    return [name for name in listed if name in chosen]


def unbroken(series: Mapping[str, Dictionary]) -> list[str]:
    """Return the layers of the longest run without a missing step, and say which are missing where they take long."""
    steps = {f"{a} → {b}": [(series[a], series[b])] for a, b in pairwise(series)}
    there = series_results.those_there(steps, stability.chosen().side, what="steps from layer to layer")
    runs = [[name] for name in list(series)[:1]]
    for step, name in zip(steps, list(series)[1:], strict=True):
        if step in there:
            runs[-1].append(name)
        else:
            runs.append([name])
    return max(runs, key=len)


def flow(study: LifeStudy, layer: int) -> None:
    """Draw the picked feature with its sources and successors. A click on a node picks its dictionary and feature."""
    if (longest := study.life.longest(layer)) is not None:
        suggest_feature(longest, "its line through the layers is the longest")
    feature = min(picked_feature(), study.dictionaries[layer].d_sae - 1)
    graph = life_graph(study.life, layer, feature)
    table = flow_table(study, graph)
    nodes = graph.nodes.assign(
        d_sae=[study.dictionaries[level].d_sae for level in graph.nodes["level"]],
        label=graph.nodes["feature"].astype(str),
        promoted_tokens=[" ".join(tokens) for tokens in stability.promoted_by(study, graph.nodes)],
    )
    edges = table.assign(start=graph.edges["start"], end=graph.edges["end"])
    columns = {"life_step": "split_step", "life_from": "coarse_feature", "life_to": "child"}
    drawn = edges.rename(columns=columns | {"life_similarity": "split_cosine"})
    headings = [f"Layer {name}" for name in study.names]
    ends = ("Layers", "Earlier feature", "Later feature")

    def draw() -> None:
        chart = split_graph(nodes, drawn, headings, said=ends, picks="node")
        altair(chart, _FLOW, on_select=lambda: open_node(study), selection="node")()
        if table.empty:
            st.caption("No other layer holds this feature above the threshold.")
        else:
            listing(table, "st-life-edges")()

    left_off = [f"{graph.left_off:,} less similar features left out"] if graph.left_off else []
    figure(
        f"The life of feature {feature} of layer {study.names[layer]}",
        draw,
        table,
        explains=["life_source", "life_successor", "life_similarity", "source_chance"],
        note=study.note("click a feature to open it", *left_off),
        name=f"life-{study.names[layer]}-{feature}",
        provenance=study.provenance,
        whose={},
    )
    links.to(st, "feature", {"sae": study.dictionaries[layer].id, "feature": str(feature)})


def flow_table(study: LifeStudy, graph: LifeGraph) -> pd.DataFrame:
    """One row per line of the flow: life_step, life_from, life_to, life_similarity."""
    level, feature = (graph.nodes[name].to_numpy() for name in ("level", "feature"))
    start, end = (graph.edges[name].to_numpy() for name in ("start", "end"))
    steps = [f"{study.names[a]} → {study.names[b]}" for a, b in zip(level[start], level[end], strict=True)]
    columns = {"life_step": steps, "life_from": feature[start], "life_to": feature[end]}
    return pd.DataFrame(columns | {"life_similarity": graph.edges["life_similarity"].to_numpy()})


def open_node(study: LifeStudy) -> None:
    """Pick the dictionary and the feature of a clicked node."""
    points = (st.session_state[_FLOW].get("selection") or {}).get("node") or []
    if points and "level" in points[0] and "feature" in points[0]:
        level = int(points[0]["level"])
        if 0 <= level < len(study.dictionaries):
            st.session_state["sae"] = study.dictionaries[level].id
            pick_feature(int(points[0]["feature"]))


def fates(study: LifeStudy) -> None:
    """Draw which share of each layer's features is born, passes through and dies, and the steps beside chance."""
    table, steps = study.life.table(study.names), study.life.step_table(study.names)
    left, right = st.columns(2, gap="medium")
    with left:
        figure(
            "Births, passings and deaths by layer",
            altair(charts.fates(table, FATES), "st-fates"),
            table,
            explains=["life_fate", "fate_share"],
            note=study.note("at the ends of the series a feature counts as coming from before, or going on"),
            name="life-fates",
            provenance=study.provenance,
        )
    with right:
        figure(
            "From layer to layer, beside chance",
            altair(charts.steps(steps), "st-steps"),
            steps,
            explains=["succeeded_share", "sourced_share", "random_successors", "random_sources"],
            note=study.note("ticks: by chance"),
            name="life-steps",
            provenance=study.provenance,
        )
    members(study)


def members(study: LifeStudy) -> None:
    """List the features of the picked dictionary with their fates."""
    layer = next((i for i, one in enumerate(study.dictionaries) if one.id == opened.dictionary().id), None)
    if layer is None:
        return
    table = study.life.feature_table(layer)
    figure(
        plain(f"The features of layer {study.names[layer]} and their fates"),
        listing(table, "st-life-features", height=320, picks="feature"),
        table,
        explains=["life_fate", "life_source", "source_cosine", "successor_chance"],
        note=study.note(f"{len(table):,} features", "click a row to pick it"),
        name="life-features",
        provenance=study.provenance,
        whose={"feature": study.dictionaries[layer].sha256},
    )
