"""The tensors of a model that weight pages need: embeddings, unembedding and final norm. Works without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.errors import BadDictionaryError, DoesNotFitError

NAMES = ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U", "ln_final.w", "ln_final.b"]
TRAINED, ZERO, SHUFFLED = "trained", "zero", "shuffled"
WPE = (TRAINED, ZERO, SHUFFLED)
"""Variants of an absolute position embedding: as trained, all zero, or its rows in a random order (seed 0)."""


@dataclass(frozen=True)
class Embeddings:
    """Read-only tensors; None where a model has none, or where the final norm was folded away."""

    W_E: Float[np.ndarray, "d_vocab d_model"]
    W_pos: Float[np.ndarray, "n_ctx d_model"] | None
    W_U: Float[np.ndarray, "d_model d_vocab"] | None
    b_U: Float[np.ndarray, " d_vocab"] | None
    ln_w: Float[np.ndarray, " d_model"] | None
    ln_b: Float[np.ndarray, " d_model"] | None

    def __post_init__(self):
        for array in self._arrays():
            array.flags.writeable = False

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays())

    def _arrays(self) -> list[np.ndarray]:
        return [array for array in vars(self).values() if array is not None]


def embeddings(tensors: Mapping[str, np.ndarray], *, centred: bool, wpe: str) -> Embeddings:
    """Put the tensors of NAMES together; `centred` subtracts from each row of W_E and W_pos its mean over d_model."""
    W_E, W_pos, *others = (tensors.get(name) for name in NAMES)
    if centred:
        W_E, W_pos = (None if W is None else W - W.mean(axis=1, keepdims=True) for W in (W_E, W_pos))
    if wpe != TRAINED:
        W_pos = np.zeros_like(W_pos) if wpe == ZERO else W_pos[np.random.default_rng(0).permutation(len(W_pos))]
    return Embeddings(W_E, W_pos, *others)


def check_shapes(
    tensors: Mapping[str, np.ndarray], folder: Path, *, d_vocab: int, d_model: int, n_ctx: int | None
) -> None:
    """Raise BadDictionaryError unless all tensors are there, in the shapes that the config gives.

    `n_ctx` is None for a model without learned positions.
    """
    shapes = {"embed.W_E": (d_vocab, d_model)}
    if n_ctx is not None:
        shapes["pos_embed.W_pos"] = (n_ctx, d_model)
    if "unembed.W_U" in tensors or "unembed.b_U" in tensors:  # a model may have neither, but not one alone
        shapes |= {"unembed.W_U": (d_model, d_vocab), "unembed.b_U": (d_vocab,)}
    for name, shape in shapes.items():
        there = tensors[name].shape if name in tensors else "missing"
        if there != shape:
            raise BadDictionaryError(
                f"{name} of {folder} is {there}, expected {shape} from its config.json. Export model and config "
                "together."
            )


def no_unembedding(model_name: str) -> DoesNotFitError:
    """Return the error of a model whose files hold no unembedding: it has activations, but no logits."""
    return DoesNotFitError(
        f"{model_name} has no unembedding: expected unembed.W_U and unembed.b_U in its model.safetensors. "
        "Export the whole model, or choose a dictionary of another one."
    )
