"""Three layers of 20 directions, maps of all together by three methods, and another dictionary with three clusters.

The second layer is the first, of which feature 5 is zero, in another order; its last row copies its first.
"""

from unittest.mock import patch

import numpy as np
import pandas as pd

from core.feature_map import tsne_layout, umap_layout
from core.feature_map.clusters import cluster_table, find_clusters
from core.feature_map.layer_series import layer_links, layer_steps, step_table, trail
from core.feature_map.layout import LayoutSettings, layout
from core.feature_map.stack import joint_directions
from core.feature_map.tables import true_neighbors
from core.geometry.neighbors import nearest_features
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_directions import planted_clusters
from tests.oracles.shown import Case, Known, Planted, Shown, known

D, N, LAYERS, NOTHING = 10, 20, 3, 5
COPIED, COPY, ZERO = 12, 33, 34
ORDER = np.random.default_rng(2).permutation(N)
MAPS = {
    "pca": {"method": "pca"},
    "umap": {"method": "umap", "n_neighbors": 15, "min_dist": 0.05, "seed": 42},
    "tsne": {"method": "tsne", "perplexity": 10.0, "seed": 3},
}
STEP, ROW = {"series_step": "series_step"}, {"row": "#"}


def case(folder) -> Case:
    from threadpoolctl import threadpool_limits

    embedders = {each.__name__: each for each in (umap_layout, tsne_layout)}

    def here(module, inputs, **how):
        with threadpool_limits(1):
            return embedders[module].fit(inputs)

    with (
        patch.object(umap_layout, "run_embedder", here),  # in a process of its own it would compile once more
        patch.object(tsne_layout, "run_embedder", here),
    ):
        return Case([*of_series(), *of_clusters()], planted())


def of_layers() -> list[np.ndarray]:
    first, third = (planted_clusters(n_clusters=n, size=N // n + 1, d=D, seed=n)[0][:N].copy() for n in (2, 3))
    first[NOTHING] = 0
    second = first[ORDER].copy()
    second[-1] = second[0]
    return [first, second, third]


def clustered() -> np.ndarray:
    """Return 33 directions, of which each eleven stand about the first of them; row 33 is a copy, row 34 is zero."""
    rng, e = np.random.default_rng(7), np.eye(12)
    centres = np.array([e[0], e[1], e[0] + 0.7 * e[2]])
    about = np.vstack([np.zeros(12), 0.2 * e[5:10], -0.2 * e[5:10]])
    noise = 0.01 * rng.normal(size=(3, 11, 12))
    noise[:, 0] = 0  # the centre stays in the middle
    rows = (centres[:, None] + about + noise).reshape(-1, 12)
    return np.vstack([rows, rows[COPIED], 0 * rows[0]]).astype(np.float32)


def of_series() -> list[Shown]:
    layers = of_layers()
    hooks = [f"blocks.{i}.hook_resid_post" for i in range(LAYERS)]
    dictionaries = [
        planted_dictionary(d_in=D, d_sae=N, tensors={"W_dec": rows}, hook_name=hook, fold_decoder_norms=False)
        for rows, hook in zip(layers, hooks, strict=True)
    ]
    stack = joint_directions(dictionaries, "decoder")
    near, links = nearest_features(stack.directions, k=31, copies=False), layer_links(stack)
    given = {"layers": layers, "directions": stack.directions}
    shown = []
    for name, how in MAPS.items():
        found, held = layout(stack.directions, near, LayoutSettings(**how)), given | {"how": how}
        steps = step_table(layer_steps(stack, found, links))
        rows = ROW | {"feature": "feature"} | STEP
        shown.append(Shown(f"{name}, steps", steps, held, rows, STEP))
        points = {"map_x": found.x, "map_y": found.y, "preservation": found.preservation.astype(float)}
        shown.append(Shown(f"{name}, all", pd.DataFrame(points), held, ROW))
        mean = pd.DataFrame([{"mean_preservation": found.mean_preservation}])
        shown.append(Shown(f"{name}, mean", mean, held, {}))
        of_7 = true_neighbors(stack.directions, found.x, found.y, 7)
        held |= {"x": found.x, "y": found.y, "row": 7, "feature": 7}
        itself = {"neighbor_rank": "neighbor_rank"}
        shown.append(Shown(f"{name}, near 7", of_7, held, {"neighbor": "row"} | itself, itself))
    way, why = {"feature": "feature", "series_step": "series_step"}, {}
    return [*shown, Shown("trail", trail(stack, links, 3), given, way, why)]


def of_clusters() -> list[Shown]:
    rows = clustered()
    found = find_clusters(rows, nearest_features(rows, k=16, copies=False))
    table, given = pd.DataFrame({"feature": range(len(rows)), "cluster": found.label}), {"directions": rows}
    return [
        Shown("clusters of features", table, given),
        Shown("clusters", cluster_table(found), given, {"cluster": "cluster"}),
    ]


def planted() -> list[Planted | Known]:
    moved = {int(feature): place for place, feature in enumerate(ORDER)}
    goes, none = {"series_step": 0, "feature": int(ORDER[4])}, {"series_step": 0, "feature": NOTHING}
    members = {0: range(11), 11: [*range(11, 22), COPY], 22: range(22, 33)}
    texts = {centre: " ".join(map(str, each)) for centre, each in members.items()}
    of_11 = {"features_in_cluster": texts[11]}
    two = {"directions": np.array([[2.0, 0], [-3, 0]]), "how": MAPS["pca"]}
    three = {"directions": np.array([[1.0, 0], [0, 2], [-1, 1], [0, 0]]), "how": MAPS["pca"]}
    line = {"x": np.array([0, 1, 3, 3, np.nan]), "y": np.zeros(5), "row": 0}
    why = "eleven stand about it"
    return [
        Planted("cluster", -1, "a zero row", {"feature": ZERO}),
        *(Planted("features_in_cluster", texts[centre], why, {"medoid": centre}) for centre in members),
        Planted("medoid", 11, "the others stand about it", of_11),
        Planted("cluster_size", 12, "eleven and a copy", of_11),
        Planted("next_match", moved[goes["feature"]], "the next layer has another order", goes, "umap, steps"),
        Planted("next_cosine", 1, "the next layer has another order", goes, "umap, steps"),
        Planted("next_match", -1, "a zero row", none, "umap, steps"),
        Planted("next_cosine", np.nan, "a zero row", none, "umap, steps"),
        Planted("map_x", np.nan, "a zero row", none, "umap, steps"),
        known("map_x", 1, "the two are opposite", **two, row=0),
        known("map_y", 0, "the two are opposite", **two, row=1),
        known("preservation", 1, "both others are among the nearest", **three, row=1),
        known("preservation", np.nan, "a zero row", **three, row=3),
        known("mean_preservation", 1, "three are on the map", **three),
        known("map_rank", 2, "3 away, after 1", **line, neighbor=2),
        known("map_rank", 3, "as far, and a higher row", **line, neighbor=3),
        known("map_rank", None, "it has no place", **line, neighbor=4),
        known("series_step", 1, "the third of two and three", layers=[np.eye(2), np.eye(3), np.eye(1)], row=2),
        known("series_step", 0, "the second of two and three", layers=[np.eye(2), np.eye(3), np.eye(1)], row=1),
    ]
