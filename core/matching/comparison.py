"""Two dictionaries side by side: the nearest features of one to each feature of the other, by their weights."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space, directions
from core.errors import BadSettingError, DoesNotFitError
from core.geometry.neighbors import Between, nearest_between
from core.maths.degenerate import with_direction
from core.maths.equal_rows import copies
from core.maths.unit_rows import inverse_lengths
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

SIDES: tuple[DictionarySide, ...] = ("decoder", "encoder")
K = 20
"""Candidates of each feature at first. Pairs beyond them are added where they could better the matching."""
NEURONS_K = 4
_PAIRS = 1 << 16


class SameDictionaryError(DoesNotFitError):
    """Both dictionaries are the same. Pages then offer the control instead: each feature's second-best match."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The directions of all features of one dictionary."""

    decoder: Float[np.ndarray, "d_sae d_out"]
    encoder: Float[np.ndarray, "d_sae d_in"]

    @classmethod
    def of(cls, dictionary: Dictionary) -> "Weights":
        """Take a dictionary's weights; a feature without a direction on either side becomes NaN on both.

        Zero rows have no direction (see core.maths.degenerate). NaN and infinity do not occur: reading refuses them.
        """
        return cls(*(rows_of(dictionary, side) for side in SIDES))

    def side(self, side: DictionarySide) -> Float[np.ndarray, "d_sae d"]:
        return self.decoder if side == "decoder" else self.encoder

    @cached_property
    def n_copies(self) -> dict[DictionarySide, int]:
        """Return for each side how many directions have the very bits of an earlier one."""
        return {side: len(copies(self.side(side)[self.finite]).row) for side in SIDES}

    @property
    def d_out(self) -> int:
        return self.decoder.shape[1]

    @property
    def d_in(self) -> int:
        return self.encoder.shape[1]

    @cached_property
    def finite(self) -> Bool[np.ndarray, " d_sae"]:
        """True for features with a direction on both sides. The others are left out of every match."""
        return np.isfinite(self.decoder).all(axis=1)


def rows_of(dictionary: Dictionary, side: DictionarySide) -> Float[np.ndarray, "d_sae d"]:
    """Return one side of `Weights.of`, without a copy of the other."""
    damaged = np.ones(dictionary.d_sae, bool)
    damaged[np.intersect1d(*(with_direction(directions(dictionary, each)) for each in SIDES))] = False
    if not damaged.any():
        return np.ascontiguousarray(directions(dictionary, side))
    rows = np.array(directions(dictionary, side), order="C")
    rows[damaged] = np.nan
    return rows


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two dictionaries and, for each feature, its nearest features in the other one, by decoder and by encoder.

    What compares one side alone needs no nearest by the other, which may be None.
    """

    a: Weights
    b: Weights
    decoder: Between | None = None
    encoder: Between | None = None

    def between(self, side: DictionarySide) -> Between:
        found = self.decoder if side == "decoder" else self.encoder
        assert found is not None, f"the nearest by {side} were not looked for"
        return found

    @property
    def smaller(self) -> int:
        """Number of features that have a direction, in the dictionary with fewer: the largest number of pairs."""
        return int(min(self.a.finite.sum(), self.b.finite.sum()))


def check_matchable(a: Dictionary, b: Dictionary) -> None:
    """Raise DoesNotFitError unless both live in the same spaces, SameDictionaryError if they are the same."""
    if a.sha256 == b.sha256:
        raise SameDictionaryError(
            f"{a.title} and {b.title} are one dictionary, with the content {a.sha256[:16]}: every feature would match "
            "itself. Expected two; choose another, or look at the control, each feature's best match but itself."
        )
    for side in SIDES:
        check_same_space(a, b, side)


def differences(a: Dictionary, b: Dictionary) -> tuple[str, ...]:
    """Return warnings about settings that differ in training, and so change the meaning of cosines."""
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
    """Find the k nearest features both ways, by decoder and by encoder; fewer if a dictionary has fewer features.

    Raises what `check_matchable` raises, and DoesNotFitError if a dictionary has no feature with a direction.
    """
    check_matchable(a, b)
    return compare_weights(Weights.of(a), Weights.of(b), k=k, progress=progress, workers=workers)


def compare_weights(
    a: Weights, b: Weights, *, k: int = K, progress: Progress = SILENT, workers: int | None = None
) -> Comparison:
    """Do as `compare` does, for weights alone. `progress` starts anew on each side.

    Raises BadSettingError unless k is at least 1, and DoesNotFitError if either has no feature with a direction.
    """
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
    """Cosines between features of A and of B on one side, computed for the pairs that a caller names."""

    def __init__(self, comparison: Comparison, side: DictionarySide):
        self.rows, self.others = (np.ascontiguousarray(one.side(side)) for one in (comparison.a, comparison.b))
        self.inverse, self.other_inverse = inverse_lengths(self.rows), inverse_lengths(self.others)

    def of(self, a: Int[np.ndarray, " pair"], b: Int[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
        """Return the cosines of pairs (a[i], b[i]), summed in float64, rounded to float32; 0 for a zero direction."""
        from core.geometry.kernels import pair_dots

        out = np.empty(len(a))
        pair_dots(self.rows, self.others, a, b, out)
        out *= self.inverse[a]  # one after the other: the product of both may overflow
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
    """Return the cosines of many pairs, as `PairCosines.of` does, in parallel blocks."""
    cosines, out = PairCosines(comparison, side), np.empty(len(a), np.float32)

    def fill(part: slice) -> None:
        out[part] = cosines.of(a[part], b[part])

    run_blocks(fill, len(a), _PAIRS, progress=progress)
    return out


def geometric_mean(one: Float[np.ndarray, "*shape"], other: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return √(one · other) of two cosines, computed in float64, rounded to float32. Negative cosines count as 0."""
    return np.sqrt(np.maximum(one, 0, dtype=float) * np.maximum(other, 0, dtype=float)).astype(np.float32)


def nearest_neurons(a: Dictionary, b: Dictionary, side: DictionarySide, *, k: int = NEURONS_K) -> Between:
    """Find, for each dimension of the space of directions, the k nearest in the other dictionary (Cho 2025).

    A dimension is a column of weights over all features; cosines pair feature i of A with feature i of B. So they mean
    something only if both dictionaries began training from the same weights. A feature left out of either dictionary
    counts in neither. Raises DoesNotFitError for unequal d_sae.
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
