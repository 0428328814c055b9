"""A token pass in parts: each a run of rows, computed anywhere, and merged to the very bits of one pass.

Sums are whole numbers (core.maths.exact_sums), and every part ends where a block does, so that its blocks are those of
the whole pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.activations.statistics import ActivationStatistics, Tally
from core.activations.store import device_inputs, left_out_name, rows_per_block
from core.activations.token_pass import pass_tally, statistics_of
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.work.artifacts import ArtifactStore, artifact_key
from core.work.progress import SILENT, Part, Progress

_PLAIN = ("count", "largest", "smallest", "histogram", "by_position", "position_rows")
_SUMS = ("sums", "measures", "shifted")


@dataclass(frozen=True)
class PassPart:
    """The sums of a Tally over some rows; of exact sums first whole units, then units of 2^-40."""

    count: Int[np.ndarray, "2 d_sae"]
    largest: Float[np.ndarray, "2 d_sae"]
    smallest: Float[np.ndarray, "2 d_sae"]
    histogram: Int[np.ndarray, "2 d_sae bin"]
    by_position: Int[np.ndarray, "pos 5"]
    position_rows: Int[np.ndarray, " pos"]
    sums: Int[np.ndarray, "2 2 2 d_sae"]
    measures: Int[np.ndarray, "2 measure pos"]
    shifted: Int[np.ndarray, "2 pos d_out"]
    n_rows: int
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        left_out: tuple[int, ...] = (),
        device: Device = CPU,
    ) -> str:
        """Name it by its own rows; all else as of ActivationStatistics."""
        shas = {"dictionary": dictionary_sha256, "model": model_sha256, "rows": rows_sha256}
        return artifact_key("pass-part", cls.version, **shas, left_out=left_out_name(left_out), **device_inputs(device))

    @classmethod
    def of(cls, tally: Tally) -> "PassPart":
        """Keep what a tally holds."""
        sums = {name: np.stack([getattr(tally, name).whole, getattr(tally, name).part]) for name in _SUMS}
        return cls(**{name: getattr(tally, name) for name in _PLAIN}, **sums, n_rows=tally.n_rows)

    def tally(self) -> Tally:
        """Return a tally that holds the same, and may be added to."""
        tally = Tally(len(self.position_rows), self.count.shape[1], self.shifted.shape[2])
        tally.n_rows = self.n_rows
        for name in _PLAIN:
            setattr(tally, name, getattr(self, name).copy())
        for name in _SUMS:
            sums = getattr(tally, name)
            sums.whole, sums.part = (half.copy() for half in getattr(self, name))
        return tally


def shards(n_rows: int, n_pos: int, n: int) -> list[slice]:
    """Cut rows into at most `n` parts of about equal size, each of whole blocks."""
    step = rows_per_block(n_pos)
    blocks = -(-n_rows // step)
    cuts = [blocks * i // min(n, blocks) * step for i in range(min(n, blocks) + 1)]
    return [slice(start, min(stop, n_rows)) for start, stop in pairwise(cuts)]


def part_key(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    left_out: tuple[int, ...] = (),
    device: Device = CPU,
) -> str:
    """Name the part that consists of these rows."""
    return PassPart.key(dictionary.sha256, model.sha256, rows_sha256(rows), left_out=left_out, device=device)


def pass_part(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    artifacts: ArtifactStore,
    *,
    left_out: tuple[int, ...] = (),
    device: Device = CPU,
    progress: Progress = SILENT,
) -> PassPart:
    """Return the sums over these rows, and leave their activations on disk. `rows` are one of `shards`.

    Raises what `activation_pass` raises; a part may hold no token that counts.
    """
    how = {"left_out": left_out, "device": device}

    def work() -> PassPart:
        return PassPart.of(pass_tally(dictionary, model, rows, artifacts, progress=progress, **how))

    return artifacts.cached(PassPart, part_key(dictionary, model, rows, **how), work)


def merged_pass(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    parts: Sequence[slice],
    artifacts: ArtifactStore,
    *,
    left_out: tuple[int, ...] = (),
    device: Device = CPU,
    progress: Progress = SILENT,
) -> ActivationStatistics:
    """Return what `activation_pass` returns, bit for bit, from parts; one that is not stored is computed."""
    how = {"left_out": left_out, "device": device}
    key = ActivationStatistics.key(dictionary.sha256, model.sha256, rows_sha256(rows), **how)

    def work() -> ActivationStatistics:
        whole: Tally | None = None
        for i, part in enumerate(parts):
            one = pass_part(dictionary, model, rows[part], artifacts, progress=Part(progress, i, len(parts)), **how)
            if whole is None:
                whole = one.tally()
            else:
                whole.merge(one.tally())
        assert whole is not None, "a pass has a part"
        return statistics_of(whole, dictionary)

    return artifacts.cached(ActivationStatistics, key, work)
