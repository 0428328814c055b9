"""Sparse activations on disk, one artifact for each block of rows, about 8 bytes for a non-zero activation.

The name of a block depends only on the dictionary, the model, its own tokens and the device if that is not the CPU. So
a pass continues where it stopped, a longer sample uses the blocks of a shorter one, and a lost or damaged block is
computed again. All views of activations read them here instead of running the model.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.amounts import of_bytes
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Continued, Device
from core.errors import MissingActivationsError, OutOfRangeError, OutOfSpaceError
from core.work.artifacts import ArtifactStore, artifact_key
from core.work.progress import SILENT, Progress

_TOKENS_PER_BLOCK, _LEAST_ROWS = 2**14, 32
TILE = 4096
"""Tokens that a device encodes at a time, the last ones filled up: a product's last bits depend on its shape."""


@dataclass(frozen=True)
class ActivationBlock:
    """Some rows of text: which features are active on which token, and how good the reconstruction is.

    Tokens are those of `rows`, row after row. Token t has the entries ends[t - 1] (0 for the first) to
    ends[t] of `features`, ascending, and `acts`, none of them 0; tokens that are not counted have none.
    """

    rows: Int[np.ndarray, "row pos"]
    ends: Int[np.ndarray, " token"]
    features: Int[np.ndarray, " nonzero"]
    acts: Float[np.ndarray, " nonzero"]
    measures: Float[np.ndarray, "measure pos"]
    """Sums over counted tokens of what core.activations.measures.Measure names."""
    shifted: Float[np.ndarray, "pos d_out"]
    """Sums over counted tokens of x - b_dec; x is what the dictionary should give back."""
    left_out: tuple[int, ...] = ()
    """Token ids among `rows` that the model read and nothing counts."""
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows: Int[np.ndarray, "row pos"],
        *,
        left_out: tuple[int, ...] = (),
        device: Device = CPU,
    ) -> str:
        return artifact_key(
            "activation-block",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256(rows),
            left_out=left_out_name(among(rows, left_out)),
            **device_inputs(device),
        )

    @property
    def n_pos(self) -> int:
        return self.rows.shape[1]

    @property
    def counted(self) -> Bool[np.ndarray, "row pos"]:
        """Which tokens are counted."""
        return counted(self.rows, self.left_out)


class ActivationStore:
    """The blocks of one dictionary's activations on rows of text. Without `artifacts` none is stored.

    `left_out` are ids of tokens that the model reads and nothing counts; `device` is what computes the blocks, or what
    goes on where another device failed.
    """

    def __init__(
        self,
        artifacts: ArtifactStore | None,
        dictionary_sha256: str,
        model_sha256: str,
        rows: Int[np.ndarray, "row pos"],
        *,
        left_out: tuple[int, ...] = (),
        block_rows: int | None = None,
        device: Device = CPU,
    ):
        self.artifacts, self.device = artifacts, device
        self.rows, self.left_out = rows, left_out
        step = block_rows or rows_per_block(rows.shape[1])
        self.parts = [slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)]
        """Which rows each block holds."""
        shas = dictionary_sha256, model_sha256
        self.keys = [
            ActivationBlock.key(*shas, rows[part], left_out=left_out, device=device.at_row(part.start))
            for part in self.parts
        ]

    def __len__(self) -> int:
        return len(self.parts)

    def missing(self) -> list[int]:
        """Return the numbers of the blocks that are not on disk; damage shows only when they are read."""
        return [i for i, key in enumerate(self.keys) if self.artifacts is None or not self.artifacts.holds(key)]

    def going_on(self) -> Device:
        """Return the CPU as what goes on behind the blocks that are stored before the first missing one."""
        missing = self.missing()
        rows = self.parts[missing[0]].start if missing else len(self.rows)
        first = self.device.at_row(0)
        return Continued(first=first, rows=rows) if rows and first != CPU else CPU

    def load(self, i: int) -> ActivationBlock | None:
        """Read and check one block; None if it is not stored."""
        return self.artifacts.load(ActivationBlock, self.keys[i]) if self.artifacts is not None else None

    def save(self, i: int, block: ActivationBlock) -> None:
        """Write one block. Raises OutOfSpaceError, saying how much is still to come; what was written before stays."""
        if self.artifacts is None:
            return
        try:
            self.artifacts.save(block, self.keys[i])
        except OSError as error:
            missing = self.missing()
            rows = sum(self.parts[j].stop - self.parts[j].start for j in missing)
            missing_bytes = (block.features.nbytes + block.acts.nbytes) / len(block.rows) * rows
            raise OutOfSpaceError(
                f"Part {i + 1} of {len(self)} of the activations cannot be written to {self.artifacts.root} "
                f"({str(error)[:200]}). {len(self) - len(missing)} parts are stored and stay; expected room for about "
                f"{of_bytes(missing_bytes)} more. Make room and start again; the pass continues from there."
            ) from error

    def blocks(self, progress: Progress = SILENT) -> Iterator[ActivationBlock]:
        """Yield all blocks in order. Raises MissingActivationsError where one is lost or damaged."""
        for i in range(len(self)):
            block = self.load(i)
            if block is None:
                raise MissingActivationsError(
                    f"Part {i + 1} of {len(self)} of the stored activations is missing or damaged; expected all of "
                    "them. Run the token pass again: it computes only what is missing."
                )
            yield block
            progress.update(i + 1, len(self))


