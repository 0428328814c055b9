"""Small token sets, logit weights with ties, and enrichment scores straight from their definitions."""

import numpy as np

from core.enrichment.enrichment import Enrichment, enrichment
from core.logit_weights.unembedding import Unembedding
from core.token_sets.sets import TokenSet, TokenSets

V = 60
SIZES = (1, 5, 29, 30, 45, 59)


def token_sets(**members) -> TokenSets:
    return TokenSets(
        tuple(TokenSet(name, "test", "/./", np.array(sorted(ids), dtype=np.int64)) for name, ids in members.items())
    )


def random_sets(rng: np.random.Generator, sizes=SIZES, n_tokens: int = V) -> TokenSets:
    return token_sets(**{f"of {k}": rng.choice(n_tokens, size=k, replace=False) for k in sizes})


def scores_of(values: np.ndarray, sets: TokenSets, **options) -> Enrichment:
    """Enrichment of logit weights that are given outright, a row for each feature."""
    rows = np.eye(values.shape[1], dtype=np.float32)
    options = {"draws": 500} | options
    return enrichment(values.astype(np.float32), Unembedding(rows, np.arange(len(rows))), sets, **options)


def tied_values(rng: np.random.Generator, n_features: int = 7) -> np.ndarray:
    """Few distinct values, so that most tokens share theirs with others; the last row has none in common."""
    values = rng.integers(-3, 4, size=(n_features, V)).astype(float)
    values[-1] = rng.permutation(V) - 20.5
    return values


def slow_scores(values: np.ndarray, members: set[int]) -> tuple[float, float, float]:
    """Highest and lowest running sum and AUC, straight from the definitions, value by value and pair by pair."""
    k, outside = len(members), len(values) - len(members)
    height, heights = 0.0, [0.0]
    for value in sorted(set(values.tolist()), reverse=True):
        for token in np.flatnonzero(values == value):
            height += 1 / k if token in members else -1 / outside
        heights.append(height)
    others = [v for t, v in enumerate(values) if t not in members]
    wins = sum((values[t] > v) + (values[t] == v) / 2 for t in members for v in others)
    return max(heights), min(heights), wins / (k * outside)
