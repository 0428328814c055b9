"""How well a dictionary reconstructs its input, position by position.

Past the training context the error of a layer-0 dictionary can grow beyond that of a random vector
(Chughtai & Lau 2024, figure 6); the curves here show it, the totals say it in numbers.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.encoding import Encoder
from core.activations.measures import MEASURES
from core.activations.store import device_inputs, rows_per_block
from core.devices.device import CPU, Device
from core.dictionaries.config import check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.models.search import check_hooks
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

_FLOATS_PER_CALL = 2**24


@dataclass(frozen=True)
class ErrorByPosition:
    """Means over rows of text at every position; x is the target of the dictionary, x_hat its output.

    Squared quantities are means over the d_out dimensions, lengths are Euclidean. Positions from
    `first` to `context_size - 1` are inside: the mean of x that variances refer to is taken there, over
    all rows, and serves past the context too.
    """

    mse: Float[np.ndarray, " pos"]
    """(x - x_hat)^2."""
    variance: Float[np.ndarray, " pos"]
    """(x - mean)^2."""
    mse_random: Float[np.ndarray, " pos"]
    """(x - r)^2 for r of the length of x_hat in a random direction: (|x|^2 + |x_hat|^2) / d_out, exactly."""
    l2: Float[np.ndarray, " pos"]
    """|x - x_hat|."""
    l2_random: Float[np.ndarray, " pos"]
    """sqrt(|x|^2 + |x_hat|^2): |x - r| to within one part in 8 d_out."""
    norm: Float[np.ndarray, " pos"]
    """|x|."""
    norm_hat: Float[np.ndarray, " pos"]
    """|x_hat|."""
    cosine: Float[np.ndarray, " pos"]
    """cos(x, x_hat), 0 where either is zero."""
    l0: Float[np.ndarray, " pos"]
    """Number of non-zero activations."""
    position_rows: Int[np.ndarray, " pos"]
    """Tokens at a position; where there are none, its means are NaN."""
    first: int
    context_size: int
    version: ClassVar[int] = 2

    @classmethod
    def key(
        cls,
        weights_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        *,
        first: int,
        context_size: int | None,
        device: Device = CPU,
    ) -> str:
        return artifact_key(
            "error-by-position",
            cls.version,
            weights=weights_sha256,
            model=model_sha256,
            rows=rows_sha256,
            first=first,
            context_size=context_size,
            **device_inputs(device),
        )

    @property
    def nmse(self) -> Float[np.ndarray, " pos"]:
        """Sum of (x - x_hat)^2 over sum of (x - mean)^2 at each position; 1 - fve if all were like it."""
        return ratio(self.mse, self.variance)

    @property
    def nmse_random(self) -> Float[np.ndarray, " pos"]:
        """The same for the random direction."""
        return ratio(self.mse_random, self.variance)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per position; `beyond` is true past the training context."""
        names = ["mse", "mse_random", "nmse", "nmse_random", "l2", "l2_random", "norm", "norm_hat", "cosine", "l0"]
        position = np.arange(len(self.mse))
        columns = {"position": position} | {name: getattr(self, name) for name in names}
        return pd.DataFrame(columns | {"beyond": position >= self.context_size})

    def totals(self) -> pd.DataFrame:
        """Return fve, mse and l0 over all tokens inside and beyond the context (NaN where there are none).

        fve = 1 - sum of (x - x_hat)^2 / sum of (x - mean)^2, divided once at the end.
        """
        parts = {"inside": slice(self.first, self.context_size), "beyond": slice(self.context_size, None)}
        lines = []
        for where, part in parts.items():
            curves = np.stack([self.mse[part], self.variance[part], self.l0[part]])
            mse, variance, l0 = mean_over(curves, self.position_rows[part])
            fve = 1 - ratio(np.array([mse]), np.array([variance]))[0]
            lines.append((where, self.position_rows[part].sum(), fve, mse, l0))
        return pd.DataFrame(lines, columns=["where", "tokens", "fve", "mse", "l0"])


