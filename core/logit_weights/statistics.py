"""Statistics of logit weights, which say what each feature adds to the logit of every token.

The logit weight L[i, t] is the product of what feature i writes with the unembedding of token t. One pass over tokens,
in tiles that stay in the processor's cache, gives the moments and extreme tokens of all features. The full matrix of
d_sae x d_vocab is never in memory. No torch is imported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.devices.device import CPU, Device
from core.errors import OutOfRangeError
from core.logit_weights.unembedding import Centre, LogitSettings, Unembedding
from core.maths.unit_rows import unit_rows
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import one_thread_per_product, run_blocks

CONSTANT = 1e-5
"""A row is constant if its standard deviation is below this share of |direction| times `Unembedding.spread`."""


@dataclass(frozen=True)
class LogitStatistics:
    """Moments over tokens of every feature's logit weights, and its extreme tokens, the most extreme first.

    If all logit weights of a feature are equal, as for a zero decoder row, std is 0; skewness and kurtosis are NaN.
    """

    mean: Float[np.ndarray, " d_sae"]
    std: Float[np.ndarray, " d_sae"]
    """Standard deviation of the population, that is, divided by the number of tokens."""
    skewness: Float[np.ndarray, " d_sae"]
    kurtosis: Float[np.ndarray, " d_sae"]
    """Not excess: 3 for a Gaussian."""
    minimum: Float[np.ndarray, " d_sae"]
    maximum: Float[np.ndarray, " d_sae"]
    top_tokens: Int[np.ndarray, "d_sae k"]
    """Token ids; ties: lower id first."""
    top_values: Float[np.ndarray, "d_sae k"]
    bottom_tokens: Int[np.ndarray, "d_sae k"]
    bottom_values: Float[np.ndarray, "d_sae k"]
    n_tokens: int
    version: ClassVar[int] = 5

    @classmethod
    def key(
        cls, dictionary_sha256: str, model_sha256: str, settings: LogitSettings, *, k: int = 20, device: Device = CPU
    ) -> str:
        inputs = {"dictionary": dictionary_sha256, "model": model_sha256, "k": k} | settings.as_inputs()
        inputs |= device.inputs
        return artifact_key("logit-statistics", cls.version, **inputs)

    @property
    def excess_kurtosis(self) -> Float[np.ndarray, " d_sae"]:
        """Kurtosis - 3: 0 for a Gaussian."""
        return self.kurtosis - 3

    @property
    def constant(self) -> Bool[np.ndarray, " d_sae"]:
        """True for features whose logit weights are all equal."""
        return self.std == 0


class _Tokens:
    """The unembedding's rows, tile by tile, centred over tokens."""

    def __init__(self, unembedding: Unembedding, tile: int):
        self._rows, self.tile, self.ties = unembedding.rows, tile, unembedding.ties
        self.n, self.d = self._rows.shape
        self.mean, self.spread = unembedding.mean, unembedding.spread
        self._mean32 = self.mean.astype(np.float32)
        # Rows whose mean is 0 up to rounding are used as they are, without a copy.
        self.centred = np.abs(self.mean).max(initial=0) <= 1e-6 * self.spread and self._rows.dtype == np.float32

    @property
    def starts(self) -> range:
        return range(0, self.n, self.tile)

    def buffer(self) -> Float[np.ndarray, "tile d_model"]:
        return np.empty((0 if self.centred else self.tile, self.d), np.float32)

    def read(self, start: int, buffer: Float[np.ndarray, "tile d_model"]) -> Float[np.ndarray, "n d_model"]:
        """Return the rows of the tile from `start` on, with their mean subtracted, as float32."""
        rows = self._rows[start : start + self.tile]
        if self.centred:
            return rows
        return np.subtract(rows, self._mean32, out=buffer[: len(rows)])

    def means(
        self, directions: Float[np.ndarray, "feature d_model"]
    ) -> tuple[Float[np.ndarray, " feature"], Float[np.ndarray, " feature"]]:
        """Return every feature's mean over tokens, and the amount to add to its products with the rows of `read`."""
        mean = directions.astype(np.float64)
        return mean @ self.mean, mean @ (self.mean if not self.centred else np.zeros(self.d))


