"""Exact statistics of layer-0 features over all tokens x positions, without visiting every pair.

f(t, p) = a_t + v_p if a_t > need_p else 0, with a token part a and a position part v. One product of
the embeddings with the encoder gives a; sorting the positions by `need` makes "where does token t
fire" one binary search, and sums over such buckets give every moment. No torch is imported.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.maths.equal_rows import Ties, copies
from core.models.language_model import LanguageModel
from core.positions.statistics import PositionStatistics, empty_fields, variance_split
from core.work.progress import SILENT, Progress
from core.work.threads import available_cpus, run_blocks


@dataclass(frozen=True)
class AdditiveParts:
    """Some features as f(t, p) = a_t + v_p if a_t > need_p else 0, where a = W_E @ weights.T."""

    weights: Float[np.ndarray, "feature d_in"]
    position: Float[np.ndarray, "feature pos"]
    """v_p, float64; a_t + v_p is the pre-activation (of a gated dictionary, the magnitude path's)."""
    need: Float[np.ndarray, "feature pos"]
    """What a_t must exceed for the feature to fire at p."""


def additive_parts(dictionary: Dictionary, W_pos: Float[np.ndarray, "pos d_in"], features: slice) -> AdditiveParts:
    """Split features into token and position part (see Dictionary.affine_gate).

    Raises DoesNotFitError if the dictionary has no such form.
    """
    gate = dictionary.affine_gate()
    columns = np.ascontiguousarray(dictionary.W_enc[:, features].T)
    scale, offset, cutoff = (part[features, None] for part in (gate.scale, gate.offset, gate.cutoff))
    z = columns.astype(np.float64) @ (W_pos.astype(np.float64) - dictionary.input_bias).T
    return AdditiveParts(weights=columns * scale, position=scale * z + offset, need=scale * (cutoff - z))


@dataclass(frozen=True)
class _Grid:
    """Inputs that all blocks of features share."""

    W_E: Float[np.ndarray, "d_vocab d_in"]
    mean_token: Float[np.ndarray, " d_in"]
    context_size: int
    tile: int
    """Tokens per product."""
    ties: Ties
    """Tokens with equal rows."""


class _Group:
    """Positions that are summed up together: those inside the context, or those beyond.

    A token that fires at the first k positions of the order is counted in bucket k - 1.
    """

    def __init__(self, parts: AdditiveParts, positions: slice):
        need, position = parts.need[:, positions], parts.position[:, positions]
        n, n_pos = need.shape
        self.order = np.argsort(need, axis=1)
        sorted_need = np.take_along_axis(need, self.order, axis=1)
        self.need = np.concatenate([sorted_need, np.full((n, 1), np.inf)], axis=1).astype(np.float32)
        self.position = np.take_along_axis(position, self.order, axis=1)
        self.buckets = np.zeros((n, n_pos, 3))

    def moments(self, n_tokens: int) -> Float[np.ndarray, "moment feature pos"]:
        """Return over tokens the share firing, mean of f and mean of f^2, positions in their own order."""
        # A token that fires at the j-th position of the order is in bucket j or a later one.
        count, first, second = np.moveaxis(self.buckets[:, ::-1].cumsum(axis=1)[:, ::-1], 2, 0)
        v = self.position
        sums = np.stack([count, first + count * v, second + 2 * v * first + count * v**2])
        result = np.empty_like(sums)
        np.put_along_axis(result, self.order[None], sums / n_tokens, axis=2)
        return result

    def token_square(self, n_tokens: int) -> Float[np.ndarray, " feature"]:
        """Return the mean over tokens of (mean over positions of f)^2."""
        n_pos = self.position.shape[1]
        k, v_sum = np.arange(1, n_pos + 1), self.position.cumsum(axis=1)
        count, first, second = np.moveaxis(self.buckets, 2, 0)
        squares = k**2 * second + 2 * k * v_sum * first + v_sum**2 * count
        return squares.sum(axis=1) / n_pos**2 / n_tokens

    def mean_of(self, a: Float[np.ndarray, " feature"]) -> Float[np.ndarray, " feature"]:
        """Return the mean over positions of f for one token part of each feature."""
        fires = self.need[:, :-1] < a[:, None]
        return np.where(fires, a[:, None] + self.position, 0).mean(axis=1)

    def firing_tokens(self) -> Float[np.ndarray, " feature"]:
        """Number of tokens that fire anywhere in the group."""
        return self.buckets[:, :, 0].sum(axis=1)


def additive_statistics(
    dictionary: Dictionary,
    model: LanguageModel,
    *,
    n_pos: int,
    context_size: int,
    device: Device = CPU,
    progress: Progress = SILENT,
    block: int | None = None,
    tile: int = 4096,
    workers: int | None = None,
) -> PositionStatistics:
    """Compute PositionStatistics over all tokens and positions below n_pos.

    Cost: the product of W_E and W_enc, and about one comparison per token and feature. `block`
    features at a time are worked on by each of `workers` threads; beyond the result a worker needs
    block x (tile x 4 + n_pos x 150) bytes. A device that runs kernels does the same in whole arrays
    (core.positions.on_device); its product may round otherwise, by up to 1e-7 of the largest activation. Raises
    DoesNotFitError unless the dictionary is additive; `progress.update(done, total)` counts features and may raise.
    """
    dictionary.affine_gate()  # raises here rather than in a thread
    if device.runs_kernels:
        from core.positions.on_device import additive_fields

        out, how = empty_fields(dictionary.d_sae, n_pos), {"tile": tile, "progress": progress}
        additive_fields(dictionary, model, device, out, n_pos=n_pos, context_size=context_size, **how)
        return PositionStatistics(method="additive grid", context_size=context_size, n_samples=model.d_vocab, **out)
    W_E, W_pos, d_sae = model.W_E, model.W_pos[:n_pos], dictionary.d_sae
    grid = _Grid(W_E, W_E.mean(axis=0, dtype=np.float64), context_size, min(tile, len(W_E)), Ties(copies(W_E)))
    # Wide blocks make products fast; several blocks keep all workers busy. The size must not depend on the number of
    # workers, because the last bits of a product depend on its size.
    block = block or max(1, min(512, 2**18 // n_pos, max(64, -(-d_sae // 8))))
    workers = min(workers or available_cpus(), -(-d_sae // block))
    buffers = [np.empty(block * grid.tile, np.float32) for _ in range(workers)]
    out = empty_fields(d_sae, n_pos)

    def work(features: slice) -> None:
        buffer = buffers.pop()
        try:
            fields = _block(additive_parts(dictionary, W_pos, features), grid, buffer)
        finally:
            buffers.append(buffer)
        for name, value in fields.items():
            out[name][features] = value

    run_blocks(work, d_sae, block, workers=workers, progress=progress)
    return PositionStatistics(method="additive grid", context_size=context_size, n_samples=len(W_E), **out)


def prepare() -> None:
    """Run the loops once on a grid of one token and one position, so that no visitor waits for compiling."""
    weights, zero = np.ones((1, 1), np.float32), np.zeros((1, 1))
    one = np.ones((1, 1), np.float32)
    grid = _Grid(one, np.ones(1), context_size=1, tile=1, ties=Ties(copies(one)))
    _block(AdditiveParts(weights, zero, zero), grid, np.empty(1, np.float32))


def _block(parts: AdditiveParts, grid: _Grid, buffer: Float[np.ndarray, " floats"]) -> dict[str, np.ndarray]:
    """Return the fields of PositionStatistics for one block of features."""
    from core.positions.kernels import add_spread, add_to_buckets

    (n, n_pos), n_tokens, at = parts.need.shape, len(grid.W_E), slice(grid.context_size)
    inside = _Group(parts, at)
    groups = [inside] if grid.context_size == n_pos else [inside, _Group(parts, slice(grid.context_size, None))]
    mean_a = parts.weights.astype(np.float64) @ grid.mean_token
    centre, squares = mean_a.astype(np.float32), np.zeros(n)
    largest, largest_token = np.full(n, -np.inf, np.float32), np.full(n, -1)
    tied = np.empty((n, grid.ties.n_groups), np.float32)
    for start in range(0, n_tokens, grid.tile):
        tokens = grid.W_E[start : start + grid.tile]
        a = np.matmul(parts.weights, tokens.T, out=buffer[: n * len(tokens)].reshape(n, -1))
        grid.ties.settle(a, start, tied)
        add_spread(a, start, centre, squares, largest, largest_token)
        for group in groups:
            add_to_buckets(a, group.need, group.buckets)
    rate, mean, square = np.concatenate([group.moments(n_tokens) for group in groups], axis=2)
    pre_std = np.sqrt(np.maximum(squares / n_tokens - (mean_a - centre) ** 2, 0))
    # f never falls as a rises, so the token with the largest a has the largest mean over positions.
    fires = inside.firing_tokens() > 0
    # A token fires somewhere in a group if a exceeds the group's least need, so one set holds the other.
    newcomers = groups[-1].firing_tokens() - inside.firing_tokens()
    return variance_split(mean[:, at], square[:, at], inside.token_square(n_tokens)) | {
        "mean": mean,
        "std": np.sqrt(np.maximum(square - mean**2, 0)),
        "rate": rate,
        "pre_mean": mean_a[:, None] + parts.position,
        "pre_std": pre_std[:, None],
        # The position part is the same for every token.
        "pre_std_over_positions": parts.position[:, at].std(axis=1),
        "token_score": inside.mean_of(largest),
        "token_best": np.where(fires, largest_token, -1),
        "only_beyond": np.maximum(newcomers, 0),
    }
