"""One feature on all tokens x positions, or all features on one token: layer-0 views made on demand."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError, OutOfRangeError
from core.models.language_model import LanguageModel
from core.positions.additive import additive_parts
from core.positions.encoded import samples_per_block
from core.positions.methods import choose_method
from core.positions.statistics import PositionSettings
from core.work.progress import SILENT, Progress

Stage = Literal["acts", "pre_acts"]


def feature_grid(
    dictionary: Dictionary,
    model: LanguageModel,
    feature: int,
    n_pos: int | None = None,
    *,
    tokens: Int[np.ndarray, " token"] | None = None,
    stage: Stage = "acts",
    budget_bytes: int = 128 * 2**20,
    progress: Progress = SILENT,
) -> Float[np.ndarray, "token n_pos"]:
    """Return f(t, p) of one feature on all tokens (or those given) at positions below n_pos (default: all).

    Additive dictionaries need one vector product; others encode every pair, in blocks of
    `budget_bytes`, for `progress.update(done, total)` in tokens. Raises OutOfRangeError for a feature,
    token or position that does not exist, DoesNotFitError where activations are no function of both.
    """
    n_pos, additive = _check(dictionary, model, n_pos)
    check_index("Feature", feature, dictionary.d_sae)
    tokens = np.arange(model.d_vocab) if tokens is None else tokens
    for token in (tokens.min(initial=0), tokens.max(initial=0)):
        check_index("Token", int(token), model.d_vocab)
    W_pos = model.W_pos[:n_pos]
    if additive:
        parts = additive_parts(dictionary, W_pos, slice(feature, feature + 1))
        a = model.W_E[tokens] @ parts.weights[0]
        pre = a[:, None] + parts.position.astype(np.float32)
        return pre if stage == "pre_acts" else np.where(a[:, None] > parts.need.astype(np.float32), pre, 0)
    grid = np.empty((len(tokens), n_pos), np.float32)
    step = samples_per_block(n_pos, dictionary.d_sae, budget_bytes)
    for start in range(0, len(tokens), step):
        x = model.W_E[tokens[start : start + step], None] + W_pos
        grid[start : start + step] = _encode(dictionary, x, stage)[..., feature]
        progress.update(min(start + step, len(tokens)), len(tokens))
    return grid


def token_curves(
    dictionary: Dictionary, model: LanguageModel, token: int, n_pos: int | None = None, *, stage: Stage = "acts"
) -> Float[np.ndarray, "n_pos d_sae"]:
    """Return every feature's activation on one token along positions below n_pos (default: all).

    Raises as `feature_grid` does.
    """
    n_pos, additive = _check(dictionary, model, n_pos)
    check_index("Token", token, model.d_vocab)
    W_pos = model.W_pos[:n_pos]
    if not additive:
        return np.ascontiguousarray(_encode(dictionary, model.W_E[token] + W_pos, stage))
    parts = additive_parts(dictionary, W_pos, slice(None))
    a = (parts.weights @ model.W_E[token])[:, None]
    pre = a + parts.position
    acts = pre if stage == "pre_acts" else np.where(a > parts.need.astype(np.float32), pre, 0)
    return np.ascontiguousarray(acts.T, dtype=np.float32)


def only_beyond_tokens(grid: Float[np.ndarray, "token n_pos"], context_size: int) -> Int[np.ndarray, " found"]:
    """List the tokens on which a feature fires at some p >= C but at no p < C, strongest first.

    `grid` is `feature_grid` on all tokens; ties: lower id first.
    """
    tokens = np.flatnonzero(_silent(grid[:, :context_size]) & ~_silent(grid[:, context_size:]))
    strength = np.abs(grid[tokens, context_size:]).max(axis=1, initial=0)
    return tokens[np.argsort(-strength, kind="stable")]


def check_index(kind: str, value: int, size: int) -> None:
    """Raise OutOfRangeError unless 0 <= value < size."""
    if not 0 <= value < size:
        raise OutOfRangeError(kind, value, size)


def _silent(acts: Float[np.ndarray, "token pos"]) -> Bool[np.ndarray, " token"]:
    return (acts == 0).all(axis=1)


def _encode(dictionary: Dictionary, x: np.ndarray, stage: Stage) -> np.ndarray:
    acts, pre_acts = dictionary.encode_with_pre_acts(x)
    return acts if stage == "acts" else pre_acts


def _check(dictionary: Dictionary, model: LanguageModel, n_pos: int | None) -> tuple[int, bool]:
    """Return the number of positions and whether the dictionary is additive."""
    if n_pos is not None:
        check_index("Position", n_pos - 1, model.n_ctx)
    method, reason = choose_method(dictionary, model, PositionSettings(n_pos=n_pos))
    if method == "corpus":
        raise DoesNotFitError(
            f"{dictionary.title} has no grid of tokens and positions. {reason} "
            "Expected a layer-0 dictionary of a model with learned positions; choose one."
        )
    return n_pos or model.n_ctx, method == "additive grid"
