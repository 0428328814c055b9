"""Groups of features with similar directions: HDBSCAN on a ten-dimensional UMAP (Bricken et al. 2023)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.dictionaries.spaces import DictionarySide
from core.errors import BadSettingError
from core.feature_map.start import map_start
from core.feature_map.umap_layout import umap_layout
from core.geometry.neighbors import Neighbors
from core.maths.degenerate import degenerate
from core.maths.unit_rows import unit_rows
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

AXES, N_NEIGHBORS, MIN_DIST = 10, 15, 0.1
"""Settings of the UMAP in which clusters are searched."""


@dataclass(frozen=True)
class Clusters:
    """The cluster of each feature. Clusters are numbered so that similar ones follow each other."""

    label: Int[np.ndarray, " d_sae"]
    """-1 for features in no cluster."""
    medoid: Int[np.ndarray, " cluster"]
    """The member with the largest mean cosine to its cluster."""
    seed: int
    min_cluster_size: int
    version: ClassVar[int] = 2

    @property
    def count(self) -> int:
        return len(self.medoid)

    @classmethod
    def key(cls, weights_sha256: str, side: DictionarySide, *, seed: int = 42, min_cluster_size: int = 3) -> str:
        inputs = {"weights": weights_sha256, "side": side, "seed": seed, "min_cluster_size": min_cluster_size}
        return artifact_key("clusters", cls.version, **inputs)


def find_clusters(
    directions: Float[np.ndarray, "d_sae d"],
    neighbors: Neighbors,
    *,
    seed: int = 42,
    min_cluster_size: int = 3,
    progress: Progress = SILENT,
) -> Clusters:
    """Group features by HDBSCAN (Campello et al. 2013, scikit-learn) on a UMAP of 10 dimensions.

    Each direction counts once: copies belong to the cluster of their first one, and features without a direction to
    none. Raises BadSettingError for a cluster size below 2 and DoesNotFitError for fewer than 15 features; `progress`
    may raise.
    """
    from sklearn.cluster import HDBSCAN

    if min_cluster_size < 2:
        raise BadSettingError(f"Clusters of {min_cluster_size} cannot be found: expected at least 2 features in each.")
    start = map_start(directions, AXES)
    near = {"n_neighbors": N_NEIGHBORS, "min_dist": MIN_DIST, "seed": seed}
    points = umap_layout(neighbors, start, **near, progress=progress)
    placed = np.flatnonzero(np.isfinite(points[:, 0]))
    progress.note("finding clusters on the map")
    label = np.full(len(points), -1, np.int32)
    label[placed] = HDBSCAN(min_cluster_size=min_cluster_size, copy=True).fit_predict(points[placed])
    unit = unit_rows(directions)
    medoid = medoids(label, unit)
    order = _order(unit[medoid])
    number = np.append(np.argsort(order), -1).astype(np.int32)  # label -1 takes the last one
    return Clusters(degenerate(directions).copies.spread(number[label]), medoid[order], seed, min_cluster_size)


def medoids(label: Int[np.ndarray, " d_sae"], unit: Float[np.ndarray, "d_sae d"]) -> Int[np.ndarray, " cluster"]:
    """Return for each cluster the member with the largest mean cosine to its members; ties: lower feature."""
    chosen = []
    for members in members_of(label):
        cosines = unit[members] @ unit[members].sum(axis=0, dtype=np.float64)
        # Rounded, so that equal rows tie: their products may differ in the last bit.
        chosen.append(members[np.argmax((cosines / len(members)).astype(np.float32))])
    return np.array(chosen, np.int32)


def members_of(label: Int[np.ndarray, " d_sae"]) -> list[Int[np.ndarray, " member"]]:
    """Return the features of each cluster, in order."""
    by_label = np.argsort(label, kind="stable")
    edges = np.searchsorted(label[by_label], np.arange(label.max(initial=-1) + 2))
    return [by_label[first:last] for first, last in pairwise(edges)]


def cluster_table(clusters: Clusters) -> pd.DataFrame:
    """Return one row per cluster: number, size, medoid, and its features as text, lowest first."""
    members = members_of(clusters.label)
    return pd.DataFrame(
        {
            "cluster": np.arange(clusters.count),
            "cluster_size": [len(features) for features in members],
            "medoid": clusters.medoid,
            "features_in_cluster": [" ".join(map(str, features)) for features in members],
        }
    )


def _order(unit: Float[np.ndarray, "cluster d"]) -> Int[np.ndarray, " cluster"]:
    """Return clusters in the order of the leaves of their average-linkage tree.

    Bricken et al. order clusters by a one-dimensional UMAP; a tree needs no seed and works for any number of clusters.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage

    if len(unit) < 3:
        return np.arange(len(unit))
    return leaves_list(linkage(unit.astype(np.float64), "average")).astype(np.int64)