def square_about_mean(
    square: Float[np.ndarray, " pos"],
    at: Float[np.ndarray, "pos d_out"],
    rows: Int[np.ndarray, " pos"],
    inside: slice,
) -> Float[np.ndarray, " pos"]:
    """Mean of |y - m|^2 at each position, from the means of |y|^2 and y over so many rows there.

    m is the mean of y over all tokens inside.
    """
    mean = mean_over(at[inside].T, rows[inside])
    return np.maximum(square - 2 * at @ mean + mean @ mean, 0)  # the true value cannot be negative


def mean_over(values: Float[np.ndarray, "what pos"], rows: Int[np.ndarray, " pos"]) -> Float[np.ndarray, " what"]:
    """Average position means over tokens, given the number of rows at each position; NaN without rows."""
    total = np.where(rows > 0, values * rows, 0).sum(axis=1)
    return ratio(total, np.full(len(total), rows.sum(), np.float64))


def ratio(above: Float[np.ndarray, "*n"], below: Float[np.ndarray, "*m"]) -> Float[np.ndarray, "*n"]:
    """Divide; NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def error_by_position(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    context_size: int | None = None,
    first: int = 0,
    progress: Progress = SILENT,
    batch: int = 16,
    device: Device = CPU,
) -> ErrorByPosition:
    """Compare a dictionary's output with its target, on rows of token ids.

    x is read at `hook_name`; a transcoder's x_hat is held against `hook_name_out`. `context_size`
    defaults to the dictionary's, else to the rows' length. With `first=1` position 0, which in deep
    layers is often so long that it drowns all others, stays in the curves but out of mean and totals.
    `progress.update(done, total)` is called after every batch, in rows, and may raise CancelledError.
    A `device` that runs kernels does what it does in a token pass. Raises DoesNotFitError where dictionary and model do
    not go together, CorpusError for no tokens, DeviceError.
    """
    inside = _inside(dictionary, model, rows, context_size, first)
    if device.runs_kernels:
        return _error_on_device(dictionary, model, rows, inside, device, progress)
    sums = _Sums(rows.shape[1], dictionary.config.d_out)
    target_hook = dictionary.config.hook_name_out
    for part, x in batches(model, rows, dictionary.config.hooks_in, step=batch, progress=progress):
        target = model.activations(rows[part], target_hook) if target_hook else x
        for row in zip(target, *_run(dictionary, x), strict=True):
            sums.add(*row, inside)
    return sums.finish(inside)


def error_of(
    measures: Float[np.ndarray, "measure pos"],
    shifted: Float[np.ndarray, "pos d_out"],
    position_rows: Int[np.ndarray, " pos"],
    inside: slice,
) -> ErrorByPosition:
    """Return the curves that follow from a token pass: means of MEASURES and of x - b_dec over so many rows."""
    by_measure, d_out = dict(zip(MEASURES, measures, strict=True)), shifted.shape[1]
    same = {name: by_measure[name] for name in ("l2", "l2_random", "norm", "norm_hat", "cosine", "l0")}
    return ErrorByPosition(
        **same,
        mse=by_measure["error"] / d_out,
        variance=square_about_mean(by_measure["spread"], shifted, position_rows, inside) / d_out,
        mse_random=(by_measure["square"] + by_measure["square_hat"]) / d_out,
        position_rows=position_rows,
        first=inside.start,
        context_size=inside.stop,
    )


def _error_on_device(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: np.ndarray,
    inside: slice,
    device: Device,
    progress: Progress,
) -> ErrorByPosition:
    encoder, (n, n_pos) = Encoder(dictionary, device=device), rows.shape
    measures, shifted = np.zeros((len(MEASURES), n_pos)), np.zeros((n_pos, dictionary.config.d_out))
    step = rows_per_block(n_pos)
    for start in range(0, n, step):
        block = encoder.block(model, rows[start : start + step])
        measures += block.measures
        shifted += block.shifted
        progress.update(min(start + step, n), n)
    return error_of(measures / n, shifted / n, np.full(n_pos, n), inside)


def _inside(
    dictionary: Dictionary, model: LanguageModel, rows: np.ndarray, context_size: int | None, first: int
) -> slice:
    """Check that all fit together and return the positions inside the training context."""
    check_hooks(dictionary, model)
    check_reconstructs(dictionary.config, dictionary.title)
    n_pos = rows.shape[1]
    end = min(context_size or dictionary.config.context_size or n_pos, n_pos)
    if not len(rows) or not 0 <= first < end:
        raise CorpusError(
            f"{len(rows)} rows of {n_pos} tokens hold no position from {first} to {end - 1}; expected at least one "
            "row that is longer than the positions left out. Choose more or longer rows."
        )
    return slice(first, end)


def _run(
    dictionary: Dictionary, x: Float[np.ndarray, "batch pos d_in"]
) -> tuple[Float[np.ndarray, "batch pos d_out"], Float[np.ndarray, "batch pos"]]:
    """Return x_hat and the number of non-zero activations, few enough tokens (or rows) at a time for memory."""
    whole_rows = dictionary.config.architecture == "temporal"
    pieces = x if whole_rows else x.reshape(-1, x.shape[-1])
    step = max(1, _FLOATS_PER_CALL // (dictionary.d_sae * (x.shape[1] if whole_rows else 1)))
    x_hat, l0 = [], []
    for start in range(0, len(pieces), step):
        part = pieces[start : start + step]
        x_hat.append(dictionary.reconstruct(part))
        l0.append(np.count_nonzero(dictionary.encode(part), axis=-1).astype(np.float64))
    return np.concatenate(x_hat).reshape(*x.shape[:2], -1), np.concatenate(l0).reshape(x.shape[:2])


class _Sums:
    """Sums over rows, in float64. x is shifted by one of its values first, as its mean may be far from 0."""

    def __init__(self, n_pos: int, d_out: int):
        names = ("mse", "square", "mse_random", "l2", "l2_random", "norm", "norm_hat", "cosine", "l0")
        self.n_rows = 0
        self.curves = {name: np.zeros(n_pos) for name in names}
        self.shift = np.zeros(d_out)
        self.shifted = np.zeros((n_pos, d_out))

    def add(self, x: np.ndarray, x_hat: np.ndarray, l0: np.ndarray, inside: slice) -> None:
        """Add one row: x and x_hat are (pos, d_out), l0 is (pos). A row at a time keeps float64 copies small."""
        x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
        if self.n_rows == 0:
            self.shift = x[inside.stop - 1]
        self.n_rows += 1
        square, square_hat = (x**2).sum(-1), (x_hat**2).sum(-1)
        error, lengths = ((x - x_hat) ** 2).sum(-1), np.sqrt(square * square_hat)
        cosine = np.divide((x * x_hat).sum(-1), lengths, out=np.zeros_like(lengths), where=lengths > 0)
        shifted = x - self.shift
        self.shifted += shifted
        values = {"mse": error, "mse_random": square + square_hat, "square": (shifted**2).sum(-1)}
        values |= {"l2": np.sqrt(error), "l2_random": np.sqrt(square + square_hat), "norm": np.sqrt(square)}
        values |= {"norm_hat": np.sqrt(square_hat), "cosine": cosine, "l0": l0}
        for name, value in values.items():
            self.curves[name] += value

    def finish(self, inside: slice) -> ErrorByPosition:
        """Divide by the number of rows and, for squares, of dimensions."""
        d_out = len(self.shift)
        means = {name: value / self.n_rows for name, value in self.curves.items()}
        at = self.shifted / self.n_rows
        rows = np.full(len(at), self.n_rows)
        spread = square_about_mean(means.pop("square"), at, rows, inside)
        for name in ("mse", "mse_random"):
            means[name] = means[name] / d_out
        return ErrorByPosition(
            **means, variance=spread / d_out, position_rows=rows, first=inside.start, context_size=inside.stop
        )
