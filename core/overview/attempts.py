"""Other ways to use a dictionary. Each tests for one mistake that loaders make."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.config import TRANSCODERS, UNFOLDED_NORMALISATIONS
from core.dictionaries.dictionary import Dictionary
from core.models.batches import activations_at
from core.models.language_model import LanguageModel

AS_IS, SCALED, UNSCALED, LAYER_NORM, CENTRED = "as it is", "scaled", "unscaled", "layer norm", "centred"
UNCENTRED, BIAS, TOP, HOOK = "not centred", "decoder bias", "top activations", "another hook"
LONG = 10.0
"""A token is an outlier if its x is more than this many times as long as the median x. BOS is one in deep layers."""
_MOST_TOP = 512
_COMPETING = {"standard", "jumprelu", "gated"}
"""Architectures that a TopK dictionary can be mistaken for."""

Attempt = tuple[str, str, Callable[[], float]]
"""Kind, what was changed (empty if the kind says it all), and the function that computes the variance explained."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What a dictionary reads, what it should output, and which tokens are judged."""

    tokens: Int[np.ndarray, "row pos"]
    left_out: tuple[int, ...]
    x: Float[np.ndarray, "row pos d_in"]
    target: Float[np.ndarray, "row pos d_out"]
    judged: Bool[np.ndarray, "row pos"]
    """Tokens that are judged: not at position 0, not left out, no outliers."""
    outliers: Bool[np.ndarray, "row pos"]

    def fve(self, x_hat: np.ndarray, *, goal: np.ndarray | None = None, judged: np.ndarray | None = None) -> float:
        """1 - sum of (x - x_hat)^2 / sum of (x - mean)^2 over the judged tokens; NaN if it is not defined."""
        judged = self.judged if judged is None else judged
        x = (self.target if goal is None else goal)[judged].astype(np.float64)
        spread = ((x - x.mean(axis=0)) ** 2).sum()
        explained = 1 - ((x - x_hat[judged]) ** 2).sum() / spread if spread > 0 else np.nan
        return float(explained) if np.isfinite(explained) else np.nan


def read_sample(
    dictionary: Dictionary,
    model: LanguageModel,
    tokens: Int[np.ndarray, "row pos"],
    left_out: tuple[int, ...],
    hook_name: str | None = None,
) -> Sample:
    """Run the model up to the dictionary's hook (or another one) and choose the tokens to judge."""
    config = dictionary.config
    x = activations_at(model, tokens, (hook_name,) if hook_name else config.hooks_in)
    target = model.activations(tokens, config.hook_name_out) if config.hook_name_out else x
    length = np.linalg.norm(target, axis=-1)
    counted = ~np.isin(tokens, left_out)
    if tokens.shape[1] > 1:
        counted[:, 0] = False
    counted = counted if counted.any() else np.ones_like(counted)
    outliers = counted & (length > LONG * np.median(length[counted]))
    return Sample(tokens, left_out, x, target, counted & ~outliers, outliers)


def encode(dictionary: Dictionary, x: Float[np.ndarray, "row pos d_in"]) -> Float[np.ndarray, "row pos d_sae"]:
    """Return activations, without sae-lens where they are gates on one product."""
    if dictionary.not_additive_because:
        return dictionary.encode(x)
    gate = dictionary.affine_gate()
    z = (x - dictionary.input_bias) @ dictionary.W_enc
    return np.where(z > gate.cutoff, gate.scale * z + gate.offset, np.float32(0))


def reconstruct(dictionary: Dictionary, x: Float[np.ndarray, "row pos d_in"]) -> Float[np.ndarray, "row pos d_out"]:
    """Return x_hat, without sae-lens where it is one product."""
    if dictionary.not_additive_because or "skip" in dictionary.config.architecture:
        return dictionary.reconstruct(x)
    return encode(dictionary, x) @ dictionary.W_dec + dictionary.b_dec


