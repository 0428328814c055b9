"""Texts on which features are most active: one scan of the stored activations for several features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.activations.store import ActivationStore, counted
from core.errors import OutOfRangeError
from core.work.progress import SILENT, Progress


@dataclass(frozen=True)
class StrongestTexts:
    """One feature's strongest rows of text, strongest first; rows without an activation over 0 are left out."""

    feature: int
    rows: Int[np.ndarray, "text pos"]
    """Token ids."""
    acts: Float[np.ndarray, "text pos"]
    count: int
    """Number of tokens, in all rows of the store, on which the feature is active."""
    n_tokens: int
    """Number of counted tokens in all rows of the store."""

    @property
    def density(self) -> float:
        return self.count / self.n_tokens


def strongest_texts(
    store: ActivationStore, features: Sequence[int], *, d_sae: int, n: int = 20, progress: Progress = SILENT
) -> list[StrongestTexts]:
    """Return for each feature the n rows with the largest activation on any token; ties: earlier row first.

    `progress` counts blocks. Raises OutOfRangeError, MissingActivationsError.
    """
    for feature in features:
        if not 0 <= feature < d_sae:
            raise OutOfRangeError("Feature", feature, d_sae)
    n_pos = store.rows.shape[1]
    best = {feature: _Strongest(n, n_pos) for feature in features}
    slots = np.full(d_sae, len(best))
    slots[list(best)] = np.arange(len(best))
    for part, block in zip(store.parts, store.blocks(progress), strict=True):
        slot = slots[block.features]
        entries = np.flatnonzero(slot < len(best))
        entries = entries[np.argsort(slot[entries], kind="stable")]
        tokens = part.start * n_pos + np.searchsorted(block.ends, entries, side="right")
        cuts = np.searchsorted(slot[entries], np.arange(len(best) + 1))
        for one, start, stop in zip(best.values(), cuts[:-1], cuts[1:], strict=True):
            one.add(tokens[start:stop], block.acts[entries[start:stop]])
    n_tokens = int(np.count_nonzero(counted(store.rows, store.left_out)))
    texts = {feature: one.texts(feature, store.rows, n_tokens) for feature, one in best.items()}
    return [texts[feature] for feature in features]


class _Strongest:
    """A feature's n strongest rows in all blocks added so far; memory does not grow with the number of blocks."""

    def __init__(self, n: int, n_pos: int):
        self._n, self._n_pos, self._count = n, n_pos, 0
        self._row, self._largest = np.empty(0, np.int64), np.empty(0, np.float32)
        self._acts = np.empty((0, n_pos), np.float32)

    def add(self, tokens: Int[np.ndarray, " nonzero"], acts: Float[np.ndarray, " nonzero"]) -> None:
        """Add a block's activations. `tokens` are ascending indices into all tokens of all rows."""
        self._count += len(tokens)
        if not len(tokens):
            return
        row, first = np.unique(tokens // self._n_pos, return_index=True)
        largest = np.maximum.reduceat(acts, first)
        best = np.argsort(-largest, kind="stable")[: self._n]
        best = best[largest[best] > 0]
        stops = np.append(first[1:], len(tokens))
        dense = np.zeros((len(best), self._n_pos), np.float32)
        for line, i in zip(dense, best, strict=True):
            part = slice(first[i], stops[i])
            line[tokens[part] % self._n_pos] = acts[part]
        # Earlier rows stand first, so they win ties.
        largest = np.append(self._largest, largest[best])
        keep = np.argsort(-largest, kind="stable")[: self._n]
        self._largest, self._row = largest[keep], np.append(self._row, row[best])[keep]
        self._acts = np.concatenate([self._acts, dense])[keep]

    def texts(self, feature: int, rows: Int[np.ndarray, "row pos"], n_tokens: int) -> StrongestTexts:
        return StrongestTexts(feature, rows[self._row], self._acts, self._count, n_tokens)
