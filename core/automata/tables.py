"""Tables of transitions: which count as edges of the automaton, what follows each feature, loops of two."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from core.automata.transitions import LEVELS, Transitions


@dataclass(frozen=True)
class EdgeRule:
    """When a transition is an edge of the automaton."""

    q: float = LEVELS[1]
    """Largest q."""
    least_count: int = 20
    """How many times it happens in the text, at least."""
    least_ratio: float = 2.0
    """How many times as often as in shuffled text, at least."""
    turns: bool = True
    """Whether the two must fire on one token less often than independent features. Others fire together, and so they
    follow one another wherever both last for more than a token."""


def is_edge(found: Transitions, rule: EdgeRule) -> Bool[np.ndarray, " edge"]:
    """Say which transitions between two features are edges."""
    kept = (found.log10_q <= np.log10(rule.q)) & (found.count >= rule.least_count)
    kept &= found.count >= rule.least_ratio * found.expected
    return kept & (found.together_lift < 1) if rule.turns else kept


def follows_itself(found: Transitions, rule: EdgeRule) -> Bool[np.ndarray, " d_sae"]:
    """Say which features follow themselves by the same rule."""
    kept = (found.self_log10_q <= np.log10(rule.q)) & (found.self_count >= rule.least_count)
    return kept & (found.self_count >= rule.least_ratio * found.self_expected)


def edge_table(found: Transitions, edges: Int[np.ndarray, " n"]) -> pd.DataFrame:
    """Return one row for each of these transitions, given by their places.

    Columns: feature, next_feature, step_count, step_share, step_lift, shuffled_lift, step_q, together_lift.
    """
    source, count = found.source[edges], found.count[edges]
    return pd.DataFrame(
        {
            "feature": source,
            "next_feature": found.target[edges],
            "step_count": count,
            "step_share": count / found.source_count[source],
            "step_lift": found.lift[edges],
            "shuffled_lift": found.shuffled_lift[edges],
            "step_q": 10.0 ** found.log10_q[edges],
            "together_lift": found.together_lift[edges],
        }
    )


def self_edges(found: Transitions, features: Int[np.ndarray, " n"]) -> pd.DataFrame:
    """Return the columns of `edge_table` for features that follow themselves; together_lift is missing."""
    return pd.DataFrame(
        {
            "feature": features,
            "next_feature": features,
            "step_count": found.self_count[features],
            "step_share": found.self_count[features] / np.maximum(found.source_count[features], 1),
            "step_lift": found.self_lift[features],
            "shuffled_lift": found.self_shuffled_lift[features],
            "step_q": 10.0 ** found.self_log10_q[features],
            "together_lift": np.nan,
        }
    )


def strongest(found: Transitions, kept: Bool[np.ndarray, " edge"], *, most: int, back: bool = False) -> np.ndarray:
    """Return the places of each feature's `most` edges with the largest lift; ties: lower feature first.

    The edges of a feature are those that leave it, or those that lead to it (`back`). The places are in the order of
    these features, and of falling lift.
    """
    places = np.flatnonzero(kept)
    own, other = (found.target, found.source) if back else (found.source, found.target)
    order = places[np.lexsort((other[places], -found.lift[places], own[places]))]
    rank = np.arange(len(order)) - np.searchsorted(own[order], own[order], side="left")
    return order[rank < most]


def loops_of_two(found: Transitions, kept: Bool[np.ndarray, " edge"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of edges f to g with f < g that have an edge back, and the places of these edges back."""
    places = np.flatnonzero(kept)
    there = found.source[places].astype(np.int64) * found.d_sae + found.target[places]
    back = found.target[places].astype(np.int64) * found.d_sae + found.source[places]
    order = np.argsort(there)
    at = np.minimum(np.searchsorted(there[order], back), max(0, len(order) - 1))
    forward = np.flatnonzero((there < back) & (there[order][at] == back)) if len(places) else np.zeros(0, np.int64)
    return places[forward], places[order][at[forward]]


def loop_table(found: Transitions, kept: Bool[np.ndarray, " edge"]) -> pd.DataFrame:
    """Return one row for each loop of two features, the one with the largest of the weaker lifts first.

    Columns: feature, next_feature, loop_lift, shuffled_loop_lift, step_count, back_count, loop_q, together_lift.
    """
    there, back = loops_of_two(found, kept)
    table = pd.DataFrame(
        {
            "feature": found.source[there],
            "next_feature": found.target[there],
            "loop_lift": np.minimum(found.lift[there], found.lift[back]),
            "shuffled_loop_lift": np.minimum(found.shuffled_lift[there], found.shuffled_lift[back]),
            "step_count": found.count[there],
            "back_count": found.count[back],
            "loop_q": 10.0 ** np.maximum(found.log10_q[there], found.log10_q[back]),
            "together_lift": found.together_lift[there],
        }
    )
    return table.sort_values("loop_lift", ascending=False, kind="stable", ignore_index=True)


def feature_table(found: Transitions, rule: EdgeRule) -> pd.DataFrame:
    """Return one row for each feature, the one with the largest lift after itself first.

    Columns: feature, step_tokens, self_count, self_lift, self_shuffled_lift, self_q, n_next, n_previous, n_loops,
    next_feature, step_lift, shuffled_lift, step_q (of the strongest edge, missing without one).
    """
    kept, every = is_edge(found, rule), np.arange(found.d_sae)
    best = strongest(found, kept, most=1)
    loops = np.concatenate([found.source[there] for there in loops_of_two(found, kept)])
    table = pd.DataFrame(
        {
            "feature": every,
            "step_tokens": found.source_count,
            "self_count": found.self_count,
            "self_lift": found.self_lift,
            "self_shuffled_lift": found.self_shuffled_lift,
            "self_q": 10.0**found.self_log10_q,
            "n_next": np.bincount(found.source[kept], minlength=found.d_sae),
            "n_previous": np.bincount(found.target[kept], minlength=found.d_sae),
            "n_loops": np.bincount(loops, minlength=found.d_sae),
        }
    )
    following = edge_table(found, best).set_index("feature")[["next_feature", "step_lift", "shuffled_lift", "step_q"]]
    table = table.join(following, on="feature").astype({"next_feature": "Int64"})
    order = np.lexsort((-np.nan_to_num(found.self_lift), ~follows_itself(found, rule)))
    return table.iloc[order].reset_index(drop=True)


def suggested(found: Transitions, rule: EdgeRule) -> tuple[int, int] | None:
    """Return the two features of the strongest loop of two, else those of the strongest edge; None without edges."""
    kept = is_edge(found, rule)
    table = loop_table(found, kept)
    if len(table):
        return int(table["feature"][0]), int(table["next_feature"][0])
    if not kept.any():
        return None
    best = int(np.where(kept, found.lift, -np.inf).argmax())
    return int(found.source[best]), int(found.target[best])
