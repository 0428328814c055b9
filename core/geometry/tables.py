"""Neighbours of a dictionary's features as tidy tables: distances, hubs, shared neighbours, composed features."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.dictionaries.config import TRANSCODERS
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.geometry.composed import Composed
from core.geometry.neighbors import Neighbors
from core.maths.random_directions import RandomDirections

Values = Float[np.ndarray, " d_sae"]


def rth_cosine(neighbors: Neighbors, r: int) -> Values:
    """Return each feature's r-th largest cosine, NaN for features left out.

    Raises DoesNotFitError unless r is from 1 to the number of neighbours stored.
    """
    if not 0 < r <= neighbors.k:
        raise DoesNotFitError(
            f"The {r}-th nearest neighbour is not stored; expected a number from 1 to {neighbors.k}. "
            "Choose one in that range."
        )
    return neighbors.cos[:, r - 1].astype(float)


def closest_feature(neighbors: Neighbors) -> int | None:
    """Return the feature with the largest cosine to a neighbour, the first of several; None if none has a direction."""
    nearest = neighbors.cos[:, 0]
    return None if np.isnan(nearest).all() else int(np.nanargmax(nearest))


def feature_distances(neighbors: Neighbors, r: int) -> pd.DataFrame:
    """One row per feature that is not left out: feature, rth_cosine, nearest_cosine, neighbor."""
    table = pd.DataFrame(
        {
            "feature": np.arange(len(neighbors.cos)),
            "rth_cosine": rth_cosine(neighbors, r),
            "nearest_cosine": neighbors.cos[:, 0].astype(float),
            "neighbor": neighbors.idx[:, 0],
        }
    )
    return table[table["neighbor"] >= 0].reset_index(drop=True)


def common_edges(values: Mapping[str, Values], *, bins: int = 80) -> Float[np.ndarray, " edges"]:
    """Return the edges of bins that hold every finite value of all dictionaries."""
    finite = np.concatenate([numbers[np.isfinite(numbers)] for numbers in values.values()])
    low, high = finite.min(), finite.max()
    # If all values are equal, the bins still need a width.
    return np.linspace(low, high if high - low > 1e-6 else low + 1e-6, bins + 1)


def histograms(values: Mapping[str, Values], edges: Float[np.ndarray, " edges"]) -> pd.DataFrame:
    """Count values in bins: dictionary, bin_low, bin_high, features_in_bin, share_in_bin (of its features).

    Empty bins stay in the table, so that a line through the counts reaches 0. Values outside the edges do not count.
    """
    parts = []
    for name, numbers in values.items():
        counts, _ = np.histogram(numbers[np.isfinite(numbers)], edges)
        share = counts / max(1, np.isfinite(numbers).sum())
        parts.append(_bins(name, edges) | {"features_in_bin": counts, "share_in_bin": share})
    return pd.concat(map(pd.DataFrame, parts), ignore_index=True)


def random_histogram(random: RandomDirections, r: int, edges: Float[np.ndarray, " edges"], name: str) -> pd.DataFrame:
    """Return the expected histogram of random directions, in the columns of `histograms`."""
    counts = random.expected_counts(edges, r)
    return pd.DataFrame(_bins(name, edges) | {"features_in_bin": counts, "share_in_bin": counts / random.n})


def _bins(name: str, edges: np.ndarray) -> dict[str, object]:
    return {"dictionary": name, "bin_low": edges[:-1], "bin_high": edges[1:]}


def hubs(neighbors: Neighbors) -> pd.DataFrame:
    """Return features by the number of others that have them as nearest neighbour, the most first.

    Columns: feature, in_degree (number of features whose nearest it is), in_degree_top (number of features that have it
    among their k nearest), nearest_cosine, neighbor. Features left out are not listed.
    """
    d_sae, known = len(neighbors.idx), neighbors.idx[:, 0] >= 0
    table = pd.DataFrame(
        {
            "feature": np.arange(d_sae),
            "in_degree": np.bincount(neighbors.idx[known, 0], minlength=d_sae),
            "in_degree_top": np.bincount(neighbors.idx[known].ravel(), minlength=d_sae),
            "nearest_cosine": neighbors.cos[:, 0].astype(float),
            "neighbor": neighbors.idx[:, 0],
        }
    )[known]
    return table.sort_values(["in_degree", "in_degree_top"], ascending=False, kind="stable", ignore_index=True)


def neighbors_by_bin(neighbors: Neighbors, edges: Float[np.ndarray, " edges"]) -> pd.DataFrame:
    """Return one row per bin of the nearest cosine, to show whether its features share one nearest neighbour.

    Columns: bin_low, bin_high, features_in_bin, commonest_neighbor (ties: lower feature), same_neighbor_share (share of
    the bin's features that have the commonest one), distinct_neighbors (number of different ones). Empty bins are left
    out.
    """
    cos, nearest = neighbors.cos[:, 0], neighbors.idx[:, 0]
    place = np.searchsorted(edges, cos, side="right") - 1
    place[cos == edges[-1]] = len(edges) - 2  # the last bin includes its upper edge, as numpy's do
    rows = []
    for b in range(len(edges) - 1):
        inside = nearest[(place == b) & (nearest >= 0)]
        if inside.size:
            ids, counts = np.unique(inside, return_counts=True)
            top = counts.argmax()
            rows.append((edges[b], edges[b + 1], inside.size, ids[top], counts[top] / inside.size, ids.size))
    names = [
        "bin_low",
        "bin_high",
        "features_in_bin",
        "commonest_neighbor",
        "same_neighbor_share",
        "distinct_neighbors",
    ]
    return pd.DataFrame(rows, columns=names)


def encoder_decoder_cosine(dictionary: Dictionary) -> Values:
    """Return the cosine of each feature's encoder column with its decoder row; NaN if either has no direction.

    Raises DoesNotFitError for a transcoder, whose rows and columns lie in different spaces.
    """
    W_enc, W_dec, config = dictionary.W_enc, dictionary.W_dec, dictionary.config
    if config.architecture in TRANSCODERS:
        raise DoesNotFitError(
            f"{dictionary.title} reads {config.hook_name} and writes {config.hook_name_out or 'elsewhere'}: what a "
            "feature reads and what it writes have no cosine. Choose a dictionary that reconstructs what it reads."
        )
    product = np.einsum("di,id->i", W_enc, W_dec, dtype=np.float64)
    squares = np.einsum("di,di->i", W_enc, W_enc, dtype=np.float64) * np.einsum(
        "id,id->i", W_dec, W_dec, dtype=np.float64
    )
    nan = np.full(len(W_dec), np.nan)
    return np.clip(np.divide(product, np.sqrt(squares), out=nan, where=squares > 0), -1, 1)


def composed_table(composed: Composed, neighbors: Neighbors) -> pd.DataFrame:
    """Return features to which a sum of two neighbours is nearer than any single feature, the best sum first.

    Columns: feature, composed_first, composed_second, composed_cosine, nearest_cosine, composed_gain.
    """
    table = pd.DataFrame(
        {
            "feature": np.arange(len(composed.first)),
            "composed_first": composed.first,
            "composed_second": composed.second,
            "composed_cosine": composed.cosine.astype(float),
            "nearest_cosine": neighbors.cos[:, 0].astype(float),
        }
    )
    table = table.assign(composed_gain=table["composed_cosine"] - table["nearest_cosine"])[composed.first >= 0]
    return table.sort_values("composed_cosine", ascending=False, kind="stable", ignore_index=True)


def neighbors_of(neighbors: Neighbors, feature: int, *, top: int | None = None) -> pd.DataFrame:
    """Return one feature's neighbours, best first: neighbor_rank, neighbor, neighbor_cosine, mutual_rank.

    mutual_rank is the rank of this feature among the neighbour's neighbours; missing if it is not among the stored
    ones. The table is empty for a feature left out.
    """
    idx = neighbors.idx[feature, :top]
    idx = idx[idx >= 0]
    back = neighbors.idx[idx] == feature
    return pd.DataFrame(
        {
            "neighbor_rank": np.arange(1, len(idx) + 1),
            "neighbor": idx,
            "neighbor_cosine": neighbors.cos[feature, : len(idx)].astype(float),
            "mutual_rank": pd.array(np.where(back.any(axis=1), back.argmax(axis=1) + 1, 0), dtype="Int64"),
        }
    ).assign(mutual_rank=lambda d: d["mutual_rank"].where(d["mutual_rank"] > 0))


def with_random_ranks(table: pd.DataFrame, random: RandomDirections) -> pd.DataFrame:
    """Add random_rth_cosine to a table of `neighbors_of`: the median cosine at each rank among random directions."""
    half = np.array([0.5])
    medians = [random.rth_quantile(half, int(r))[0] for r in table["neighbor_rank"]]
    return table.assign(random_rth_cosine=np.asarray(medians, dtype=float))
