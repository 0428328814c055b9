"""The causal atlas: to first order, what every feature of a dictionary does to the loss on a sample of text.

One run forward and one back for each row, beside the stored activations of a token pass. The effect of a firing is
that on the losses of its own token and of all later ones of its row: the loss as it is minus the loss with this
activation 0, to first order.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from math import fsum, lgamma, pi
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.store import ActivationBlock, ActivationStore, counted, left_out_name
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.interventions.first_order import TOKENS_PER_RUN, check_causes, directions, entry_effects, in_runs, sensitivity
from core.maths.exact_sums import ExactSum
from core.models.batches import rows_per_run
from core.models.gradients import losses
from core.models.language_model import LanguageModel
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

QUADRANTS = ("fires much, does much", "fires much, does little", "fires little, does much", "fires little, does little")
SILENT_FEATURE = "silent"


@dataclass(frozen=True)
class CausalAtlas:
    """Sums over the counted tokens of a sample, for every feature. Effects are in nats."""

    count: Int[np.ndarray, " d_sae"]
    """Tokens on which the feature is active."""
    effect: Float[np.ndarray, " d_sae"]
    """Sum of first-order effects on the loss; negative where the model predicts better with the feature."""
    size: Float[np.ndarray, " d_sae"]
    """Sum of their absolute values."""
    chance: Float[np.ndarray, " d_sae"]
    """What `size` is expected to be if the feature wrote in a random direction, as long and as often."""
    n_tokens: int
    ce: float
    """The model's mean loss on the sample."""
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
        """Name it; `device` is what runs the model forward and back."""
        return artifact_key(
            "causal-atlas",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
            **device.inputs,
        )

    @cached_property
    def per_firing(self) -> Float[np.ndarray, " d_sae"]:
        """Mean absolute effect of a firing; NaN for a silent feature."""
        return _ratio(self.size, self.count)

    @cached_property
    def quadrant(self) -> np.ndarray:
        """Return one of QUADRANTS for each feature, by the medians of density and `per_firing`; SILENT_FEATURE."""
        fires = self.count > 0
        if not fires.any():
            return np.full(len(self.count), SILENT_FEATURE, object)
        often = self.count > np.median(self.count[fires])
        much = self.per_firing > np.median(self.per_firing[fires])
        return np.where(fires, np.array(QUADRANTS, object)[2 * ~often + ~much], SILENT_FEATURE)

    def table(self) -> pd.DataFrame:
        """Return one row for each feature; NaN for what a silent one has not."""
        return pd.DataFrame(
            {
                "feature": np.arange(len(self.count)),
                "density": self.count / self.n_tokens,
                "atlas_effect": self.effect / self.n_tokens,
                "atlas_size": self.size / self.n_tokens,
                "atlas_per_firing": self.per_firing,
                "atlas_mean_firing": _ratio(self.effect, self.count),
                "atlas_chance": _ratio(self.chance, self.count),
                "atlas_over_chance": _ratio(self.size, self.chance),
                "atlas_quadrant": self.quadrant,
            }
        )


def _ratio(above: np.ndarray, below: np.ndarray) -> Float[np.ndarray, " n"]:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def causal_atlas(
    dictionary: Dictionary,
    model: LanguageModel,
    store: ActivationStore,
    progress: Progress = SILENT,
    *,
    device: Device = CPU,
) -> CausalAtlas:
    """Attribute the summed loss of each row of a store to the activations there, block by block.

    Sums are exact, so they depend neither on blocks nor on their order; the gradients are the model's. `progress`
    counts tokens. Raises DoesNotFitError, CorpusError where no loss is counted, MissingActivationsError, DeviceError.
    """
    check_causes(dictionary, model, store.rows)
    keep = counted(store.rows, store.left_out)
    if not keep[:, :-1].any():
        raise CorpusError(
            f"Rows of shape {store.rows.shape} hold no counted token with a next token to predict. Expected rows of at "
            "least 2 tokens; choose a longer text, or count special tokens too."
        )
    tally, done = _Tally(directions(dictionary)), 0
    for block in store.blocks():

        def work(part: slice, block: ActivationBlock = block, done: int = done) -> None:
            rows = block.rows[part]
            target = losses(rows, counted(rows, store.left_out))
            here = sensitivity(dictionary, model, rows, target, device=device)
            tally.add(*_entries(block, part.start, rows), here.gradient)
            tally.losses += here.values.tolist()
            progress.update(done + block.rows[: part.stop].size, store.rows.size)

        in_runs(work, block.rows, device)
        done += block.rows.size
    return tally.finish(int(np.count_nonzero(keep)))


def _entries(block: ActivationBlock, start: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `ends`, `features` and `acts` of some rows of a block, counted from the first of them."""
    tokens = slice(start * block.n_pos, start * block.n_pos + rows.size)
    first = int(block.ends[tokens.start - 1]) if tokens.start else 0
    ends = block.ends[tokens] - first
    entries = slice(first, first + int(ends[-1]))
    return ends, block.features[entries], block.acts[entries]


class _Tally:
    """Exact sums by feature."""

    def __init__(self, rows: Float[np.ndarray, "d_sae d_out"]):
        self._rows, self._sums, self._count = rows, ExactSum((3, len(rows))), np.zeros(len(rows), np.int64)
        self.losses: list[float] = []

    def add(self, ends: np.ndarray, features: np.ndarray, acts: np.ndarray, gradient: np.ndarray) -> None:
        from core.interventions.kernels import add_effects

        effects = entry_effects(ends, features, acts, gradient, self._rows)
        lengths = np.sqrt(np.einsum("ij,ij->i", gradient, gradient, dtype=np.float64))
        add_effects(ends, features, acts, effects, lengths, self._count, self._sums.whole, self._sums.part)
        self._sums.carry()

    def finish(self, n_tokens: int) -> CausalAtlas:
        effect, size, by_length = self._sums.value
        lengths = np.sqrt((self._rows.astype(np.float64) ** 2).sum(axis=1))
        chance = by_length * lengths * mean_coordinate(self._rows.shape[1])
        return CausalAtlas(self._count, effect, size, chance, n_tokens, fsum(self.losses) / max(1, len(self.losses)))


def mean_coordinate(d: int) -> float:
    """Return the mean of |u_1| of a uniformly random unit vector u in d dimensions, about sqrt(2 / (pi d))."""
    return float(np.exp(lgamma(d / 2) - lgamma((d + 1) / 2)) / np.sqrt(pi))


def seconds_for_a_row(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    left_out: tuple[int, ...],
    *,
    device: Device = CPU,
) -> float:
    """Measure how long one run forward and back takes for a row, on a few of them."""
    few = rows[: rows_per_run(rows.shape[1], TOKENS_PER_RUN)]

    def run(rows: np.ndarray) -> None:
        sensitivity(dictionary, model, rows, losses(rows, counted(rows, left_out)), device=device)

    run(few[:1])  # what is loaded only once
    start = time.perf_counter()
    run(few)
    return (time.perf_counter() - start) / len(few)
