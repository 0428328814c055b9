"""Choose tokens to show for one feature: its strongest contexts, and examples from every level of activation.

This needs only the feature's stored activations and the rows of text; no model runs. Levels are levels of |f|:
negative activations (AbsTopK) count by their size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from core.activations.store import FeatureActivations
from core.errors import BadSettingError
from core.work.patterns import SECONDS, TooSlowError, check_pattern, search_all

N_INTERVALS, N_QUANTILES, PER_GROUP = 11, 10, 5
"""Bricken et al. 2023 (11 intervals of equal width); SAEDashboard (10 groups of 5)."""
MAX_PATTERN = 200
ORDERS: dict[str, Callable[[FeatureActivations], np.ndarray]] = {
    "activation": lambda activations: -np.abs(activations.act),
    "position": lambda activations: activations.position,
    "row": lambda activations: activations.row,
}


@dataclass(frozen=True)
class Level:
    """Tokens of one level of activation, low < |f| <= high, and examples from it."""

    low: float
    high: float
    count: int
    """Number of tokens at this level."""
    examples: FeatureActivations

    def said(self, *, n_active: int, n_tokens: int) -> str:
        """Say its ends, and how many of the feature's active tokens and of all tokens it has."""
        ends, share = f"{self.low:.3g} to {self.high:.3g}", self.count / n_active
        return f"{ends}: {self.count:,} active tokens, {share:.2%} of them, density {self.count / n_tokens:.2g}"


def taken(activations: FeatureActivations, entries: Int[np.ndarray, " n"]) -> FeatureActivations:
    """Return some entries, in the order given."""
    return FeatureActivations(activations.row[entries], activations.position[entries], activations.act[entries])


def ordered(activations: FeatureActivations, by: str = "activation") -> FeatureActivations:
    """Sort by a name of ORDERS, strongest or earliest first; ties keep their order."""
    return taken(activations, np.argsort(ORDERS[by](activations), kind="stable"))


def strongest_of_rows(activations: FeatureActivations) -> FeatureActivations:
    """Return the strongest token of each row on which the feature is active, strongest row first."""
    return _first_of_rows(ordered(activations))


def _first_of_rows(activations: FeatureActivations) -> FeatureActivations:
    return taken(activations, np.sort(np.unique(activations.row, return_index=True)[1]))


def intervals(
    activations: FeatureActivations, *, n: int = N_INTERVALS, per: int = PER_GROUP, seed: int = 0
) -> list[Level]:
    """Cut 0 to the largest |f| into n intervals of equal width, lowest first, and draw examples from each.

    All tokens of an interval are equally likely, and no row is drawn twice. A feature that is never active has no
    intervals.
    """
    size = np.abs(activations.act.astype(np.float64))
    if not len(size):
        return []
    edges = np.linspace(0, size.max(), n + 1)
    number = np.clip(np.searchsorted(edges, size, side="left") - 1, 0, n - 1)
    return [_level(activations, np.flatnonzero(number == i), edges[i], edges[i + 1], per, [seed, i]) for i in range(n)]


def quantile_groups(
    activations: FeatureActivations, *, n: int = N_QUANTILES, per: int = PER_GROUP, seed: int = 0
) -> list[Level]:
    """Cut the active tokens, sorted by |f|, into n groups of nearly equal size, lowest first, and draw examples.

    Empty groups are left out.
    """
    size = np.abs(activations.act.astype(np.float64))
    parts = np.array_split(np.argsort(size, kind="stable"), n)
    bottom = [0.0, *(float(size[part].max()) if len(part) else 0.0 for part in parts)]
    return [
        _level(activations, np.sort(part), bottom[i], bottom[i + 1], per, [seed, i])
        for i, part in enumerate(parts)
        if len(part)
    ]


def random_active(activations: FeatureActivations, *, n: int, seed: int = 0) -> FeatureActivations:
    """Draw active tokens, all equally likely, no row twice."""
    return _drawn(activations, np.arange(len(activations.act)), n, [seed])


LEVELS: dict[str, Callable[..., list[Level]]] = {"intervals": intervals, "quantiles": quantile_groups}
KINDS = ("strongest", "random active", "random text")
MOST_DRAWN = 200
"""Random tokens that a list holds."""


def listed(
    kind: str, activations: FeatureActivations, counted: Bool[np.ndarray, "row pos"], *, seed: int = 0
) -> FeatureActivations:
    """Return the tokens of a list of this kind, a name of KINDS."""
    assert kind in KINDS, kind
    if kind == "strongest":
        return strongest_of_rows(activations)
    if kind == "random active":
        return random_active(activations, n=MOST_DRAWN, seed=seed)
    return random_tokens(activations, counted, n=MOST_DRAWN, seed=seed)


