"""Oracles of maps, clusters and series of layers. `directions` are one a row; `layers` hold those of each dictionary.

`how` has the `method` of a map (pca, umap or tsne) and its settings. UMAP, t-SNE and HDBSCAN are their libraries' own,
run plainly. The first two are chaotic: they get cosines of all pairs rounded to float32, and a rounded start.
"""

import warnings
from functools import lru_cache

import numpy as np

from core.oracles.directions import cosine, counted, unit

_EPOCHS = 1000


def map_x(directions, row, how):
    return _place(directions, row, how)[0]


def map_y(directions, row, how):
    return _place(directions, row, how)[1]


def preservation(directions, row, how):
    rows, at = counted(directions), _first_like(directions, row)
    if at is None:
        return np.nan
    k, cosines, place = min(15, len(rows) - 1), _cosines(directions), _map(_frozen(directions), _settings(how))
    others = [i for i in range(len(rows)) if i != at]
    true = sorted(others, key=lambda i: (-cosines[at, i], i))[:k]
    near = sorted(others, key=lambda i: float(((place[at] - place[i]) ** 2).sum()))[:k]
    return len({*true} & {*near}) / k


def mean_preservation(directions, how):
    return np.nanmean([preservation(directions, row, how) for row in range(len(directions))])


def map_rank(x, y, row, neighbor):
    square = {i: (float(x[i]) - float(x[row])) ** 2 + (float(y[i]) - float(y[row])) ** 2 for i in range(len(x))}
    if not np.isfinite(square[neighbor]):
        return None
    near = sorted((square[i], i) for i in square if i != row and np.isfinite(square[i]))
    return 1 + [i for _, i in near].index(neighbor)


def cluster(directions, feature):
    at = _first_like(directions, feature)
    return -1 if at is None else _clusters(_frozen(directions))[at]


def cluster_size(directions, cluster):
    return len(_members(directions, cluster))


def medoid(directions, cluster):
    members = _members(directions, cluster)
    means = [np.mean([cosine(directions[i], directions[j]) for j in members]) for i in members]
    return members[int(np.round(means, 6).argmax())]


def features_in_cluster(directions, cluster):
    return " ".join(map(str, _members(directions, cluster)))


def next_match(layers, series_step, feature):
    here, there = layers[series_step][feature], layers[series_step + 1]
    return max(_finite(there), key=lambda j: (round(cosine(here, there[j]), 6), -j)) if _has(here) else -1


def next_cosine(layers, series_step, feature):
    match = next_match(layers, series_step, feature)
    return cosine(layers[series_step][feature], layers[series_step + 1][match]) if match >= 0 else np.nan


def series_step(layers, row):
    """`row` counts the features of all dictionaries but the last, one dictionary after the other."""
    return int(np.searchsorted(np.cumsum([len(layer) for layer in layers]), row, side="right"))


def _has(row):
    return bool(np.isfinite(row).all() and np.any(row))


def _finite(rows):
    return [i for i, row in enumerate(rows) if _has(row)]


def _frozen(directions):
    """Return directions as a value that a cache can hold."""
    rows = np.asarray(directions)
    return rows.dtype.str, rows.shape, rows.tobytes()


def _thawed(frozen):
    dtype, shape, data = frozen
    return np.frombuffer(data, dtype).reshape(shape)


def _settings(how):
    return tuple(sorted(how.items()))


def _first_like(directions, row):
    """Return the place, among the rows that count, of the first row with these bits; None without a direction."""
    if not _has(directions[row]):
        return None
    rows = counted(directions)
    return next(i for i, j in enumerate(rows) if np.array_equal(directions[j] + 0.0, directions[row] + 0.0))


def _cosines(directions):
    units = [unit(directions[i]) for i in counted(directions)]
    return np.array([[np.float32((one * other).sum()) for other in units] for one in units])


def _place(directions, row, how):
    at = _first_like(directions, row)
    return (np.nan, np.nan) if at is None else _map(_frozen(directions), _settings(how))[at]


def _axes(directions, n):
    """Return the principal components of the rows that count; the largest loading of each is positive."""
    units = np.array([unit(directions[i]) for i in counted(directions)])
    centred = units - units.mean(0)
    loadings = np.linalg.svd(centred)[2][:n]
    return centred @ np.array([row * np.sign(row[np.abs(row).argmax()]) for row in loadings]).T


def _start(directions, n):
    """Return the components rounded to a power of 2 that is between 1/8192 and 1/4096 of the largest coordinate."""
    axes = _axes(directions, n)
    step = 2.0 ** (np.floor(np.log2(np.abs(axes).max())) + 1 - 13)
    return np.round(axes / step) * step


@lru_cache
def _map(frozen, settings):
    directions, how = _thawed(frozen), dict(settings)
    method = how.pop("method")
    if method == "pca":
        return _axes(directions, 2)
    return (_umap if method == "umap" else _tsne)(directions, n_axes=2, **how)


def _umap(directions, *, n_axes, n_neighbors, min_dist, seed):
    from umap import UMAP

    start, cosines = _start(directions, n_axes), _cosines(directions).astype(float)
    start = start + np.random.default_rng(seed).normal(scale=1e-4 * np.abs(start).max(), size=start.shape)
    near = [sorted(range(len(row)), key=lambda j, i=i, row=row: (j != i, -row[j], j)) for i, row in enumerate(cosines)]
    index = np.array(near)[:, :n_neighbors]
    distance = np.maximum(1 - np.take_along_axis(cosines, index, axis=1), 0)
    distance[:, 0] = 0
    knn = index.astype(np.int32), distance.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it cannot place new points later
        return UMAP(
            n_components=n_axes,
            metric="cosine",
            n_neighbors=n_neighbors,
            min_dist=min_dist,
            init=start,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=knn,
            force_approximation_algorithm=True,  # else it looks for neighbours itself
        ).fit_transform(start.astype(np.float32))


def _tsne(directions, *, n_axes, perplexity, seed):
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    chords = np.sqrt(np.maximum(2 - 2 * _cosines(directions).astype(float), 0)).astype(np.float32)
    np.fill_diagonal(chords, 0)
    start = _start(directions, n_axes)
    start = 1e-4 * start / start[:, 0].std()
    with threadpool_limits(1):
        tsne = TSNE(perplexity=perplexity, metric="precomputed", init=start, random_state=seed, max_iter=_EPOCHS)
        return tsne.fit_transform(chords)


@lru_cache
def _clusters(frozen):
    """Return the cluster of each row that counts, in the order of the leaves of the tree of their medoids."""
    from scipy.cluster.hierarchy import leaves_list, linkage
    from sklearn.cluster import HDBSCAN

    directions = _thawed(frozen)
    points = _umap(directions, n_axes=10, n_neighbors=15, min_dist=0.1, seed=42)
    labels = HDBSCAN(min_cluster_size=3, copy=True).fit_predict(points.astype(np.float32))
    rows, cosines = counted(directions), _cosines(directions).astype(float)
    medoids = []
    for label in range(labels.max() + 1):
        mine = np.flatnonzero(labels == label)
        medoids.append(rows[mine[np.round(cosines[np.ix_(mine, mine)].mean(1), 6).argmax()]])
    order = leaves_list(linkage(np.array([unit(directions[i]) for i in medoids]), "average")).tolist()
    return [order.index(label) if label >= 0 else -1 for label in labels.tolist()]


def _members(directions, label):
    return [i for i in range(len(directions)) if cluster(directions, i) == label]
