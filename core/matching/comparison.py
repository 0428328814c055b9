"""Two dictionaries side by side: which features of the one are nearest to each of the other, by their weights."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space
from core.errors import BadSettingError, DoesNotFitError
from core.geometry.neighbors import Between, nearest_between
from core.maths.degenerate import with_direction
from core.maths.unit_rows import inverse_lengths
from core.work.jobs import SILENT, Progress
from core.work.threads import run_blocks

SIDES: tuple[DictionarySide, ...] = ("decoder", "encoder")
K = 20
"""How many candidates each feature has at first: pairs beyond them are added where they are worth more."""
NEURONS_K = 4
_PAIRS = 1 << 16


class SameDictionaryError(DoesNotFitError):
    """A dictionary was to be compared with itself; pages offer the control by its second-best matches instead."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The directions of all features of one dictionary."""

    decoder: Float[np.ndarray, "d_sae d_out"]
    encoder: Float[np.ndarray, "d_sae d_in"]

    @classmethod
    def of(cls, dictionary: Dictionary) -> "Weights":
        """Take a dictionary's weights; a feature without a direction on one side becomes NaN on both.

        Such are zero rows (see core.maths.degenerate): files with NaN or infinity are refused.
        """
        decoder, encoder = dictionary.W_dec, np.ascontiguousarray(dictionary.W_enc.T)
        damaged = np.ones(len(decoder), bool)
        damaged[np.intersect1d(with_direction(decoder), with_direction(encoder))] = False
        if damaged.any():
            decoder, encoder = decoder.copy(), encoder.copy()
            decoder[damaged], encoder[damaged] = np.nan, np.nan
        return cls(decoder, encoder)

    def side(self, side: DictionarySide) -> Float[np.ndarray, "d_sae d"]:
        return self.decoder if side == "decoder" else self.encoder

    @property
    def d_out(self) -> int:
        return self.decoder.shape[1]

    @property
    def d_in(self) -> int:
        return self.encoder.shape[1]

    @cached_property
    def finite(self) -> Bool[np.ndarray, " d_sae"]:
        """Which features have a direction on both sides; the others are left out of every match."""
        return np.isfinite(self.decoder).all(axis=1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two dictionaries and, for each feature, its nearest of the other one, by decoder and by encoder."""

    a: Weights
    b: Weights
    decoder: Between
    encoder: Between

    def between(self, side: DictionarySide) -> Between:
        return self.decoder if side == "decoder" else self.encoder

    @property
    def smaller(self) -> int:
        """Number of features with a direction of the smaller dictionary: the most pairs there can be."""
        return int(min(self.a.finite.sum(), self.b.finite.sum()))


def check_matchable(a: Dictionary, b: Dictionary) -> None:
    """Raise DoesNotFitError unless cosines between the two mean something, SameDictionaryError for one twice."""
    if a.sha256 == b.sha256:
        raise SameDictionaryError(
            f"{a.title} and {b.title} are one dictionary, with the content {a.sha256[:16]}: every feature would match "
            "itself. Expected two; choose another, or look at the control, each feature's best match but itself."
        )
    for side in SIDES:
        check_same_space(a, b, side)


def differences(a: Dictionary, b: Dictionary) -> tuple[str, ...]:
    """Return warnings about settings under which the two were trained that change what cosines mean."""
    names = {
        "center_writing_weights": "the model's writing weights centred",
        "normalize_activations": "input normalisation",
        "apply_b_dec_to_input": "b_dec subtracted from the input",
    }
    settings = {name: (getattr(a.config, name), getattr(b.config, name)) for name in names}
    words = {True: "yes", False: "no"}
    return tuple(
        f"{names[name]}: {a.title} {words.get(one, one)}, {b.title} {words.get(other, other)}. They saw different "
        "inputs, so part of what differs between them may come from that."
        for name, (one, other) in settings.items()
        if one != other
    )


def compare(
    a: Dictionary, b: Dictionary, *, k: int = K, progress: Progress = SILENT, workers: int | None = None
) -> Comparison:
    """Find the k nearest features both ways by decoder and by encoder; fewer where a dictionary has no k features.

    Raises what `check_matchable` raises, and DoesNotFitError if a dictionary has no feature with a direction.
    """
    check_matchable(a, b)
    return compare_weights(Weights.of(a), Weights.of(b), k=k, progress=progress, workers=workers)


def compare_weights(
    a: Weights, b: Weights, *, k: int = K, progress: Progress = SILENT, workers: int | None = None
) -> Comparison:
    """Do the same for weights. Raises BadSettingError unless k is at least 1. `progress` counts per side."""
    if k < 1:
        raise BadSettingError(
            f"{k} candidates for each feature leave nothing to match; expected 1 or more, such as {K}."
        )
    most = int(min(a.finite.sum(), b.finite.sum()))
    if not most:
        raise DoesNotFitError(
            "Every feature of one of the dictionaries has a decoder row or an encoder column that is all zero. "
            "Expected some with a direction; choose another dictionary."
        )
    nearest = {}
    for side in SIDES:
        progress.note(f"nearest by {side}")
        rows = a.side(side), b.side(side)
        nearest[side] = nearest_between(*rows, k=min(k, most), progress=progress, workers=workers)
    return Comparison(a, b, **nearest)


class PairCosines:
    """Cosines between features of A and of B by one side, of the pairs that are asked for."""

    def __init__(self, comparison: Comparison, side: DictionarySide):
        self.rows, self.others = (np.ascontiguousarray(one.side(side)) for one in (comparison.a, comparison.b))
        self.inverse, self.other_inverse = inverse_lengths(self.rows), inverse_lengths(self.others)

    def of(self, a: Int[np.ndarray, " pair"], b: Int[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
        """Return them summed in float64 and rounded to float32; 0 where a direction is zero."""
        from core.geometry.kernels import pair_dots

        out = np.empty(len(a))
        pair_dots(self.rows, self.others, a, b, out)
        out *= self.inverse[a]  # one after the other, as their product may be no float
        out *= self.other_inverse[b]
        return out.astype(np.float32)


def pair_cosines(
    comparison: Comparison,
    a: Int[np.ndarray, " pair"],
    b: Int[np.ndarray, " pair"],
    side: DictionarySide,
    *,
    progress: Progress = SILENT,
) -> Float[np.ndarray, " pair"]:
    """Return the cosines of many pairs, as `PairCosines` has them."""
    cosines, out = PairCosines(comparison, side), np.empty(len(a), np.float32)

    def fill(part: slice) -> None:
        out[part] = cosines.of(a[part], b[part])

    run_blocks(fill, len(a), _PAIRS, progress=progress)
    return out


def geometric_mean(one: Float[np.ndarray, "*shape"], other: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return √(one · other) of two cosines, negative ones taken as 0, from float64 rounded to float32."""
    return np.sqrt(np.maximum(one, 0, dtype=float) * np.maximum(other, 0, dtype=float)).astype(np.float32)


def nearest_neurons(a: Dictionary, b: Dictionary, side: DictionarySide, *, k: int = NEURONS_K) -> Between:
    """Find, for each input dimension, the k nearest of the other dictionary: columns over the features (Cho 2025).

    Feature i of A is set against feature i of B, so this says something where both started from the same weights.
    Features left out on either side count for neither. Raises DoesNotFitError for unequal d_sae.
    """
    check_matchable(a, b)
    if a.d_sae != b.d_sae:
        raise DoesNotFitError(
            f"{a.title} has {a.d_sae:,} features, {b.title} {b.d_sae:,}: dimensions have no cosine over features. "
            "Expected equal numbers; choose two dictionaries of one width, or match features."
        )
    one, other = Weights.of(a), Weights.of(b)
    kept = one.finite & other.finite
    columns = [np.ascontiguousarray(weights.side(side)[kept].T) for weights in (one, other)]
    return nearest_between(*columns, k=min(k, len(columns[0])))
