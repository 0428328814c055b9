"""The tab Map: the map, the features found or chosen on it, and the true neighbours of one feature."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.feature_map.layout import Layout, LayoutSettings
from core.feature_map.stack import Stack
from core.feature_map.tables import search, true_neighbors
from ui.feature_map import colouring as feature_map_colouring
from ui.feature_map.colouring import Colouring
from ui.feature_map.component import MapEvent, MapPoints, feature_map
from ui.feature_map.layers import describe, provenance
from ui.shared import errors, selected
from ui.shared.escape import plain
from ui.shared.figure import figure, listing, offer
from ui.shared.picked_feature import pick_feature, picked_feature
from ui.studies import compute, geometry, opened
from ui.studies import feature_map as feature_map_studies
from ui.studies.opened import naming, shown_id

KEY = "map"
MOST_ROWS = 2_000
AT_ONCE = range(64, 8_193)
"""A map of so many features takes at most about ten seconds on two cores, and starts by itself."""
_PICKED = "_map_row"


@dataclass(frozen=True)
class MapStudy:
    """A stored map, with what its views share. `settings` are those of this map, not of the map that was asked for."""

    settings: LayoutSettings
    ids: list[str]
    stack: Stack
    layout: Layout
    tokens: list[str] | None
    """The token that each row's feature promotes most, if it is known."""
    cluster: np.ndarray | None

    @property
    def joint(self) -> bool:
        return len(self.ids) > 1

    @property
    def n(self) -> int:
        return len(self.stack.feature)

    def points(self) -> MapPoints:
        """The points as the component takes them, kept in memory because packing takes longer than a rerun."""
        labels = self.tokens is not None
        key = f"map points {self.settings.used()} {self.stack.sha256} {self.ids} {labels}"
        return compute.loaded().get(key, self._points)

    def _points(self) -> MapPoints:
        shown = list(map(naming(), self.ids))
        names = [shown[number] for number in self.stack.dictionary] if self.joint else [""] * self.n
        tokens = [f"promotes {token}" if token else "" for token in self.tokens or [""] * self.n]
        labels = ["\n".join(filter(None, pair)) for pair in zip(names, tokens, strict=True)]
        return MapPoints(
            self.layout.x, self.layout.y, self.stack.feature, labels if self.joint or self.tokens is not None else ()
        )

    def table(self, colouring: Colouring) -> pd.DataFrame:
        """One row for each point, with all that is known of it."""
        columns: dict[str, object] = {
            "dictionary": np.asarray(list(map(naming(), self.ids)), object)[self.stack.dictionary]
        }
        columns |= {"feature": self.stack.feature, colouring.name: colouring.values}
        if self.cluster is not None:
            columns["cluster"] = self.cluster
        if self.tokens is not None:
            columns["top_token"] = self.tokens
        if not np.isnan(self.layout.preservation).all():
            columns["preservation"] = self.layout.preservation.astype(float)
        table = pd.DataFrame(columns | {"map_x": self.layout.x, "map_y": self.layout.y})
        return table if self.joint or colouring.name == "dictionary" else table.drop(columns="dictionary")

    def picked_row(self) -> int:
        """Return the row that was clicked last, or the row of the picked feature."""
        feature = picked_feature()
        row, then = st.session_state.get(_PICKED, (None, None))
        return row if row is not None and then == (self.stack.sha256, feature) else feature

    def pick(self, row: int) -> None:
        """Pick a row. If its feature is of the picked dictionary, all pages pick it."""
        if self.stack.dictionary[row] == 0:
            pick_feature(self.stack.feature[row])
        st.session_state[_PICKED] = (row, (self.stack.sha256, picked_feature()))

    def row_title(self, row: int) -> str:
        whose = f" of {shown_id(self.ids[self.stack.dictionary[row]])}" if self.joint else ""
        return f"feature {self.stack.feature[row]}{whose}"


def the_map(settings: LayoutSettings, ids: list[str]) -> None:
    """Draw the chosen map if it is stored, else principal components, and beside it the neighbours of a feature."""
    controls = st.container()
    left, right = st.columns([4, 3], gap="medium")
    with left:
        work, place = st.container(), st.container()
    stack = feature_map_studies.stack(ids, settings.side)
    with work:
        study = available(settings, ids, stack)
    with controls:
        name, text, metric = controls_row(study)
    with work:
        colouring = colouring_of(name, study)
    with place:
        highlighted = rows_found(text, study)
        event = draw(study, colouring, highlighted, text)
    with metric:
        how_many(event, highlighted, study)
    with right, errors.shown():
        neighbour_panel(study)
    chosen_table(study, colouring, event)


