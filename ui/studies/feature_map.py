"""Where maps, clusters and series of layers meet the store: computed once, found again by content.

`ids` are dictionaries by id, in order; no ids mean the picked one. Functions raise LoupeError for dictionaries that do
not fit, and StillRunning while a job runs.
"""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import Entry, entries
from core.dictionaries.spaces import directions
from core.feature_map.clusters import Clusters, find_clusters
from core.feature_map.layer_series import LayerLinks, layer_links
from core.feature_map.layout import Layout, LayoutSettings, pca_layout
from core.feature_map.layout import layout as make_layout
from core.feature_map.stack import Stack, joint_directions
from core.geometry.neighbors import K, Neighbors, nearest_features
from core.logit_weights.series import layer_entries
from core.maths.degenerate import Degenerate, degenerate
from core.work.calls import call
from core.work.progress import Progress
from ui.studies import compute, geometry, opened

Ids = Sequence[str]


def dictionaries(ids: Ids = ()) -> list[Dictionary]:
    """Open the dictionaries of a map."""
    return [opened.dictionary(id) for id in ids] or [opened.dictionary()]


def stack(ids: Ids = (), side: str = "decoder") -> Stack:
    """Return the directions of all features of a map, one dictionary after the other."""
    members = dictionaries(ids)
    if len(members) == 1:  # a view of the weights, so memory holds nothing twice
        return joint_directions(members, side)
    key = f"stack {side} {_hashes(members)}"
    return compute.loaded().get(key, lambda: joint_directions(members, side), name="The joint map")


def neighbors(ids: Ids = (), side: str = "decoder") -> Neighbors:
    """Return the nearest features by cosine among all of a map, where each direction counts once."""
    if len(ids) < 2:
        return geometry.neighbors(next(iter(ids), None), side, copies=False)
    rows = stack(ids, side)
    k = min(K, len(rows.feature) - 1)

    device = compute.device(len(rows.directions) * rows.directions.size)
    work = call(nearest_features, rows.directions, k=k, copies=False, device=device)
    key = Neighbors.key(",".join(rows.sha256), side, k, copies=False)
    return compute.result(Neighbors, key, f"Nearest features of {len(ids)} dictionaries", work)


def odd_rows(ids: Ids = (), side: str = "decoder") -> Degenerate:
    """Return which features of a map are no data of their own."""
    rows = stack(ids, side)
    key = f"degenerate {side} {','.join(rows.sha256)}"
    return compute.loaded().get(key, lambda: degenerate(rows.directions), name="Odd features")


def pca(ids: Ids = (), side: str = "decoder") -> np.ndarray:
    """Return the first two principal components of all features of a map, [row, 2]. They are quick and not stored."""
    rows = stack(ids, side)
    key = f"pca {side} {','.join(rows.sha256)}"
    return compute.transient(key, "Principal components", lambda _: pca_layout(rows.directions))


def pca_map(ids: Ids = (), side: str = "decoder") -> Layout:
    """Return the PCA map without the neighbours that would check it, so its preservation is NaN."""
    x, y = np.ascontiguousarray(pca(ids, side).T)
    return Layout(x, y, np.full(len(x), np.nan, np.float32))


def stored(settings: LayoutSettings, ids: Ids = ()) -> Layout | None:
    """Return a map if it is stored, else None. Computes nothing."""
    key = _layout_key(settings, dictionaries(ids))
    return compute.stored(Layout, key, "The map")


def layout(settings: LayoutSettings, ids: Ids = ()) -> Layout:
    """Return a map, after computing the neighbours it needs."""
    members = dictionaries(ids)
    rows = stack(ids, settings.side)
    near = neighbors(ids, settings.side)

    def work(progress: Progress) -> Layout:
        compute.rest()  # a map is made in a process of its own
        return make_layout(rows.directions, near, settings, progress=progress)

    what = members[0].title if len(members) == 1 else f"{len(members)} dictionaries"
    return compute.result(Layout, _layout_key(settings, members), f"{settings.method.upper()} map of {what}", work)


def clusters(id: str | None = None, side: str = "decoder", seed: int = 42) -> Clusters:
    """Return the clusters of one dictionary."""
    dictionary = opened.dictionary(id)
    near = geometry.neighbors(id, side, copies=False)
    work = call(find_clusters, directions(dictionary, side), near, seed=seed)
    key = Clusters.key(dictionary.sha256, side, seed=seed)
    return compute.result(Clusters, key, f"Clusters of {dictionary.title}", work)


def series(id: str | None = None) -> dict[str, Entry]:
    """Return the dictionaries that differ from this one in the layer alone, by layer; empty if there are none."""
    return layer_entries(entries(compute.workspace()), opened.dictionary(id).id)


def say_no_series() -> None:
    """Say that no other dictionary forms a series of layers with this one, and where there is such a series."""
    st.info(
        "No other dictionary here differs from this one in the layer alone. The demo has such a series: pick one of "
        "its standard dictionaries with 2,048 features.",
        icon=":material/layers:",
    )


def links(ids: Ids, side: str = "decoder") -> LayerLinks:
    """Return the best match of each feature in the next dictionary of a series."""
    rows = stack(ids, side)
    key = LayerLinks.key(*rows.sha256, side=side)
    device = compute.device(len(rows.directions) * rows.directions.size // rows.count)
    return compute.result(
        LayerLinks, key, "Matching layers", lambda progress: layer_links(rows, device=device, progress=progress)
    )


def _layout_key(settings: LayoutSettings, members: Sequence[Dictionary]) -> str:
    return Layout.key(*(dictionary.sha256 for dictionary in members), settings=settings)


def _hashes(members: Sequence[Dictionary]) -> str:
    return ",".join(dictionary.sha256 for dictionary in members)