def logit_statistics(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    *,
    center: Centre,
    k: int = 20,
    device: Device = CPU,
    progress: Progress = SILENT,
    block: int = 512,
    tile: int = 4096,
    workers: int | None = None,
) -> LogitStatistics:
    """Compute LogitStatistics of all rows of `directions` (see unembedding.residual_directions).

    Moments are of the population, over tokens; kurtosis is not excess (Gurnee et al. 2024). With `center="median"`,
    every feature's median is shifted to 0; "mean" changes nothing here, as `unembedding` has centred W_U. Products are
    float32 of centred rows, and sums are float64, so that moments are right to about 1e-7 even if the mean is far from
    0. Each of `workers` threads holds (block + d_model) x tile floats. A device that runs kernels does the same with
    whole arrays (core.logit_weights.on_device); its products may differ by about 1e-6 of a row's largest value.
    `progress.update` counts features.
    """
    n, k = len(directions), min(k, len(unembedding.rows))
    if device.runs_kernels:
        return _on_device(directions, unembedding, device, k, center, progress)
    tokens = _Tokens(unembedding, tile)
    block = _width(n, block)

    def work(features: slice) -> dict[str, np.ndarray]:
        return _block(directions[features], tokens, k, center)

    parts = run_blocks(work, n, block, workers=workers, progress=progress)
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("top_tokens", "bottom_tokens"):
        fields[name] = unembedding.tokens[fields[name]]
    return LogitStatistics(n_tokens=tokens.n, **fields)


def logit_weights(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    features: Sequence[int],
    *,
    center: Centre,
) -> Float[np.ndarray, "feature n_tokens"]:
    """Return all logit weights of some features, in the order of `unembedding.tokens`.

    Raises OutOfRangeError for a feature that does not exist.
    """
    for feature in features:
        if not 0 <= feature < len(directions):
            raise OutOfRangeError("Feature", feature, len(directions))
    tokens = _Tokens(unembedding, 4096)
    with one_thread_per_product():  # with several, the last bits would depend on their number
        weights = _full(np.ascontiguousarray(directions[list(features)]), tokens)
    return weights - np.median(weights, axis=1, keepdims=True) if center == "median" else weights


def extreme_logits(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    feature: int,
    *,
    center: Centre,
    k: int = 20,
) -> dict[str, tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]]:
    """Return one feature's token ids and logit weights at the 'top' and the 'bottom', the most extreme first.

    They are those of `logit_statistics` on the CPU to the last bit, as the same block of features is multiplied. Raises
    OutOfRangeError.
    """
    if not 0 <= feature < len(directions):
        raise OutOfRangeError("Feature", feature, len(directions))
    width, tokens = _width(len(directions)), _Tokens(unembedding, 4096)
    first = feature - feature % width
    block = np.ascontiguousarray(directions[first : first + width], dtype=np.float32)
    with one_thread_per_product():
        weights = np.empty((1, tokens.n), np.float32)
        rows, products = tokens.buffer(), np.empty(len(block) * tokens.tile, np.float32)
        for start in tokens.starts:
            part = tokens.read(start, rows)
            x = np.matmul(block, part.T, out=products[: len(block) * len(part)].reshape(len(block), -1))
            weights[0, start : start + len(part)] = x[feature - first]
        tokens.ties.settle(weights, 0, np.empty((1, tokens.ties.n_groups), np.float32))
        shift = tokens.means(block)[1] - (_medians(block, tokens) if center == "median" else 0)
    found, shift = {}, shift[feature - first]
    for end, sign in (("top", -1), ("bottom", 1)):
        places = np.argsort(sign * weights[0], kind="stable")[:k]
        found[end] = unembedding.tokens[places], (weights[0, places] + shift).astype(np.float32)
    return found


def random_directions(n: int, d: int, *, seed: int) -> Float[np.ndarray, "n d"]:
    """Draw rows of length 1, all directions equally likely: the baseline of Gurnee et al. 2024."""
    rows = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return unit_rows(rows)


def prepare() -> None:
    """Run the loop once on one token, so that no visitor waits for compiling."""
    one = np.ones((1, 1), np.float32)
    logit_statistics(one, Unembedding(one, np.arange(1)), center="none", k=1, workers=1)


