"""Maps of a whole dictionary in two dimensions, and a measure of how far a map can be trusted.

Maps are made from directions of length 1, so that distances follow the cosine, and from the exact nearest neighbours of
core/geometry/neighbors.py. No search is approximate.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Float

from core.dictionaries.spaces import DictionarySide
from core.errors import BadSettingError, UnknownNameError
from core.feature_map.start import map_start
from core.feature_map.tsne_layout import tsne_layout
from core.feature_map.umap_layout import umap_layout
from core.geometry.neighbors import Neighbors
from core.maths.degenerate import degenerate
from core.maths.principal_axes import principal_axes
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import available_cpus

Method = Literal["pca", "umap", "tsne"]
_LIMITS = {"n_neighbors": (2, 101), "min_dist": (0, 1), "perplexity": (1, 33), "seed": (0, 2**32 - 1)}
NEAR = 15
"""Number of neighbours that `preservation` compares."""
_USED = {"pca": (), "umap": ("n_neighbors", "min_dist", "seed"), "tsne": ("perplexity", "seed")}
"""The settings that each method uses; a change of any other setting does not compute the map again."""


@dataclass(frozen=True)
class LayoutSettings:
    """How to draw a map. Raises BadSettingError or UnknownNameError for values that cannot be used."""

    method: str = "umap"
    """pca, umap or tsne."""
    n_neighbors: int = 15
    """UMAP: number of features that count as near, with the feature itself; 2 to 101."""
    min_dist: float = 0.05
    """UMAP: smallest distance of points, 0 to 1; small values make tight clusters."""
    perplexity: float = 30.0
    """t-SNE: number of features, about, that count as near; 1 to 33. It needs three times as many neighbours."""
    seed: int = 42
    side: str = "decoder"
    """decoder or encoder."""

    def __post_init__(self):
        for kind, name, known in (("map", self.method, Method), ("side of a dictionary", self.side, DictionarySide)):
            if name not in get_args(known):
                raise UnknownNameError(kind, str(name), get_args(known))
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also refuses NaN
                raise BadSettingError(
                    f"{name} {value} cannot be used: expected {low} to {high:,}. Choose another value."
                )

    def used(self) -> dict[str, str | int | float]:
        """Return the settings that this map depends on."""
        settings = {name: getattr(self, name) for name in ("method", "side", *_USED[self.method])}
        # 30 and 30.0 are the same setting and must give the same name.
        return {name: float(value) if name in ("min_dist", "perplexity") else value for name, value in settings.items()}


@dataclass(frozen=True)
class Layout:
    """The place of each feature on the map. NaN for features without a direction; copies share one place.

    Axes have no unit, and a map may be rotated or mirrored. On a UMAP or t-SNE map, only small distances mean
    something.
    """

    x: Float[np.ndarray, " d_sae"]
    y: Float[np.ndarray, " d_sae"]
    preservation: Float[np.ndarray, " d_sae"]
    """Share of the 15 nearest features by cosine that are among the 15 nearest points, 0 to 1."""
    settings: tuple[tuple[str, str | int | float], ...] = ()
    """The settings of the map, as pairs of name and value."""
    version: ClassVar[int] = 2

    @property
    def mean_preservation(self) -> float:
        """Mean over all features on the map."""
        return float(np.nanmean(self.preservation, dtype=np.float64))

    @classmethod
    def key(cls, *weights_sha256: str, settings: LayoutSettings) -> str:
        """Name the map of one dictionary, or of several in this order."""
        return artifact_key("layout", cls.version, weights=",".join(weights_sha256), **settings.used())


def layout(
    directions: Float[np.ndarray, "d_sae d"],
    neighbors: Neighbors,
    settings: LayoutSettings,
    *,
    progress: Progress = SILENT,
) -> Layout:
    """Compute the map of these directions. Each direction counts once: `neighbors` must have no copies.

    Raises DoesNotFitError if there are too few features for the settings; `progress` may raise.
    """
    copies, start = degenerate(directions).copies, map_start(directions, 2)
    assert (neighbors.idx[copies.row, 0] < 0).all(), "copies count among the neighbours of a map"
    if settings.method == "pca":
        points = pca_layout(directions)
    elif settings.method == "tsne":
        points = tsne_layout(neighbors, start, perplexity=settings.perplexity, seed=settings.seed, progress=progress)
    else:
        near = {"n_neighbors": settings.n_neighbors, "min_dist": settings.min_dist, "seed": settings.seed}
        points = umap_layout(neighbors, start, **near, progress=progress)
    x, y = np.ascontiguousarray(copies.spread(points).T.astype(np.float32))
    kept = copies.spread(preservation(neighbors, x, y))
    return Layout(x, y, kept, tuple(settings.used().items()))


def pca_layout(directions: Float[np.ndarray, "d_sae d"]) -> Float[np.ndarray, "d_sae 2"]:
    """Return the first two principal components of the directions at length 1; NaN for rows without a direction."""
    return principal_axes(directions, 2).astype(np.float32)


def preservation(
    neighbors: Neighbors, x: Float[np.ndarray, " d_sae"], y: Float[np.ndarray, " d_sae"], k: int = NEAR
) -> Float[np.ndarray, " d_sae"]:
    """Return the share of each feature's k nearest by cosine that are among its k nearest points, exactly.

    NaN for features that are not on the map. If `neighbors` has fewer than k, all of them count.
    Points at the same place count in an order that is arbitrary but always the same.
    """
    from scipy.spatial import cKDTree

    placed = np.flatnonzero(np.isfinite(x) & (neighbors.idx[:, 0] >= 0))
    k = min(k, neighbors.k, len(placed) - 1)
    points = np.stack([x[placed], y[placed]], axis=1).astype(np.float64)
    # k + 1, as a point is its own nearest.
    _, near = cKDTree(points).query(points, k + 1, workers=available_cpus())
    near = placed[near]
    near[near == placed[:, None]] = -1
    crowded = (near >= 0).all(axis=1)  # more than k others share its place
    near[crowded, k] = -1
    kept = sum((near == neighbors.idx[placed, rank, None]).any(axis=1) for rank in range(k))
    share = np.full(len(x), np.nan, np.float32)
    share[placed] = kept / k
    return share
