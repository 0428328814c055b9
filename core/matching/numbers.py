"""A few numbers for what two dictionaries share: of the pair itself, by chance, and of each with itself."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from core.dictionaries.spaces import DictionarySide
from core.matching.comparison import Comparison, compare_weights
from core.matching.null import SEED, own_nearest, random_nearest, random_ratio, shuffled
from core.matching.pairs import THRESHOLD, Matching, Similarity, match, nearest, shared
from core.work.progress import SILENT, Progress

Numbers = dict[str, float | None]
"""None where a number has no meaning."""
Values = Float[np.ndarray, " value"]


def share_above(values: Values, thresholds: Float[np.ndarray, " threshold"]) -> Float[np.ndarray, " threshold"]:
    """Return the share of the values that exceed each threshold; thresholds get their dtype.

    NaN does not count. Of no values, no share is known: NaN.
    """
    ordered = np.sort(values[~np.isnan(values)])
    return 1 - np.searchsorted(ordered, thresholds.astype(values.dtype), side="right") / (len(ordered) or np.nan)


def pair_numbers(
    comparison: Comparison,
    similarity: Similarity = "decoder",
    *,
    threshold: float = THRESHOLD,
    progress: Progress = SILENT,
) -> Numbers:
    """Return the numbers of A and B; core/catalogue/matching.toml defines each.

    mmcs_ab, mmcs_ba: mean over the features of A of the best similarity with B, and the reverse. ratio_ab, ratio_ba:
    the share of these over the threshold. The others are per feature of the smaller dictionary. one_to_one_ratio: the
    best one-to-one pairs by `similarity` that are over the threshold. pw_mcc: the sum of the similarities of all best
    one-to-one pairs. agreeing: pairs that decoder and encoder both make. shared: agreeing pairs with both cosines over
    the threshold. mean_alignment: the mean alignment of the agreeing pairs themselves.
    """
    return numbers_and_doubts(comparison, similarity, threshold=threshold, progress=progress)[0]


def numbers_and_doubts(
    comparison: Comparison,
    similarity: Similarity = "decoder",
    *,
    threshold: float = THRESHOLD,
    progress: Progress = SILENT,
) -> tuple[Numbers, dict[str, str]]:
    """Return `pair_numbers`, and what is not proven of them (see `doubts`)."""
    matchings = {side: match(comparison, side, progress=progress) for side in ("decoder", "encoder")}
    if similarity not in matchings:
        matchings[similarity] = match(comparison, similarity, progress=progress)
    each = matchings["decoder"], matchings["encoder"], matchings[similarity]
    best = nearest(comparison, similarity, progress=progress)
    numbers = numbers_of(*each, (best.a, best.b), comparison.smaller, threshold=threshold)
    return numbers, doubts(*each, comparison.smaller)


def doubts(decoder: Matching, encoder: Matching, matching: Matching, smaller: int) -> dict[str, str]:
    """Say, by the names of the numbers, which rest on one-to-one pairs that are not proven to be the best, and how far.

    Empty if all are proven. The gap of a matching bounds the sum of similarities alone: other pairs with a larger sum
    may agree on more features or on fewer, so the other numbers have no bound.
    """
    return first_doubts(matching, smaller) | agreement_doubts(decoder, encoder)


def first_doubts(matching: Matching, smaller: int) -> dict[str, str]:
    """Return `doubts` of `first_numbers_of`."""
    if matching.gap == 0:
        return {}
    bound = "" if math.isnan(matching.gap) else f": at most {matching.gap / smaller:.2g} larger"
    return {"one_to_one_ratio": "not proven", "pw_mcc": f"not proven{bound}"}


def agreement_doubts(decoder: Matching, encoder: Matching) -> dict[str, str]:
    """Return `doubts` of `agreement_of`."""
    sure = decoder.gap == 0 and encoder.gap == 0
    return {} if sure else dict.fromkeys(("agreeing", "shared", "mean_alignment"), "not proven")


def numbers_of(
    decoder: Matching,
    encoder: Matching,
    matching: Matching,
    best: tuple[Float[np.ndarray, " d_sae_a"], Float[np.ndarray, " d_sae_b"]],
    smaller: int,
    *,
    threshold: float = THRESHOLD,
) -> Numbers:
    """Return the numbers of `pair_numbers` from one-to-one matchings by decoder, encoder and the similarity.

    `best` holds the largest similarities of A's features and of B's (see `nearest`); `smaller` is the number of
    features of the smaller dictionary.
    """
    return first_numbers_of(matching, best, smaller, threshold=threshold) | agreement_of(
        decoder, encoder, smaller, threshold=threshold
    )


def first_numbers_of(
    matching: Matching,
    best: tuple[Float[np.ndarray, " d_sae_a"], Float[np.ndarray, " d_sae_b"]],
    smaller: int,
    *,
    threshold: float = THRESHOLD,
) -> Numbers:
    """Return those of the numbers that need no other matching than that by the similarity."""
    return {
        **_nearest_numbers(dict(zip(("ab", "ba"), best, strict=True)), threshold),
        "one_to_one_ratio": float(np.count_nonzero(matching.score > threshold) / smaller),
        "pw_mcc": float(matching.score.sum(dtype=float) / smaller),
    }


def agreement_of(decoder: Matching, encoder: Matching, smaller: int, *, threshold: float = THRESHOLD) -> Numbers:
    """Return those of the numbers that compare the matching by decoder with that by encoder."""
    agreeing = shared(decoder, encoder, threshold=-np.inf)
    return {
        "agreeing": float(np.count_nonzero(agreeing) / smaller),
        "shared": float(np.count_nonzero(shared(decoder, encoder, threshold=threshold)) / smaller),
        "mean_alignment": float(decoder.alignment[agreeing].mean()) if agreeing.any() else None,
    }


def random_numbers(comparison: Comparison, side: DictionarySide, *, threshold: float = THRESHOLD) -> Numbers:
    """Return the expected MMCS and share over the threshold for random directions, in closed form."""
    d = comparison.a.side(side).shape[1]
    others = {"ab": int(comparison.b.finite.sum()), "ba": int(comparison.a.finite.sum())}
    mean = {f"mmcs_{way}": random_nearest(n, d).rth_mean_std(1)[0] for way, n in others.items()}
    ratio = {f"ratio_{way}": float(random_ratio(n, d, np.array([threshold]))[0]) for way, n in others.items()}
    return mean | ratio


def null_numbers(
    comparison: Comparison,
    similarity: Similarity,
    *,
    k: int,
    threshold: float = THRESHOLD,
    seed: int = SEED,
    progress: Progress = SILENT,
) -> Mapping[str, Numbers | dict[str, str]]:
    """Return the nulls and the controls, under 'random', 'shuffled', 'control_a' and 'control_b'.

    What is not proven of 'shuffled' (see `doubts`) is under 'shuffled_not_proven', which is left out if all is.

    Some are left out, as they do not exist: 'random' and the controls for the similarity 'both', 'random' for
    directions of width 1, and the control of a dictionary with one feature.
    """
    sides = () if similarity == "both" else (similarity,)
    nulls: dict[str, Numbers | dict[str, str]] = {}
    for side in sides:
        if comparison.a.side(side).shape[1] > 1:
            nulls["random"] = random_numbers(comparison, side, threshold=threshold)
        for name, weights in (("a", comparison.a), ("b", comparison.b)):
            if weights.finite.sum() > 1:
                own = own_nearest(weights, side, progress=progress)
                nulls[f"control_{name}"] = _nearest_numbers({"own": own}, threshold)
    other = shuffled(comparison.b, seed=seed)
    chance = compare_weights(comparison.a, other, k=k, progress=progress)
    nulls["shuffled"], not_proven = numbers_and_doubts(chance, similarity, threshold=threshold, progress=progress)
    return nulls | ({"shuffled_not_proven": not_proven} if not_proven else {})


def _nearest_numbers(best: Mapping[str, Values], threshold: float) -> Numbers:
    mean = {f"mmcs_{name}": float(np.nanmean(values, dtype=float)) for name, values in best.items()}
    at = np.array([threshold])
    return mean | {f"ratio_{name}": float(share_above(values, at)[0]) for name, values in best.items()}