def _width(n: int, most: int = 512) -> int:
    """Return how many of n features are multiplied at once.

    Several blocks for several workers, each wide enough to repay reading a tile. The width must not depend on the
    number of workers, which must not change the result.
    """
    return min(most, max(128, -(-n // 4)))


def _block(
    directions: Float[np.ndarray, "feature d_model"], tokens: _Tokens, k: int, center: Centre
) -> dict[str, np.ndarray]:
    """Return the fields of LogitStatistics for some features, with rows of the unembedding in place of token ids."""
    from core.logit_weights.kernels import scan_logits

    n = len(directions)
    directions = np.ascontiguousarray(directions, dtype=np.float32)
    scale = np.linalg.norm(directions.astype(np.float64), axis=1) * tokens.spread
    inverse = np.divide(1, scale, out=np.zeros(n), where=scale > 0).astype(np.float32)
    moments, top, bottom = np.zeros((n, 4)), np.full((n, k), -np.inf, np.float32), np.full((n, k), np.inf, np.float32)
    top_tokens, bottom_tokens = np.zeros((n, k), np.int32), np.zeros((n, k), np.int32)
    rows, products = tokens.buffer(), np.empty(n * tokens.tile, np.float32)
    tied = np.empty((n, tokens.ties.n_groups), np.float32)
    for start in tokens.starts:
        part = tokens.read(start, rows)
        x = np.matmul(directions, part.T, out=products[: n * len(part)].reshape(n, -1))
        tokens.ties.settle(x, start, tied)
        scan_logits(x, start, inverse, moments, top, top_tokens, bottom, bottom_tokens)
    mean, shift = tokens.means(directions)
    if center == "median":
        median = _medians(directions, tokens)
        mean, shift = mean - median, shift - median
    top, bottom = (top + shift[:, None]).astype(np.float32), (bottom + shift[:, None]).astype(np.float32)
    extremes = {"top_tokens": top_tokens, "top_values": top, "bottom_tokens": bottom_tokens, "bottom_values": bottom}
    return _shape_of(moments / tokens.n, scale) | {"mean": mean} | _limits(top, bottom) | extremes


def _on_device(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    device: Device,
    k: int,
    center: Centre,
    progress: Progress,
) -> LogitStatistics:
    from core.logit_weights.on_device import logit_fields

    how = {"k": k, "median": center == "median", "progress": progress}
    computed = logit_fields(directions, unembedding, device, **how)
    moments, scale = computed.pop("moments"), computed.pop("scale")
    fields = computed | _shape_of(moments, scale) | _limits(computed["top_values"], computed["bottom_values"])
    for name in ("top_tokens", "bottom_tokens"):
        fields[name] = unembedding.tokens[fields[name]]
    return LogitStatistics(n_tokens=len(unembedding.rows), **fields)


def _limits(
    top: Float[np.ndarray, "feature k"], bottom: Float[np.ndarray, "feature k"]
) -> dict[str, Float[np.ndarray, " feature"]]:
    """Return the largest and the smallest value of each feature, from lists that begin with them."""
    return {"minimum": bottom[:, 0].astype(np.float64), "maximum": top[:, 0].astype(np.float64)}


def _shape_of(moments: Float[np.ndarray, "feature 4"], scale: Float[np.ndarray, " feature"]) -> dict[str, np.ndarray]:
    """Return standard deviation, skewness and kurtosis from the raw moments of values divided by `scale`.

    Central moments do not depend on the mean and the scale that the raw ones were taken with.
    """
    one, two, three, four = moments.T
    variance = np.maximum(two - one**2, 0)
    constant = np.sqrt(variance) <= CONSTANT
    variance = np.where(constant, np.nan, variance)
    return {
        "std": np.where(constant, 0, np.sqrt(variance) * scale),
        "skewness": (three - 3 * one * two + 2 * one**3) / variance**1.5,
        "kurtosis": (four - 4 * one * three + 6 * one**2 * two - 3 * one**4) / variance**2,
    }


def _full(directions: Float[np.ndarray, "feature d_model"], tokens: _Tokens) -> Float[np.ndarray, "feature n_tokens"]:
    """Return all logit weights of a few features, float32, without shifting their median to 0."""
    weights, rows = np.empty((len(directions), tokens.n), np.float32), tokens.buffer()
    for start in tokens.starts:
        part = tokens.read(start, rows)
        np.matmul(directions, part.T, out=weights[:, start : start + len(part)])
    tokens.ties.settle(weights, 0, np.empty((len(weights), tokens.ties.n_groups), np.float32))
    weights += tokens.means(directions)[1].astype(np.float32)[:, None]
    return weights


def _medians(directions: Float[np.ndarray, "feature d_model"], tokens: _Tokens) -> Float[np.ndarray, " feature"]:
    """Return every feature's median over tokens, from a second product with all tokens for a few features at a time."""
    few = max(1, 2**22 // tokens.n)
    parts = [np.median(_full(directions[i : i + few], tokens), axis=1) for i in range(0, len(directions), few)]
    return np.concatenate(parts).astype(np.float64)
