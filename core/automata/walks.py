"""Walks: places of a text where the features of a path fire on successive tokens; how often, and on what text."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.automata.stretches import Stretches
from core.automata.tables import EdgeRule, follows_itself, is_edge
from core.automata.transitions import Transitions, shuffled
from core.errors import OutOfRangeError
from core.models.pieces import token_pieces

BEFORE, AFTER = 4, 2
"""Tokens of a text before and after the marked ones in an example."""
OPEN, CLOSE = "⟦", "⟧"
SHUFFLES = 20
MOST_PATHS = 40
ARROW = " → "
_IN_ONE_LINE = str.maketrans({"\n": "↵", "\r": "↵", "\t": "⇥"})


def walks(stretches: Stretches, path: Sequence[int]) -> Int[np.ndarray, " walk"]:
    """Return the tokens on which the first feature of a path fires and the others on the tokens right after it."""
    return _walks(stretches, [stretches.tokens_of(feature)[0] for feature in path])


def _walks(stretches: Stretches, where: Sequence[np.ndarray]) -> Int[np.ndarray, " walk"]:
    """Do the same with the places at which each feature of the path fires."""
    at, last = where[0].astype(np.int64), len(stretches.number) - 1
    for n, places in enumerate(where[1:], 1):
        at = at[at + n <= last]
        at = at[(stretches.number[at + n] == stretches.number[at]) & np.isin(at + n, places)]
    return at


def chance_walks(
    stretches: Stretches, paths: Sequence[Sequence[int]], *, shuffles: int = SHUFFLES, seed: int = 0
) -> Float[np.ndarray, " path"]:
    """Return how often each path happens in shuffled texts (core.automata.transitions), the mean over `shuffles`."""
    total = np.zeros(len(paths))
    for number in range(shuffles):
        place = np.argsort(shuffled(stretches, seed=seed, number=number))
        where = {feature: place[stretches.tokens_of(feature)[0]] for path in paths for feature in path}
        total += [len(_walks(stretches, [where[feature] for feature in path])) for path in paths]
    return total / max(1, shuffles)


def paths(
    found: Transitions, stretches: Stretches, feature: int, rule: EdgeRule, *, n: int, most: int = 3
) -> list[tuple[int, ...]]:
    """Return paths of n features along edges, from one on: those that the text walks most often, at most MOST_PATHS.

    Of each path the `most` continuations with most walks are followed. A path may come back to a feature. Raises
    OutOfRangeError.
    """
    if not 0 <= feature < found.d_sae:
        raise OutOfRangeError("Feature", feature, found.d_sae)
    kept, itself = is_edge(found, rule), follows_itself(found, rule)
    ends, features = stretches.acts.ends, stretches.acts.features
    grown = [((feature,), stretches.tokens_of(feature)[0].astype(np.int64))]
    for length in range(1, n):
        longer = []
        for path, at in grown:
            at = at[at + length < len(ends)]
            at = at[stretches.number[at + length] == stretches.number[at]]
            entries = [features[ends[token - 1] : ends[token]] for token in (at + length).tolist()]
            count = np.bincount(np.concatenate([*entries, features[:0]]), minlength=found.d_sae)
            after = found.target[kept & (found.source == path[-1])].tolist()
            after = sorted([*after, *([path[-1]] if itself[path[-1]] else [])], key=lambda one: (-count[one], one))
            ways = [(one, np.isin(at + length, stretches.tokens_of(one)[0])) for one in after[:most] if count[one]]
            longer += [((*path, one), at[here]) for one, here in ways]
        grown = sorted(longer, key=lambda path: (-len(path[1]), path[0]))[:MOST_PATHS]
    return [path for path, _ in grown]


def path_table(
    found: Transitions,
    stretches: Stretches,
    rows: Int[np.ndarray, "row pos"],
    tokenizer,
    followed: Sequence[tuple[int, ...]],
) -> pd.DataFrame:
    """Return one row for each path that the text walks, those walked most often first.

    Columns: path, feature (the first), path_count, path_shuffled, path_lift, path_q, path_example.
    """
    lift, log10_q = _steps(found)
    columns = {
        "path": [ARROW.join(map(str, path)) for path in followed],
        "feature": [path[0] for path in followed],
        "path_count": [len(walks(stretches, path)) for path in followed],
        "path_shuffled": chance_walks(stretches, followed),
        "path_lift": [min(lift(*step) for step in pairwise(path)) for path in followed],
        "path_q": [10.0 ** max(log10_q(*step) for step in pairwise(path)) for path in followed],
        "path_example": ["".join(example_strings(stretches, rows, tokenizer, path, most=1)) for path in followed],
    }
    table = pd.DataFrame(columns)
    return table[table["path_count"] > 0].sort_values("path_count", ascending=False, kind="stable", ignore_index=True)


def _steps(found: Transitions):
    """Return functions that give the lift and log10 q of one step."""
    code = found.source.astype(np.int64) * found.d_sae + found.target

    def of(edges: np.ndarray, selves: np.ndarray):
        return lambda one, other: float(
            selves[one] if one == other else edges[np.searchsorted(code, one * found.d_sae + other)]
        )

    return of(found.lift, found.self_lift), of(found.log10_q, found.self_log10_q)


def strongest_walks(stretches: Stretches, path: Sequence[int], *, most: int) -> Int[np.ndarray, " walk"]:
    """Return the walks on which the features fire most, each as a share of its own largest activation.

    A walk is as strong as its weakest feature. Ties: first in the text.
    """
    at = walks(stretches, path)
    strength = np.full(len(at), np.inf)
    for n, feature in enumerate(path):
        tokens, acts = stretches.tokens_of(feature)
        own = np.abs(acts[np.searchsorted(tokens, at + n)]) / np.abs(acts).max(initial=1e-30)
        strength = np.minimum(strength, own)
    return at[np.argsort(-strength, kind="stable")[:most]]


def example_strings(
    stretches: Stretches, rows: Int[np.ndarray, "row pos"], tokenizer, path: Sequence[int], *, most: int = 3
) -> list[str]:
    """Return texts on which a path happens, the strongest first, with ⟦ ⟧ around the token of each feature."""
    return [
        marked(rows, tokenizer, int(stretches.place[token]), len(path))
        for token in strongest_walks(stretches, path, most=most)
    ]


def marked(rows: Int[np.ndarray, "row pos"], tokenizer, place: int, n: int) -> str:
    """Return the text around n tokens from a place (row * n_pos + position) on, with each of them in brackets.

    It is one line: ↵ stands for a line's end, ⇥ for a tab.
    """
    row, position = divmod(place, rows.shape[1])
    pieces = token_pieces(tokenizer, rows[row].tolist())
    start, stop = max(0, position - BEFORE), min(len(pieces), position + n + AFTER)
    inside = range(position, position + n)
    text = "".join(f"{OPEN}{pieces[i]}{CLOSE}" if i in inside else pieces[i] for i in range(start, stop))
    return text.translate(_IN_ONE_LINE)