def available(settings: LayoutSettings, ids: list[str], stack: Stack) -> MapStudy:
    """Return the map to draw now. Offer to compute the chosen one, or draw its progress."""
    layout = feature_map_studies.stored(settings, ids)
    if layout is None:
        meanwhile = feature_map_studies.pca_map(ids, settings.side)  # first: it takes a moment, the map seconds
        with errors.shown():
            layout = wanted(settings, ids, len(stack.feature))
        if layout is None:
            settings, layout = LayoutSettings("pca", side=settings.side), meanwhile
    tokens = feature_map_colouring.known_tokens(ids)
    return MapStudy(settings, ids, stack, layout, tokens, feature_map_colouring.known_clusters(ids, settings.side))


def wanted(settings: LayoutSettings, ids: list[str], n: int) -> Layout | None:
    """Compute a map of n features, a large one only when a person has asked for it; None until then."""
    flag = f"_map {settings.used()} {ids} {st.session_state.get('fold', True)}"
    pca = settings.method == "pca"
    if flag in st.session_state or (not pca and n in AT_ONCE):
        return feature_map_studies.layout(settings, ids)
    name = {"pca": "PCA", "umap": "UMAP", "tsne": "t-SNE"}[settings.method]
    bar = st.container(horizontal=True, vertical_alignment="center")
    bar.button(
        "Measure how far this map can be trusted" if pca else f"Compute the {name} map",
        key="map_compute",
        type="secondary" if pca else "primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({flag: True}),
        help="The app finds the nearest features by cosine"
        + ("." if pca else " and then lays them out. Until then the map shows principal components.")
        + " The work goes on in the background, and the result is kept.",
    )
    if not pca:
        bar.caption(f"Shown until then: principal components, without the colours that need the {name} map.")
    return None


def controls_row(study: MapStudy):
    """Draw the pickers above the map. Return the name of the colouring, the search text, and a place for a number."""
    left, middle, trust, count = st.columns([3, 3, 2, 1], vertical_alignment="bottom", gap="medium")
    choices = {catalogue.statistic(choice).title: choice for choice in feature_map_colouring.CHOICES}
    title = left.selectbox(
        "Colour by",
        list(choices),
        key="colour",
        bind="query-params",
        help="Any number of a feature. The app computes a missing one when you choose it.",
    )
    text = middle.text_input(
        "Find",
        max_chars=1_000,
        key="find",
        bind="query-params",
        placeholder="7, 20-30 · cluster 5 · text",
        help="Feature numbers and ranges, a cluster, or a part of the token that a feature promotes most. Features "
        "that are found keep their colour.",
    )
    mean = catalogue.statistic("mean_preservation")
    value = "n/a" if np.isnan(study.layout.preservation).all() else f"{study.layout.mean_preservation:.0%}"
    trust.metric(mean.title, value, help=plain(catalogue.help_text("mean_preservation")))
    return choices[title], text, count


def colouring_of(name: str, study: MapStudy) -> Colouring:
    """Return the chosen colours, or plain ones if they are missing or not computed yet."""
    with errors.shown():
        return feature_map_colouring.colouring(name, study.stack, study.ids, study.layout, study.settings.side)
    return feature_map_colouring.plain_colours(study.stack, study.ids)


def rows_found(text: str, study: MapStudy) -> np.ndarray | None:
    """Return which rows a search finds; without one, those of the selection, or None if there is none."""
    if not text or not text.strip():
        return None if study.joint else selected.members_of(opened.dictionary(study.ids[0]))
    with errors.shown():
        return search(text, study.stack.feature, cluster=study.cluster, tokens=study.tokens)
    return None


def draw(study: MapStudy, colouring: Colouring, highlighted: np.ndarray | None, text: str) -> MapEvent:
    """Draw the map in its figure."""
    missing = study.n - len(study.points().shown)
    copied = len(feature_map_studies.odd_rows(study.ids, study.settings.side).copies.row)
    title = "Principal components" if study.settings.method == "pca" else "Map"
    with errors.shown(stop=True):
        return figure(
            f"{title} of {study.n:,} features",
            lambda: draw_map(study, colouring, highlighted, text),
            lambda: study.table(colouring),
            explains=["map_x", "map_y", "preservation", colouring.name],
            note=" · ".join(
                [
                    describe(study.settings),
                    *([f"{missing:,} features are all zero or NaN and not on the map"] if missing else []),
                    *([f"{copied:,} with the weights of an earlier one stand on its point"] if copied else []),
                    "scroll to zoom, drag to move, Shift and drag for a lasso, click to pick",
                ]
            ),
            name="feature-map",
            provenance=provenance(study.settings, study.ids, colour=colouring.name),
        )


