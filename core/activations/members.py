"""How often members of a selection are active on the tokens of other members, beside selections drawn at random."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.activations.store import ActivationBlock, ActivationStore, left_out_name
from core.maths.significance import benjamini_hochberg
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

DRAWS = 199
_AT_ONCE = 2**15
"""Activations of members that are compared with all drawn selections at a time."""
_EQUAL = 1e-12
"""Lifts that differ by less than this share are equal: one ratio of other whole numbers is rounded otherwise."""


@dataclass(frozen=True)
class Together:
    """Each member that is active at all, in ascending order."""

    feature: Int[np.ndarray, " member"]
    lift: Float[np.ndarray, " member"]
    """P(another member is active | it is active) / P(another member is active); NaN where no other ever is."""
    chance: Float[np.ndarray, " member"]
    """The median of the same beside selections of as many others, drawn from the features that are active at all."""
    p: Float[np.ndarray, " member"]
    """The share of selections, drawn ones and this one, whose lift is at least as large."""
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        selection: str,
        *,
        n_draws: int = DRAWS,
        seed: int = 0,
        left_out: tuple[int, ...] = (),
    ) -> str:
        """Name it: the hashes are those of the token pass, `selection` names the members."""
        return artifact_key(
            "together",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            selection=selection,
            n_draws=n_draws,
            seed=seed,
            left_out=left_out_name(left_out),
        )

    def table(self) -> pd.DataFrame:
        """Return one row per member, the surest first: feature, member_lift, chance_lift, log10_q_together."""
        log10_q = benjamini_hochberg(np.log10(self.p)[:, None])[:, 0]
        columns = {"member_lift": self.lift, "chance_lift": self.chance, "log10_q_together": np.minimum(log10_q, 0.0)}
        table = pd.DataFrame({"feature": self.feature} | columns).dropna(subset="member_lift")
        return table.sort_values(["log10_q_together", "member_lift"], ascending=[True, False], ignore_index=True)


def together(
    store: ActivationStore,
    members: Bool[np.ndarray, " d_sae"],
    count: Int[np.ndarray, " d_sae"],
    *,
    n_draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Together:
    """Compare members with drawn selections over the counted tokens of a store, where features have `count` tokens.

    A drawn selection stands in for the other members of each, so it has one feature fewer, and a member that it holds
    counts as no other. Raises MissingActivationsError.
    """
    mine, sets = np.flatnonzero(members & (count > 0)), _sets(members, count, n_draws, seed)
    beside, alone = np.zeros((len(mine), n_draws + 1)), np.zeros((len(mine), n_draws + 1))
    with_any, n_tokens = np.zeros(n_draws + 1), 0
    for block in store.blocks(progress):
        on_token = _on_tokens(block, sets)
        with_any += np.count_nonzero(on_token, axis=0)
        n_tokens += int(np.count_nonzero(block.counted))
        for entries, tokens in _entries(block, members):
            own = sets[block.features[entries]]
            others = on_token[tokens] - own
            place = _sums(np.searchsorted(mine, block.features[entries]), len(mine))
            beside += place @ (others > 0)
            alone += place @ ((others == 0) & (own > 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = beside / count[mine, None] / ((with_any - alone) / max(n_tokens, 1))
        chance = np.array(
            [np.median(row[~np.isnan(row)]) if not np.isnan(row).all() else np.nan for row in lift[:, 1:]]
        )
    reached = np.where(np.isnan(lift[:, 1:]), False, lift[:, 1:] >= lift[:, :1] * (1 - _EQUAL)).sum(axis=1)
    p = np.where(np.isnan(lift[:, 0]), 1.0, (1 + reached) / (n_draws + 1))
    return Together(mine, lift[:, 0], chance, p)


def _sets(
    members: Bool[np.ndarray, " d_sae"], count: Int[np.ndarray, " d_sae"], n_draws: int, seed: int
) -> Float[np.ndarray, "d_sae set"]:
    """Return the selection and the drawn ones as columns of 0 and 1."""
    rng, active = np.random.default_rng(seed), np.flatnonzero(count > 0)
    sets = np.zeros((len(members), n_draws + 1), np.float32)
    sets[:, 0] = members
    size = max(0, int((members & (count > 0)).sum()) - 1)
    for column in range(1, n_draws + 1):
        sets[rng.choice(active, size, replace=False), column] = 1
    return sets


def _on_tokens(block: ActivationBlock, sets: Float[np.ndarray, "d_sae set"]) -> Float[np.ndarray, "token set"]:
    """Return how many features of each set are active on each token; whole numbers, so no order of adding matters."""
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], block.ends])
    ones = np.ones(len(block.features), np.float32)
    return csr_array((ones, block.features, ends), shape=(len(block.ends), len(sets))) @ sets


def _entries(block: ActivationBlock, members: Bool[np.ndarray, " d_sae"]):
    """Yield the places of members' activations in a block, and their tokens, some at a time."""
    places = np.flatnonzero(members[block.features])
    tokens = np.searchsorted(block.ends, places, side="right")
    for start in range(0, len(places), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        yield places[part], tokens[part]


def _sums(row: Int[np.ndarray, " entry"], n_rows: int):
    """Return a sparse matrix that adds up entries by their rows."""
    from scipy.sparse import csr_array

    ones = np.ones(len(row), np.float32)
    return csr_array((ones, (row, np.arange(len(row)))), shape=(n_rows, len(row)))
