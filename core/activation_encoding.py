"""Encoding rows of text: the model up to the hook, the dictionary, and its reconstruction, as sparse activations.

Dictionaries whose features are gates on x @ W_enc are encoded here, a tile of tokens at a time on
threads of our own; all others by sae-lens. Both keep only what is not zero.
"""

from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from core.activation_store import ActivationBlock
from core.dictionary import Dictionary
from core.dictionary_config import UNFOLDED_NORMALISATIONS
from core.errors import DoesNotFitError
from core.language_model import LanguageModel
from core.threads import as_done, available_cpus, one_thread_per_product

_FLOATS_PER_TILE = 2**24
_TOKENS_PER_RUN = 2**12
_PLAIN_DECODERS = {"standard", "jumprelu", "gated", "topk", "abstopk"}
_PLAIN_DECODERS |= {"transcoder", "jumprelu_transcoder", "topk_transcoder"}
MEASURES = ("error", "square", "square_hat", "dot", "spread", "l2", "l2_random", "norm", "norm_hat")
MEASURES += ("cosine", "l2_ratio", "l0")
"""What is known of a token: squared lengths of x - x_hat, x and x_hat, x . x_hat, |x - b_dec|^2, then as in
core.reconstruction.ErrorByPosition; l2_ratio is |x_hat| / |x|, 0 where x is."""

LARGEST = 2**22
"""No activation or length is larger, so that the sums of many fit into integers."""


class Tile(NamedTuple):
    """Some tokens, encoded; `ends` counts from the first of them."""

    ends: Int[np.ndarray, " token"]
    features: Int[np.ndarray, " nonzero"]
    acts: Float[np.ndarray, " nonzero"]
    measures: Float[np.ndarray, "measure token"]


