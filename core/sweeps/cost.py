"""What a task needs: processors, memory, downloads, time. Counted from sizes alone, before anything is read.

The work of each analysis is its products in multiply-adds; all else it does grows no faster. docs/scale.md says what
was measured against this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

FLOAT, ID = 4, 8
Counted = tuple[int | float, int | float, int | float]
"""Multiply-adds, bytes stored, and bytes of memory beside the dictionary's weights."""
BLOCK = 512
"""Features whose logit weights are held at a time."""
SEEN = 2**14
"""Tokens of a block, whose activations are held for each dictionary of a pass at once."""
RATE = 3e10
"""Multiply-adds a second that one processor does in float32, until a sweep's own records say better."""
RATE_CARD = 5e12
"""The same of a card."""


@dataclass(frozen=True)
class Sizes:
    """All that the cost of a task depends on."""

    d_in: int
    d_sae: int
    d_model: int = 0
    n_params: int = 0
    """Of the language model."""
    d_vocab: int = 0
    n_ctx: int = 0
    tokens: int = 0
    l0: float = 64.0
    """Active features a token, for the bytes of stored activations; a guess until a pass has run."""
    other: int = 0
    """d_sae of the second dictionary of a pair."""
    rows: int = 256
    """Rows of text behind curves over positions."""


@dataclass(frozen=True)
class Needs:
    """What a scheduler must know of a task."""

    multiply_adds: float = 0.0
    memory_bytes: int = 0
    stored_bytes: int = 0
    download_bytes: int | None = 0
    """Of its dictionary, still to be fetched; None where the hub did not say, and where its model is."""
    cpus: int = 1
    gpus: int = 0

    @property
    def seconds(self) -> float:
        """A first guess from RATE."""
        return self.multiply_adds / (RATE_CARD if self.gpus else RATE * self.cpus)


def needs(analysis: str, sizes: Sizes, *, gpus: int = 0, cpus: int = 1, download_bytes: int | None = 0) -> Needs:
    """Return what an analysis of a dictionary needs."""
    work, stored, extra = COSTS[analysis](sizes)
    memory = _weights(sizes) + extra
    return Needs(float(work), round(memory), round(stored), download_bytes, cpus, gpus)


def together(each: Sequence[Sizes], **how: Any) -> Needs:
    """Return what the token passes of several dictionaries need that one run of their model feeds.

    The model counts once, in work and in memory, and so does the text.
    """
    first, *others = each
    all_needs = [needs("activations", first, **how)]
    all_needs += [needs("activations", replace(one, n_params=0), **how) for one in others]
    memory = sum(one.memory_bytes for one in all_needs) - sum(ID * one.tokens for one in others)
    return replace(
        all_needs[0],
        multiply_adds=sum(one.multiply_adds for one in all_needs),
        memory_bytes=memory + sum(FLOAT * SEEN * one.d_in for one in others),
        stored_bytes=sum(one.stored_bytes for one in all_needs),
    )


def _weights(sizes: Sizes) -> int:
    """Bytes of both dictionaries: encoder and decoder, biases left out."""
    return 2 * FLOAT * sizes.d_in * (sizes.d_sae + sizes.other)


def _activations(sizes: Sizes) -> Counted:
    a_token = 2 * sizes.d_in * sizes.d_sae + sizes.n_params
    stored = sizes.tokens * (8 * sizes.l0 + 12) + 700 * sizes.d_sae
    return sizes.tokens * a_token, stored, _model(sizes) + ID * sizes.tokens + 4096 * sizes.d_sae * FLOAT


def _logit_weights(sizes: Sizes) -> Counted:
    work = sizes.d_sae * sizes.d_model * sizes.d_vocab
    return work, 360 * sizes.d_sae, FLOAT * (2 * sizes.d_model * sizes.d_vocab + 4 * BLOCK * sizes.d_model)


def _neighbors(sizes: Sizes) -> Counted:
    return sizes.d_sae**2 * sizes.d_in, 2 * 8 * 100 * sizes.d_sae, FLOAT * sizes.d_in * sizes.d_sae


def _positions(sizes: Sizes) -> Counted:
    """Of the method that reads text; over all tokens at layer 0 it is d_sae x d_in x d_vocab."""
    work = sizes.rows * sizes.n_ctx * (sizes.d_in * sizes.d_sae + sizes.n_params)
    return work, 5 * FLOAT * sizes.d_sae * sizes.n_ctx, _model(sizes) + 5 * 8 * sizes.d_sae * sizes.n_ctx


def _matching(sizes: Sizes) -> Counted:
    return sizes.d_sae * sizes.other * sizes.d_in, 8 * (sizes.d_sae + sizes.other), 0


def _model(sizes: Sizes) -> int:
    return FLOAT * sizes.n_params


COSTS: dict[str, Callable[[Sizes], Counted]] = {
    "activations": _activations,
    "logit_weights": _logit_weights,
    "neighbors": _neighbors,
    "positions": _positions,
    "matching": _matching,
}
"""By analysis."""