def draw_map(study: MapStudy, colouring: Colouring, highlighted: np.ndarray | None, text: str) -> MapEvent:
    """Draw the map, and offer to select what the lasso or the search chooses."""
    event = feature_map(
        study.points(),
        colouring.colours,
        key=KEY,
        label=f"Map of {study.n:,} features. Arrow keys move, plus and minus zoom, Enter picks.",
        highlighted=highlighted,
        picked=[study.picked_row()],
        on_pick=study.pick,
        until_lasso=not text and not only_members(),
    )
    if event.selected is not None and not study.joint and (event.polygon is not None or text):
        by = "a lasso" if event.polygon is not None else f"the search {text}"
        offer(study.stack.feature[event.selected].tolist(), f"{by} on the map")
    return event


def how_many(event: MapEvent, highlighted: np.ndarray | None, study: MapStudy) -> None:
    """Show how many features the lasso or the search chooses."""
    found = "Found" if st.session_state.get("find") else "Selected"
    title = "In the lasso" if event.polygon is not None else found if highlighted is not None else "Features"
    st.metric(title, f"{study.n if event.selected is None else int(event.selected.sum()):,}")


def only_members() -> bool:
    """Say whether a lasso chooses among members of the selection alone."""
    here = selected.ground()
    return here is not None and here.only


def neighbour_panel(study: MapStudy) -> None:
    """List the nearest features of the picked one by cosine, wherever the map shows them."""
    near = geometry.quick_neighbors(study.ids[0], study.settings.side)
    if near is not None:
        geometry.suggest_closest(near)
    row = study.picked_row()
    table = true_neighbors(study.stack.directions, study.layout.x, study.layout.y, row)
    if table.empty:
        st.info(plain(f"The weights of {study.row_title(row)} are all zero, or hold NaN, so it has no neighbours."))
        return
    shown = table.drop(columns="row")
    shown.insert(1, "neighbor", study.stack.feature[table["row"]])
    if study.joint:
        shown["dictionary"] = np.asarray(study.ids, object)[study.stack.dictionary[table["row"]]]
    figure(
        f"Nearest to {study.row_title(row)}",
        listing(shown, "map-neighbors", height=560, picks=lambda i: study.pick(int(table["row"].iloc[i]))),
        shown,
        explains=["neighbor_cosine", "map_rank", "preservation"],
        note=" · ".join(
            [
                f"by the true cosine of {study.settings.side} directions, not by distance on the map",
                *_kept(study, row),
                "click a row to pick its feature",
            ]
        ),
        name=f"map-neighbors-{study.stack.feature[row]}",
        provenance=provenance(study.settings, study.ids),
    )


def _kept(study: MapStudy, row: int) -> list[str]:
    share = study.layout.preservation[row]
    return [] if np.isnan(share) else [f"the map shows {share:.0%} of the 15 nearest near by"]


def chosen_table(study: MapStudy, colouring: Colouring, event: MapEvent) -> None:
    """List the features inside the lasso and the search. A click on a row picks its feature."""
    rows = np.arange(study.n) if event.selected is None else np.flatnonzero(event.selected)
    table = study.table(colouring).iloc[rows]
    if pd.api.types.is_float_dtype(table[colouring.name]):
        table = table.sort_values(colouring.name, ascending=False, kind="stable")
    shown = table.head(MOST_ROWS)
    figure(
        f"{len(table):,} features" if event.selected is not None else "All features",
        listing(
            shown.drop(columns=["map_x", "map_y"]),
            "map-table",
            height=360,
            picks=lambda i: study.pick(int(shown.index[i])),
        ),
        table,
        explains=[colouring.name, "preservation"],
        note=(f"the first {MOST_ROWS:,} shown, all in the download · " if len(table) > MOST_ROWS else "")
        + "a lasso or a search filters the table · click a row to pick its feature",
        name="feature-map-chosen",
        provenance=provenance(study.settings, study.ids, colour=colouring.name),
    )
