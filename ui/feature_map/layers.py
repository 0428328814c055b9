"""The tab Map of each layer: a map of each layer, and a joint map in which features move to their matches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from core import tables
from core.dictionaries.sources import Entry
from core.feature_map.layer_series import LayerLinks, layer_steps, step_table, trail, what_becomes_of
from core.feature_map.layout import Layout, LayoutSettings
from core.feature_map.stack import Stack
from ui.feature_map import layer_charts
from ui.feature_map.component import MapPoints, by_value, feature_map
from ui.shared import errors, selected
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.selection import columns
from ui.studies import feature_map as feature_map_studies
from ui.studies.feature_columns import texts

MOST_POINTS = 2_000
"""The most points drawn for each layer of the grid."""
MOST_ROWS = 40_000
"""If a series has more features, only the picked dictionary and the next one are chosen at first."""
_COLUMNS = 3


def layers(settings: LayoutSettings) -> None:
    """Pick the layers, then draw the grid and the animation."""
    with errors.shown():
        picked = feature_map_studies.dictionaries()[0]
        listed = feature_map_studies.series()
        if len(listed) < 2:
            feature_map_studies.say_no_series()
            return
        names = pick_layers(listed, picked.id)
        if len(names) < 2:
            st.info("Choose two or more layers.", icon=":material/layers:")
            return
        ids = [listed[name].id for name in names]
        stack = feature_map_studies.stack(ids, settings.side)
        links = feature_map_studies.links(ids, settings.side)
        settings = choose_method(settings, names)
        with errors.shown():
            grid(settings, names, ids, stack, links)
        with errors.shown():
            animation(settings, names, ids, stack, links)


def pick_layers(listed: dict[str, Entry], id: str) -> list[str]:
    """Pick layers of a series. They stay in the order of the model."""
    names = list(listed)
    usual = names
    if sum(entry.d_sae or 0 for entry in listed.values()) > MOST_ROWS:
        at = min(next((i for i, name in enumerate(names) if listed[name].id == id), 0), len(names) - 2)
        usual = names[at : at + 2]
    chosen = st.multiselect(
        "Layers",
        names,
        usual,
        key="map_layers",
        bind="query-params",
        help="These dictionaries differ from the picked one in the layer alone. The time for a joint map grows with "
        "the square of the number of features.",
    )
    return [name for name in names if name in chosen]


def choose_method(settings: LayoutSettings, names: Sequence[str]) -> LayoutSettings:
    """Return the chosen method if its maps are stored or wanted. Else return PCA, and offer to compute them."""
    if settings.method == "pca":
        return settings
    wanted = f"_layers {settings.used()} {names}"
    if st.session_state.get(wanted):
        return settings
    st.button(
        f"Compute the {settings.method.upper()} maps of {len(names)} layers",
        key="map_layers_compute",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({wanted: True}),
        help="This makes one map for each layer and one of all layers together. Until then the figures show principal "
        "components.",
    )
    return replace(settings, method="pca")


def grid(settings: LayoutSettings, names: Sequence[str], ids: Sequence[str], stack: Stack, links: LayerLinks) -> None:
    """Draw the map of each layer, coloured by how well the next layer keeps a feature."""
    frames, here = [], feature_map_studies.dictionaries()[0]
    members = selected.members_of(here)
    for number, id in enumerate(ids):
        layout = map_of(settings, [id])
        frames.append(grid_table(number, layout, stack, links).assign(layer=names[number]))
    table = pd.concat(frames, ignore_index=True)

    def draw() -> None:
        for first in range(0, len(names), _COLUMNS):
            for place, column in enumerate(st.columns(_COLUMNS)):
                if first + place < len(names):
                    frame = frames[first + place]
                    if ids[first + place] == here.id:  # whose features the selection holds
                        frame = frame.assign(own_feature=frame["feature"])
                        shown = sample(frame, always=None if members is None else members[frame["feature"]])
                    else:
                        shown = sample(frame)
                    chart = layer_charts.small_map(shown, f"Layer {names[first + place]}")
                    with column:
                        altair(chart, f"small-map-{first + place}")()

    most = max(map(len, frames))
    drawn = f"{MOST_POINTS:,} random features of each drawn" if most > MOST_POINTS else "all features drawn"
    figure(
        "A map of each layer",
        draw,
        table,
        explains=["map_x", "map_y", "next_cosine"],
        note=f"{describe(settings)} · {drawn} · colour: cosine with the best match in the next layer, 0 grey to 1 "
        "orange; the last layer has none · the maps of different layers are not aligned",
        name="layer-maps",
        provenance=provenance(settings, ids),
        whose={"own_feature": here.sha256},
    )


def animation(
    settings: LayoutSettings, names: Sequence[str], ids: Sequence[str], stack: Stack, links: LayerLinks
) -> None:
    """Draw all layers on one map. In each step the features of a layer move to their matches in the next."""
    layout = map_of(settings, ids)
    titles = [f"Layer {name}" for name in names]

    def draw():
        colours = by_value(links.cos, "Cosine to the next layer")
        label = f"Joint map of {len(names)} layers, an animation from layer to layer"
        points = series_points(titles, stack, layout, links)
        return feature_map(points, colours, key="layer-map", label=label, highlighted=chosen(ids, stack, links))

    kept = [] if settings.method == "pca" else [f"neighbours kept on the joint map: {layout.mean_preservation:.0%}"]
    event = figure(
        "From layer to layer",
        draw,
        lambda: step_table(layer_steps(stack, layout, links)),
        explains=["map_x", "map_y", "next_match", "next_cosine", "mean_preservation"],
        note=" · ".join(
            [
                f"{describe(settings)} of all {len(stack.feature):,} features",
                "each moves to its best match by cosine in the next layer",
                *([] if chosen(ids, stack, links) is None else ["grey: neither selected nor what becomes of it"]),
                *kept,
            ]
        ),
        name="layer-steps",
        provenance=provenance(settings, ids),
    )
    follow(event.row, names, stack, links)


def chosen(ids: Sequence[str], stack: Stack, links: LayerLinks) -> np.ndarray | None:
    """Return the rows of the selection and of what becomes of it in later layers; None without one."""
    here = feature_map_studies.dictionaries()[0]
    members = selected.members_of(here) if here.id in ids else None
    return None if members is None else what_becomes_of(stack, links, list(ids).index(here.id), members)


def follow(row: int | None, names: Sequence[str], stack: Stack, links: LayerLinks) -> None:
    """List the best matches of the last clicked feature, layer by layer."""
    state = f"_layer_row {stack.sha256}"
    if row is not None:
        st.session_state[state] = row
    row = st.session_state.get(state)
    if row is None:
        st.caption("Click a point to follow its feature through the layers.")
        return
    st.markdown(f"**Feature {stack.feature[row]} of layer {plain(names[stack.dictionary[row]])} and what it becomes**")
    table = trail(stack, links, row)
    config = columns(table)
    table["series_step"] = [f"{names[step]} → {names[step + 1]}" for step in table["series_step"]]
    listing(table, "layer-trail", config=config)()


def map_of(settings: LayoutSettings, ids: Sequence[str]) -> Layout:
    """Return a map. Principal components come without the neighbours that would check them."""
    if settings.method == "pca":
        return feature_map_studies.pca_map(ids, settings.side)
    return feature_map_studies.layout(settings, ids)


def series_points(titles: Sequence[str], stack: Stack, layout: Layout, links: LayerLinks) -> MapPoints:
    """Return the points of the animation: where the features of each layer are, and where they move."""
    steps = layer_steps(stack, layout, links)
    last = stack.rows(stack.count - 1)
    nowhere = np.full(last.stop - last.start, np.nan, np.float32)
    return MapPoints.series(
        titles,
        [*(step.x for step in steps), layout.x[last]],
        [*(step.y for step in steps), layout.y[last]],
        [*(step.to_x for step in steps), nowhere],
        [*(step.to_y for step in steps), nowhere],
    )


def grid_table(number: int, layout: Layout, stack: Stack, links: LayerLinks) -> pd.DataFrame:
    """Return one row per feature of a dictionary of the series: its place on its own map, and its match."""
    rows = stack.rows(number)
    return pd.DataFrame(
        {
            "feature": stack.feature[rows],
            "map_x": layout.x,
            "map_y": layout.y,
            "next_match": links.match[rows],
            "next_cosine": links.cos[rows],
        }
    )


def sample(table: pd.DataFrame, *, always: np.ndarray | None = None) -> pd.DataFrame:
    """Return at most MOST_POINTS rows, the same ones each time, and those that are `always` drawn."""
    if len(table) <= MOST_POINTS:
        return table
    chosen = np.random.default_rng(0).choice(len(table), MOST_POINTS, replace=False)
    return table.iloc[np.union1d(chosen, np.zeros(0, int) if always is None else np.flatnonzero(always))]


def describe(settings: LayoutSettings) -> str:
    """Return how a map was made."""
    names = {"pca": "principal components", "umap": "UMAP", "tsne": "t-SNE"}
    used = {name: value for name, value in settings.used().items() if name not in ("method", "side")}
    parts = [names[settings.method], f"{settings.side} directions", *(f"{name} {v}" for name, v in used.items())]
    return " · ".join(parts)


def provenance(settings: LayoutSettings, ids: Sequence[str], *, colour: str = "") -> dict[str, object]:
    """Return what a table was computed from; `colour` is a column of it that may be of text."""
    dictionaries = feature_map_studies.dictionaries(ids)
    return tables.provenance(
        dictionary=dictionaries, method=settings.method, settings=settings.used() | texts(colour, ids)
    )