def _level(
    activations: FeatureActivations, entries: np.ndarray, low: float, high: float, per: int, seed: list[int]
) -> Level:
    return Level(float(low), float(high), len(entries), _drawn(activations, entries, per, seed))


def _drawn(activations: FeatureActivations, entries: np.ndarray, n: int, seed: list[int]) -> FeatureActivations:
    one_a_row = _first_of_rows(taken(activations, np.random.default_rng(seed).permutation(entries)))
    return taken(one_a_row, np.arange(min(n, len(one_a_row.act))))


def random_tokens(
    activations: FeatureActivations, counted: Bool[np.ndarray, "row pos"], *, n: int, seed: int = 0
) -> FeatureActivations:
    """Draw tokens that count, all equally likely, no row twice; the feature may be active there or not."""
    rng, in_row = np.random.default_rng(seed), counted.sum(axis=1)
    n = min(n, np.count_nonzero(in_row))
    row = rng.choice(len(counted), n, replace=False, p=in_row / in_row.sum()) if n else np.zeros(0, np.int64)
    position = np.array([rng.choice(np.flatnonzero(counted[r])) for r in row], np.int64)
    acts = [row_activations(activations, int(r), counted.shape[1])[p] for r, p in zip(row, position, strict=True)]
    return FeatureActivations(row, position, np.array(acts, np.float32))


def row_activations(activations: FeatureActivations, row: int, n_pos: int) -> np.ndarray:
    """Return f on every token of a row. `activations` must be in the order of the text, as the store gives them."""
    first, last = np.searchsorted(activations.row, [row, row + 1])
    values = np.zeros(n_pos, np.float32)
    values[activations.position[first:last]] = activations.act[first:last]
    return values


def token_counts(activations: FeatureActivations, rows: Int[np.ndarray, "row pos"]) -> pd.DataFrame:
    """Return the tokens on which the feature is active, the most frequent first.

    Columns: `token` (its id), `active_count`, `share_of_token` (active_count over all occurrences of the token),
    `share_of_active` (active_count over all active tokens), `mean_active`, `largest_activation`.
    """
    tokens = rows[activations.row, activations.position]
    times, total = np.bincount(tokens), np.bincount(tokens, weights=activations.act)
    names = np.flatnonzero(times)
    largest = np.full(len(times), -np.inf, np.float32)
    np.maximum.at(largest, tokens, activations.act)
    table = pd.DataFrame(
        {
            "token": names,
            "active_count": times[names],
            "share_of_token": times[names] / np.bincount(rows.ravel(), minlength=len(times))[names],
            "share_of_active": times[names] / max(1, len(tokens)),
            "mean_active": total[names] / times[names],
            "largest_activation": largest[names],
        }
    )
    return table.sort_values("active_count", ascending=False, kind="stable", ignore_index=True)


def commonest_strongest(
    activations: FeatureActivations, rows: Int[np.ndarray, "row pos"], *, n: int = 20
) -> tuple[int, float, int]:
    """Return the token that is most often the strongest of its row, among the n strongest rows.

    Returns its id, its share of these rows, and the number of rows. Bricken et al. 2023 call a feature with share 1
    among 20 rows a single-token feature. A dead feature gives -1, NaN and 0.
    """
    best = strongest_of_rows(activations)
    tokens = rows[best.row[:n], best.position[:n]]
    if not len(tokens):
        return -1, float("nan"), 0
    token = int(np.bincount(tokens).argmax())
    return token, float((tokens == token).mean()), len(tokens)


def matching(pattern: str, texts: Sequence[str]) -> Int[np.ndarray, " n"]:
    """Return the indices of texts in which a regular expression matches; it runs in another process, with a time limit.

    Raises BadSettingError for a pattern that is too long, does not compile or takes too long.
    """
    if len(pattern) > MAX_PATTERN:
        raise BadSettingError(
            f"The pattern has {len(pattern):,} characters, expected at most {MAX_PATTERN}. Search for a part of it."
        )
    check_pattern(pattern)
    try:
        return np.array(search_all([pattern], texts)[0], np.int64)
    except TooSlowError as error:
        raise BadSettingError(
            f"/{pattern}/ was not done with {len(texts):,} contexts after {SECONDS:.0f} s, expected less. Avoid "
            "repeats inside repeats such as (a+)+."
        ) from error