@dataclass(frozen=True)
class FeatureActivations:
    """Where one feature is active, and how strongly; a token of a row for each entry, in order."""

    row: Int[np.ndarray, " nonzero"]
    position: Int[np.ndarray, " nonzero"]
    act: Float[np.ndarray, " nonzero"]


def feature_activations(store: ActivationStore, feature: int, *, d_sae: int) -> FeatureActivations:
    """Read all activations of one feature. Raises OutOfRangeError, MissingActivationsError."""
    if not 0 <= feature < d_sae:
        raise OutOfRangeError("Feature", feature, d_sae)
    tokens, acts = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    n_pos = store.rows.shape[1]
    for part, block in zip(store.parts, store.blocks(), strict=True):
        entries = np.flatnonzero(block.features == feature)
        tokens.append(part.start * n_pos + np.searchsorted(block.ends, entries, side="right"))
        acts.append(block.acts[entries])
    row, position = np.divmod(np.concatenate(tokens), n_pos)
    return FeatureActivations(row, position, np.concatenate(acts))


def counted(rows: Int[np.ndarray, "row pos"], left_out: tuple[int, ...]) -> Bool[np.ndarray, "row pos"]:
    """Say which tokens of rows are counted: those that are not left out."""
    return ~np.isin(rows, np.array(left_out, np.int64))


def among(rows: Int[np.ndarray, "row pos"], left_out: tuple[int, ...]) -> tuple[int, ...]:
    """Return, ascending, the ids left out that rows hold: what else is left out does not change a block of them."""
    ids = np.unique(np.array(left_out, np.int64))
    return tuple(ids[np.isin(ids, rows)].tolist())


def left_out_name(left_out: tuple[int, ...]) -> str:
    """Write ids that are left out for an artifact's key: in ascending order, each once."""
    return ",".join(map(str, sorted(set(left_out))))


def device_inputs(device: Device) -> Mapping[str, str | int]:
    """Return what the key of something that comes from a token pass says of the pass's device."""
    return {**device.inputs, "tile": TILE} if device.inputs else {}


def on_device(sha256: str, device: Device) -> str:
    """Name a model by what its token pass ran on, for results that are made of the pass: on the CPU its hash alone."""
    return " ".join([sha256, *map(str, device_inputs(device).values())])


def rows_per_block(n_pos: int) -> int:
    """Rows in one block: about 16384 tokens, and at least 32 rows, so that sums by position stay a small part."""
    return max(_LEAST_ROWS, _TOKENS_PER_BLOCK // max(1, n_pos))
