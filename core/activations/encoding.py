"""Encoding rows of text: the model up to the hook, the dictionary, and its reconstruction, as sparse activations.

Dictionaries whose features are gates on x @ W_enc, and TopK dictionaries, are encoded here, a tile of tokens at a time
on our own threads. sae-lens encodes all others. Only activations that are not zero are kept.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from core.activations.measures import LARGEST, MEASURES, Measure
from core.activations.reading import Seen, read_places
from core.activations.store import ActivationBlock, among, counted
from core.devices.device import CPU, Device
from core.dictionaries.config import UNFOLDED_NORMALISATIONS
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.batches import Place, readers
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress
from core.work.threads import available_cpus, run_blocks

if TYPE_CHECKING:
    import torch

_FLOATS_PER_TILE = 2**24
_TOPK = {"topk", "topk_transcoder"}
_PLAIN_DECODERS = {"standard", "jumprelu", "gated", "topk", "abstopk"}
_PLAIN_DECODERS |= {"transcoder", "jumprelu_transcoder", "topk_transcoder"}


class Tile(NamedTuple):
    """Some tokens, encoded; `ends` counts from the first of them."""

    ends: Int[np.ndarray, " token"]
    features: Int[np.ndarray, " nonzero"]
    acts: Float[np.ndarray, " nonzero"]
    measures: Float[np.ndarray, "measure token"]


class Encoder:
    """One dictionary, ready to encode. The bits of the result do not depend on the number of workers.

    A worker needs about 64 MiB, or a token's activations if those are more (a temporal dictionary's: a row's).
    `generic` makes sae-lens encode every dictionary. A `device` that runs kernels runs the model, and encodes gates and
    TopK, TILE tokens at a time (core.activations.on_device); other dictionaries stay on the CPU (docs/speed.md says
    why). Tokens whose ids are in `left_out` are encoded like any other, and dropped.
    """

    def __init__(
        self,
        dictionary: Dictionary,
        *,
        left_out: tuple[int, ...] = (),
        workers: int | None = None,
        generic: bool = False,
        device: Device = CPU,
    ):
        self.dictionary, self.left_out, config = dictionary, left_out, dictionary.config
        plain = not generic and config.normalize_activations in UNFOLDED_NORMALISATIONS | {"none"}
        self._gate = None if generic or dictionary.not_additive_because else dictionary.affine_gate()
        self._k = config.k if plain and config.architecture in _TOPK else None
        self._decodes = plain and config.architecture in _PLAIN_DECODERS
        # For these, the decoder's norms are part of the activations.
        self._norms = np.linalg.norm(dictionary.W_dec, axis=1) if config.rescale_acts_by_decoder_norm else None
        # sae-lens holds a lock while it runs, and has threads of its own.
        self._workers = (workers or available_cpus()) if self._gate or self._k else 1
        self._tile = max(1, _FLOATS_PER_TILE // dictionary.d_sae)
        self._whole_rows = config.architecture == "temporal"
        self._buffers: list[tuple[np.ndarray, ...]] = []
        self._device, self._on_device = device, None
        if device.runs_kernels and self._decodes and (self._gate or self._k):
            from core.activations.on_device import DeviceEncoder

            self._on_device = DeviceEncoder(dictionary, device, gate=self._gate, k=self._k, norms=self._norms)

    def block(
        self, model: LanguageModel, rows: Int[np.ndarray, "row pos"], progress: Progress = SILENT
    ) -> ActivationBlock:
        """Encode rows of token ids; `progress` counts tokens, tile by tile.

        Raises DoesNotFitError if the model cannot read the rows, or if a number is not finite.
        """
        seen = read_places(self.places(model), rows, device=self._device, progress=progress)
        return self.encoded(rows, seen, progress)

    def places(self, model: LanguageModel) -> list[Place]:
        """Return what a block is made of: the places that the dictionary reads, then its target if that is another."""
        config = self.dictionary.config
        return [*readers(model, config.hooks_in), *([(model, config.hook_name_out)] if config.hook_name_out else [])]

    def encoded(self, rows: Int[np.ndarray, "row pos"], seen: Seen, progress: Progress = SILENT) -> ActivationBlock:
        """Encode what was read at `places` on these rows; else like `block`."""
        n_in, keep = len(self.dictionary.config.hooks_in), counted(rows, self.left_out)
        x = self._joined(seen[:n_in])
        target = self._joined(seen[n_in:]) if len(seen) > n_in else x
        if self._on_device:
            tiles = self._on_device.encode(x, target, progress)
            tiles = [Tile(*entries, _whole_measures(*entries[::2], sums)) for *entries, sums in tiles]
            return self._join(rows, keep, tiles, self._on_device.shifted(target, keep))
        tiles = self._tiles(x, rows.shape[1], lambda x, part: self._encode(x, target[part]), progress)
        return self._join(rows, keep, tiles, self._shifted(target, keep))

    def _joined(self, seen: Seen) -> "np.ndarray | torch.Tensor":
        """Return several hooks side by side, one line for each token; on the dictionary's device."""
        if self._on_device and len(seen) == 1:
            return seen[0]
        arrays = [part if isinstance(part, np.ndarray) else part.cpu().numpy() for part in seen]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)

    def reconstruct(
        self, x: Float[np.ndarray, "row pos d_in"], progress: Progress = SILENT
    ) -> Float[np.ndarray, "row pos d_out"]:
        """Return x_hat of the activations at the hook; `progress` counts tokens."""
        flat, n_pos = np.ascontiguousarray(x.reshape(-1, x.shape[-1]), np.float32), x.shape[1]
        if self._on_device:
            return self._on_device.reconstruct(flat, progress).cpu().numpy().reshape(*x.shape[:2], -1)
        tiles = self._tiles(flat, n_pos, lambda x, _: self._give_back(x, *self._sparse(x)), progress)
        return np.concatenate(tiles).reshape(*x.shape[:2], -1)

    def _tiles(self, x: np.ndarray, n_pos: int, work: Callable, progress: Progress) -> list:
        """Return `work(x of a tile, which tokens of all)` of all tiles, in order; see `_sparse` for a tile's shape."""
        step = max(1, self._tile // n_pos) * n_pos if self._whole_rows else self._tile

        def tile(part: slice) -> Any:
            return work(x[part].reshape(-1, n_pos, x.shape[1]) if self._whole_rows else x[part], part)

        return run_blocks(tile, len(x), step, workers=self._workers, progress=progress)

    def _encode(self, x: Float[np.ndarray, "... d_in"], target: Float[np.ndarray, "token d_out"]) -> Tile:
        from core.activations.kernels import compare

        ends, features, acts = self._sparse(x)
        x_hat = self._give_back(x, ends, features, acts)
        sums = np.empty((5, len(target)))
        compare(target, x_hat, self.dictionary.b_dec, sums)
        return Tile(ends, features, acts, _whole_measures(ends, acts, sums))

    def _give_back(
        self, x: Float[np.ndarray, "... d_in"], ends: np.ndarray, features: np.ndarray, acts: np.ndarray
    ) -> Float[np.ndarray, "token d_out"]:
        """Return x_hat of a tile."""
        from core.activations.kernels import decode

        dictionary = self.dictionary
        if not self._decodes:
            return np.ascontiguousarray(dictionary.reconstruct(x).reshape(len(ends), -1))
        if self._norms is not None:
            acts = acts / self._norms[features]
        x_hat = np.empty((len(ends), dictionary.config.d_out), np.float32)
        decode(ends, features, acts, dictionary.W_dec, dictionary.b_dec, x_hat)
        return x_hat

    def _sparse(self, x: Float[np.ndarray, "... d_in"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return `ends`, `features` and `acts` of a tile: (token, d_in), or (row, pos, d_in) of whole rows."""
        from core.activations.kernels import compress, keep_largest, keep_nonzero

        dictionary, gate = self.dictionary, self._gate
        n_tokens, d_sae = x.size // x.shape[-1], dictionary.d_sae
        ends = np.empty(n_tokens, np.int64)
        # Memory that is never touched costs nothing: only what is active is written.
        z, features, acts = self._take(n_tokens * d_sae)
        if not (gate or self._k):
            n = keep_nonzero(dictionary.encode(x).reshape(n_tokens, -1), ends, features, acts)
        else:
            if dictionary.config.apply_b_dec_to_input:
                x = x - dictionary.b_dec
            product = np.matmul(x, dictionary.W_enc, out=z[: n_tokens * d_sae].reshape(n_tokens, -1))
            if gate:
                n = compress(product, gate.cutoff, gate.scale, gate.offset, ends, features, acts)
            else:
                product += dictionary.b_enc
                if self._norms is not None:
                    product *= self._norms
                n = keep_largest(product, self._k, ends, features, acts)
        entries = ends, features[:n].copy(), acts[:n].copy()
        self._buffers.append((z, features, acts))
        return entries

    def let_go(self) -> None:
        """Free what is kept for the next block; it is made again when that comes."""
        self._buffers.clear()

    def _take(self, room: int) -> tuple[np.ndarray, ...]:
        try:
            buffers = self._buffers.pop()
        except IndexError:
            buffers = ()
        if buffers and len(buffers[0]) > room:
            return buffers
        # compress writes one entry past the last that it keeps.
        room = max(room, self._tile * self.dictionary.d_sae) + 1
        return np.empty(room, np.float32), np.empty(room, np.int32), np.empty(room, np.float32)

    def _join(
        self, rows: np.ndarray, keep: np.ndarray, tiles: list[Tile], shifted: Float[np.ndarray, "pos d_out"]
    ) -> ActivationBlock:
        """Put a block together: the entries of counted tokens, and sums over rows by position."""
        counts = np.concatenate([np.diff(tile.ends, prepend=0) for tile in tiles])
        features = np.concatenate([tile.features for tile in tiles])
        acts, measures = (np.concatenate([getattr(tile, name) for tile in tiles], -1) for name in ("acts", "measures"))
        left_out = among(rows, self.left_out)
        if left_out:
            entries = np.repeat(keep.ravel(), counts)
            features, acts = features[entries], acts[entries]
            counts, measures = counts * keep.ravel(), np.where(keep.ravel(), measures, 0)
        self._check_sizes(acts, measures)
        block = ActivationBlock(
            rows=np.asarray(rows, np.int32),
            ends=counts.cumsum(),
            features=features,
            acts=acts,
            measures=measures.reshape(len(MEASURES), *rows.shape).sum(axis=1),
            shifted=shifted,
            left_out=left_out,
        )
        read_only(block)
        return block

    def _shifted(
        self, target: Float[np.ndarray, "token d_out"], keep: Bool[np.ndarray, "row pos"]
    ) -> Float[np.ndarray, "pos d_out"]:
        """Return sums over rows of x - b_dec, of counted tokens."""
        shifted = np.zeros((keep.shape[1], target.shape[1]))
        for row, part in zip(target.reshape(*keep.shape, -1), keep, strict=True):  # keeps float64 copies small
            shifted[part] += row[part] - self.dictionary.b_dec.astype(np.float64)
        return shifted

    def _check_sizes(self, acts: np.ndarray, measures: np.ndarray) -> None:
        squares = measures[[Measure.ERROR, Measure.SQUARE, Measure.SQUARE_HAT, Measure.SPREAD]]
        sizes = [np.abs(acts).max(initial=0), *np.sqrt(squares.max(axis=1))]
        largest = np.max(sizes)  # NaN if one is
        if not largest <= LARGEST:
            raise DoesNotFitError(
                f"{self.dictionary.title} gives values up to {largest:.3g} on this text. Expected activations and "
                f"lengths up to {LARGEST:,}; check that the weights are whole and belong to this model."
            )


def _whole_measures(
    ends: Int[np.ndarray, " token"], acts: Float[np.ndarray, " nonzero"], sums: Float[np.ndarray, "5 token"]
) -> Float[np.ndarray, "measure token"]:
    """Return all measures of tokens, from the sums that kernels.compare writes."""
    from core.activations.kernels import sum_sizes

    measures = np.zeros((len(MEASURES), len(ends)))
    measures[: len(sums)] = sums
    square, square_hat = measures[Measure.SQUARE], measures[Measure.SQUARE_HAT]
    lengths, norm, norm_hat = np.sqrt(square * square_hat), np.sqrt(square), np.sqrt(square_hat)
    measures[Measure.L2] = np.sqrt(measures[Measure.ERROR])
    measures[Measure.L2_RANDOM] = np.sqrt(square + square_hat)
    measures[Measure.NORM], measures[Measure.NORM_HAT] = norm, norm_hat
    np.divide(measures[Measure.DOT], lengths, out=measures[Measure.COSINE], where=lengths > 0)
    np.divide(norm_hat, norm, out=measures[Measure.L2_RATIO], where=norm > 0)
    measures[Measure.L0] = np.diff(ends, prepend=0)
    sum_sizes(ends, acts, measures[Measure.L1])
    return measures


def read_only(block: ActivationBlock) -> None:
    """Make a block's arrays read-only, as they are when read from disk: for numba that is another type."""
    for array in vars(block).values():
        if isinstance(array, np.ndarray):
            array.flags.writeable = False