class Encoder:
    """One dictionary, ready to encode. Tiles are cut alike whatever the number of workers, and so are the bits.

    A worker needs about 64 MiB, or a token's activations if those are more. `generic` leaves all to sae-lens.
    """

    def __init__(self, dictionary: Dictionary, *, workers: int | None = None, generic: bool = False):
        self.dictionary, config = dictionary, dictionary.config
        self._gate = None if generic or dictionary.not_additive_because else dictionary.affine_gate()
        # sae-lens holds a lock while it runs, and has threads of its own.
        self._workers = (workers or available_cpus()) if self._gate else 1
        self._tile = max(1, _FLOATS_PER_TILE // dictionary.d_sae)
        self._decodes = not generic and (
            config.architecture in _PLAIN_DECODERS
            and config.normalize_activations in UNFOLDED_NORMALISATIONS | {"none"}
            and not config.rescale_acts_by_decoder_norm
        )
        self._buffers: list[tuple[np.ndarray, ...]] = []

    def block(
        self, model: LanguageModel, rows: Int[np.ndarray, "row pos"], tick: Callable[[int], None] | None = None
    ) -> ActivationBlock:
        """Encode rows of token ids; `tick` is told how many tokens are done, tile by tile, and may raise.

        Raises DoesNotFitError where the model cannot read the rows, or something is not a finite number.
        """
        config = self.dictionary.config
        x = run_model(model, rows, config.hook_name, tick)
        target = run_model(model, rows, config.hook_name_out, tick) if config.hook_name_out else x
        starts = range(0, len(x), self._tile)
        tiles: dict[int, Tile] = {}

        def work(start: int) -> int:
            part = slice(start, min(start + self._tile, len(x)))
            tiles[start] = self._encode(x[part], target[part])
            return part.stop - part.start

        with one_thread_per_product(), closing(as_done(work, starts, workers=self._workers)) as finished:
            for n_tokens in finished:
                if tick is not None:
                    tick(n_tokens)
        return self._join(rows, target, [tiles[start] for start in starts])

    def _encode(self, x: Float[np.ndarray, "token d_in"], target: Float[np.ndarray, "token d_out"]) -> Tile:
        from core.activation_kernels import compare, decode

        ends, features, acts = self._sparse(x)
        dictionary, measures = self.dictionary, np.zeros((len(MEASURES), len(x)))
        if self._decodes:
            x_hat = np.empty(target.shape, np.float32)
            decode(ends, features, acts, dictionary.W_dec, dictionary.b_dec, x_hat)
        else:
            x_hat = np.ascontiguousarray(dictionary.reconstruct(x))
        compare(target, x_hat, dictionary.b_dec, measures)
        error, square, square_hat, dot = measures[:4]
        lengths, norm, norm_hat = np.sqrt(square * square_hat), np.sqrt(square), np.sqrt(square_hat)
        measures[5:9] = np.sqrt(error), np.sqrt(square + square_hat), norm, norm_hat
        np.divide(dot, lengths, out=measures[9], where=lengths > 0)
        np.divide(norm_hat, norm, out=measures[10], where=norm > 0)
        measures[11] = np.diff(ends, prepend=0)
        return Tile(ends, features, acts, measures)

    def _sparse(self, x: Float[np.ndarray, "token d_in"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `ends`, `features` and `acts` of a tile."""
        from core.activation_kernels import compress, keep_nonzero

        dictionary, gate, ends = self.dictionary, self._gate, np.empty(len(x), np.int64)
        room = len(x) * dictionary.d_sae
        # Memory that is never touched costs nothing: only what is active is written.
        z, features, acts = self._take()
        if gate is None:
            n = keep_nonzero(dictionary.encode(x), ends, features, acts)
        else:
            if dictionary.config.apply_b_dec_to_input:
                x = x - dictionary.b_dec
            product = np.matmul(x, dictionary.W_enc, out=z[:room].reshape(len(x), -1))
            n = compress(product, gate.cutoff, gate.scale, gate.offset, ends, features, acts)
        found = ends, features[:n].copy(), acts[:n].copy()
        self._buffers.append((z, features, acts))
        return found

    def _take(self) -> tuple[np.ndarray, ...]:
        try:
            return self._buffers.pop()
        except IndexError:
            # compress writes one entry past the last that it keeps.
            room = self._tile * self.dictionary.d_sae + 1
            return np.empty(room, np.float32), np.empty(room, np.int32), np.empty(room, np.float32)

    def _join(self, rows: np.ndarray, target: np.ndarray, tiles: list[Tile]) -> ActivationBlock:
        """Put a block together, rows and their sums by position."""
        acts, measures = (np.concatenate([getattr(tile, name) for tile in tiles], -1) for name in ("acts", "measures"))
        sizes = [np.abs(acts).max(initial=0), *np.sqrt(measures[[0, 1, 2, 4]].max(axis=1))]
        largest = np.max(sizes)  # NaN if one is
        if not largest <= LARGEST:
            raise DoesNotFitError(
                f"{self.dictionary.title} gives values up to {largest:.3g} on this text. Expected activations and "
                f"lengths up to {LARGEST:,}; check that the weights are whole and belong to this model."
            )
        counts = np.concatenate([np.diff(tile.ends, prepend=0) for tile in tiles])
        shifted = np.zeros((rows.shape[1], target.shape[1]))
        for row in target.reshape(*rows.shape, -1):  # a row at a time keeps float64 copies small
            shifted += row - self.dictionary.b_dec.astype(np.float64)
        block = ActivationBlock(
            rows=np.asarray(rows, np.int32),
            ends=counts.cumsum(),
            features=np.concatenate([tile.features for tile in tiles]),
            acts=acts,
            measures=measures.reshape(len(MEASURES), *rows.shape).sum(axis=1),
            shifted=shifted,
        )
        for array in vars(block).values():  # as on the next read; for numba that is another type
            array.flags.writeable = False
        return block


def run_model(
    model: LanguageModel, rows: Int[np.ndarray, "row pos"], hook_name: str, tick: Callable[[int], None] | None = None
) -> Float[np.ndarray, "token d_in"]:
    """Return what passes at a hook, one line a token, running a few rows at a time; `tick(0)` after each may raise."""
    step, runs = max(1, _TOKENS_PER_RUN // rows.shape[1]), []
    for start in range(0, len(rows), step):
        runs.append(model.activations(rows[start : start + step], hook_name))
        if tick is not None:
            tick(0)
    return np.ascontiguousarray(np.concatenate(runs).reshape(rows.size, -1), np.float32)


def prepare() -> None:
    """Compile the loops of a pass on one token and one feature, so that no visitor waits for it."""
    from core import activation_kernels as kernels
    from core.activation_statistics import Tally

    one, ends, fixed = np.ones((1, 1), np.float32), np.ones(1, np.int64), np.ones((1, 1), np.float32)
    features, acts = np.zeros(2, np.int32), np.ones(2, np.float32)
    fixed.flags.writeable = False
    kernels.compress(one, one[0], one[0], fixed[0], ends, features, acts)
    kernels.keep_nonzero(one, ends, features, acts)
    kernels.decode(ends, features, acts, fixed, fixed[0], one)
    measures = np.zeros((len(MEASURES), 1))
    kernels.compare(one, one, fixed[0], measures)
    block = ActivationBlock(np.zeros((1, 1), np.int32), ends, features[:1], acts[:1], measures, np.zeros((1, 1)))
    for array in vars(block).values():
        array.flags.writeable = False
    Tally(1, 1, 1).add(block)
