"""Stretches of text: successive tokens of one document in one row, on which one feature may follow another."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from core.activations.sparse import SparseActivations, read_activations
from core.activations.store import ActivationStore
from core.corpus.samples import special_tokens
from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress


@dataclass(frozen=True, eq=False)
class Stretches:
    """Activations on the tokens of all stretches, in the order of the text."""

    acts: SparseActivations
    place: Int[np.ndarray, " token"]
    """row * n_pos + position of each token, ascending."""
    n_pos: int

    @cached_property
    def number(self) -> Int[np.ndarray, " token"]:
        """The stretch of each token: a new one begins wherever a place of the text is left out."""
        return np.cumsum(np.diff(self.place, prepend=-1) > 1) - 1 if len(self.place) else self.place

    @cached_property
    def length(self) -> Int[np.ndarray, " stretch"]:
        return np.bincount(self.number)

    @cached_property
    def first(self) -> Int[np.ndarray, " pair"]:
        """Tokens that are followed by another of their stretch, which is the next entry of `place`."""
        return np.flatnonzero(np.diff(self.number) == 0)

    def tokens_of(self, feature: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Return the tokens (entries of `place`) on which a feature fires, ascending, and its activations there."""
        ends, tokens, values = self.acts.by_feature
        part = slice(ends[feature - 1] if feature else 0, ends[feature])
        return tokens[part], values[part]


def apart_of(model: LanguageModel) -> tuple[int, ...]:
    """Return the ids that no stretch crosses: special tokens, and what separates documents."""
    return tuple(sorted({*special_tokens(model), model.separator}))


def kept_tokens(rows: Int[np.ndarray, "row pos"], apart: Sequence[int]) -> Bool[np.ndarray, "row pos"]:
    """Say which tokens may be in a stretch: not position 0 of a row, and none of the ids in `apart`.

    `apart` are BOS, the separator of documents and other special tokens. No stretch crosses one.
    """
    kept = ~np.isin(rows, np.array(sorted(apart), np.int64))
    kept[:, :1] = False
    return kept


def read_stretches(
    store: ActivationStore, d_sae: int, *, apart: Sequence[int], progress: Progress = SILENT
) -> Stretches:
    """Read a store's stretches. Tokens that the store does not count are in none, and end those around them.

    Raises MissingActivationsError, and CorpusError where no two successive tokens remain.
    """
    kept = kept_tokens(store.rows, [*apart, *store.left_out])
    acts = read_activations(store, d_sae, with_first=False, only=kept, progress=progress)
    n_pos = store.rows.shape[1]
    stretches = Stretches(acts, np.flatnonzero(kept), n_pos)
    if not len(stretches.first):
        raise CorpusError(
            f"{len(store.rows):,} rows of {n_pos:,} tokens hold no two successive tokens of one document after "
            "position 0, so nothing follows anything. Expected rows of 3 tokens or more; choose longer rows."
        )
    return stretches