def on_input(dictionary: Dictionary, model: LanguageModel, sample: Sample) -> Iterator[Attempt]:
    """Yield changes of x; the inverse change is applied to the output."""
    x, target = sample.x, sample.target

    def attempt(changed: np.ndarray, back: Callable = lambda y: y, goal: np.ndarray = target) -> float:
        return sample.fve(back(reconstruct(dictionary, changed.astype(np.float32))), goal=goal)

    transcodes = dictionary.config.architecture in TRANSCODERS  # the output has another unit than the input
    length = np.linalg.norm(x, axis=-1)[sample.judged].mean()
    alpha = np.sqrt(dictionary.d_in) / length if length > 0 else 1.0
    for kind, factor in ((SCALED, alpha), (UNSCALED, 1 / alpha)):
        undone = 1.0 if transcodes else factor
        yield kind, f"{factor:.3g}", lambda f=factor, g=undone: attempt(x * f, lambda y: y / g)
    middle = x.mean(axis=-1, keepdims=True)
    if str(model.config.get("normalization_type")).startswith("LN") and not model.centred:
        yield CENTRED, "", lambda: attempt(x - middle, goal=target - target.mean(axis=-1, keepdims=True))
    if transcodes or not _plain_input(dictionary):
        return
    spread = x.std(axis=-1, ddof=1, keepdims=True) + 1e-5  # as sae-lens
    yield LAYER_NORM, "", lambda: attempt((x - middle) / spread, lambda y: y * spread + middle)
    if dictionary.b_dec.any():
        subtracts = dictionary.config.apply_b_dec_to_input
        other = x + dictionary.b_dec if subtracts else x - dictionary.b_dec
        yield BIAS, "not subtracted" if subtracts else "subtracted", lambda: attempt(other)


def _plain_input(dictionary: Dictionary) -> bool:
    return dictionary.config.normalize_activations in UNFOLDED_NORMALISATIONS | {"none"}


def on_activations(
    dictionary: Dictionary, sample: Sample, *, l0: float, expected_l0: float | None, plain: float
) -> Iterator[Attempt]:
    """Yield attempts that keep only a token's k largest activations: k as expected, and powers of two below L0.

    Yields nothing if the architecture rules this out, or if the expected k already does well.
    """
    config = dictionary.config
    too_many = expected_l0 is not None and l0 > 2 * expected_l0
    if config.architecture not in _COMPETING or not _plain_input(dictionary) or (plain >= 0.9 and not too_many):
        return
    numbers = {2**n for n in range(10) if 2 ** (n + 1) <= l0} | ({round(expected_l0)} if too_many else set())
    numbers = sorted(k for k in numbers if 1 <= k <= min(_MOST_TOP, dictionary.d_sae - 1))
    if not numbers:
        return
    acts, most = encode(dictionary, sample.x), numbers[-1]
    descending = -np.sort(-np.partition(acts, -most, axis=-1)[..., -most:], axis=-1)

    def attempt(k: int) -> float:
        kept = np.where(acts >= descending[..., k - 1 : k], acts, np.float32(0))
        return sample.fve(kept @ dictionary.W_dec + dictionary.b_dec)

    for k in numbers:
        yield TOP, str(k), lambda k=k: attempt(k)


def on_model(dictionary: Dictionary, model: LanguageModel, sample: Sample) -> Iterator[Attempt]:
    """Yield the model without centring, if it was centred."""

    def attempt() -> float:
        other = LanguageModel(model.folder, name=model.name, wpe=model.wpe)
        other.make_room = model.make_room
        return _fve_at(dictionary, other, sample)

    if model.centred:
        yield UNCENTRED, "", attempt


def on_hooks(dictionary: Dictionary, model: LanguageModel, sample: Sample) -> Iterator[Attempt]:
    """Yield the same hook point in other layers, and other hook points of the same layer, if the width fits."""
    config = dictionary.config
    if config.architecture in TRANSCODERS or not config.hook_name.startswith("blocks."):
        return
    _, layer, point = config.hook_name.split(".", 2)
    for name in model.hook_names():
        _, other_layer, other_point = name.split(".", 2)
        near = other_layer == layer or other_point == point
        if near and name != config.hook_name and model.hook_width(name) == dictionary.d_in:
            yield HOOK, name, lambda name=name: _fve_at(dictionary, model, sample, name)


def _fve_at(dictionary: Dictionary, model: LanguageModel, like: Sample, hook_name: str | None = None) -> float:
    sample = read_sample(dictionary, model, like.tokens, like.left_out, hook_name)
    return sample.fve(reconstruct(dictionary, sample.x))
