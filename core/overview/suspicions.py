"""Suspected faults of a dictionary that does badly. Each follows from a measurement.

The measurements come from core.overview.probe (the dictionary fed in other ways) and core.activations.statistics.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.activations.statistics import ActivationStatistics
from core.overview import attempts
from core.overview.probe import ENOUGH, POOR, RecipeProbe

GAIN, REMAINDER = 0.05, 0.5
"""Another recipe is better if it explains this much more of the variance and leaves at most this share of the
unexplained part."""
OUTWEIGHS, SHIFT = 0.5, 0.05
"""A few tokens outweigh all others if they have more than this share of error or variance and change fve by SHIFT."""


@dataclass(frozen=True)
class Suspicion:
    """A named fault, what was measured, and what to do."""

    name: str
    evidence: str
    next_step: str


def suspicions(
    statistics: ActivationStatistics, probe: RecipeProbe, published: Mapping[str, float]
) -> tuple[Suspicion, ...]:
    """Return the suspicions that follow from the measurements; none for a healthy dictionary."""
    whole, rest = (statistics.totals(with_first=first)["fve"] for first in (True, False))
    suspected = [*_recipe(probe, published), *_first_token(statistics, whole, rest), *_outliers(probe)]
    if not suspected and probe.plain <= 0:
        suspected.append(_elsewhere(probe))
    return tuple(suspected)


def better(fve: float, plain: float) -> bool:
    """Whether an attempt explains so much more than the dictionary as it is that its recipe must be the right one."""
    return bool(fve >= max(POOR, plain + GAIN) and 1 - fve <= REMAINDER * (1 - plain))


_FAULTS = {
    attempts.SCALED: (
        "Input scaling is missing",
        "with every input multiplied by {detail} (√d_in / mean length)",
        "Fold the factor into the weights (sae-lens: fold_activation_norm_scaling_factor) and save it again.",
    ),
    attempts.UNSCALED: (
        "Input scaling was folded in twice, or is not undone",
        "with every input multiplied by {detail} (mean length / √d_in)",
        "Save the dictionary again from training, without folding a scaling factor that is folded in already.",
    ),
    attempts.LAYER_NORM: (
        "Input normalisation is missing",
        "with every input scaled to mean 0 and standard deviation 1, and every output scaled back",
        "Set normalize_activations to layer_norm in the dictionary's config.",
    ),
    attempts.CENTRED: (
        "Uncentred input",
        "with every input's mean over its dimensions subtracted",
        "Set center_writing_weights to true under model_from_pretrained_kwargs in the dictionary's config.",
    ),
    attempts.UNCENTRED: (
        "Input centred against the training",
        "on the model as its files have it",
        "Set center_writing_weights to false under model_from_pretrained_kwargs in the dictionary's config.",
    ),
    attempts.BIAS: (
        "Decoder bias handled the other way in training",
        "with the decoder bias {detail} before encoding",
        "Set apply_b_dec_to_input the other way in the dictionary's config.",
    ),
    attempts.TOP: (
        "TopK run as ReLU",
        "with the {detail} largest activations of each token alone",
        "Save it with architecture topk and its k, or name k after the path (PATH#k=...) where the format has one.",
    ),
}


def _recipe(probe: RecipeProbe, published: Mapping[str, float]) -> list[Suspicion]:
    """Name the fault whose correction explains most of the variance, if that is clearly more than as it is."""
    best, plain = probe.best(_FAULTS), probe.plain
    if best is None or not better(probe.fve[best], plain):
        return []
    kind, detail = probe.kinds[best], probe.details[best]
    name, change, step = _FAULTS[kind]
    more = ""
    if kind == attempts.TOP:
        said = f", published are {published['l0']:,.1f}" if "l0" in published else ""
        more = f" {probe.l0:,.1f} are active on a token{said}."
    evidence = (
        f"With the inputs as they are, the dictionary explains {number(plain)} of the variance; "
        f"{change.format(detail=detail)}, it explains {probe.fve[best]:.2f} ({probe.n_tokens:,} tokens).{more}"
    )
    return [Suspicion(name, evidence, step)]


def _first_token(statistics: ActivationStatistics, whole: float, rest: float) -> list[Suspicion]:
    """Check whether position 0 outweighs all later positions."""
    if statistics.n_pos < 2:
        return []
    errors, n = statistics.errors(), statistics.position_rows
    shares = [_first_share(values, n) for values in (errors.mse, errors.variance)]
    if not (max(shares) > OUTWEIGHS and abs(whole - rest) > SHIFT):
        return []
    evidence = (
        f"Position 0 has {shares[0]:.0%} of the squared error and {shares[1]:.0%} of the variance; its inputs are "
        f"{errors.norm[0]:,.1f} long, later ones {np.nanmedian(errors.norm[1:]):,.1f} (median). Variance explained is "
        f"{whole:.2f} with it and {rest:.2f} without."
    )
    step = "Read the numbers without the first token, and leave it out of statistics (special tokens, first position)."
    return [Suspicion("The first token outweighs all others", evidence, step)]


def _first_share(values: Float[np.ndarray, " pos"], n: Int[np.ndarray, " pos"]) -> float:
    weighted = np.where(n > 0, np.nan_to_num(values) * n, 0)
    return float(weighted[0] / weighted.sum()) if weighted.sum() > 0 else 0.0


def _outliers(probe: RecipeProbe) -> list[Suspicion]:
    """Check whether a few tokens with long inputs after position 0 outweigh all others."""
    moved = abs(probe.fve_with_outliers - probe.fve[0]) > SHIFT
    if not (probe.n_outliers and moved):
        return []
    evidence = (
        f"{probe.n_outliers} of {probe.n_outliers + probe.n_tokens:,} tokens have inputs over {attempts.LONG:g} "
        f"times as long as the median; they have {probe.outlier_error_share:.0%} of the squared error. Variance "
        f"explained is {probe.fve_with_outliers:.2f} with them and {probe.fve[0]:.2f} without."
    )
    step = "Check the error by position too, not only totals over all tokens."
    return [Suspicion("A few long inputs outweigh all others", evidence, step)]


def _elsewhere(probe: RecipeProbe) -> Suspicion:
    """Name the hook at which the dictionary works, if there is one."""
    best = probe.best([attempts.HOOK])
    plain = f"The dictionary explains {number(probe.plain)} of the variance at its hook ({probe.n_tokens:,} tokens)"
    if best is not None and probe.fve[best] >= ENOUGH:
        hook = probe.details[best]
        evidence = f"{plain} and {probe.fve[best]:.2f} at {hook}."
        return Suspicion("It belongs to another hook", evidence, f"Name the hook after the path: PATH#hook_name={hook}")
    tried = ", ".join(dict.fromkeys(kind for kind in probe.kinds[1:]))
    evidence = f"{plain}, and no other way of feeding it helps (tried: {tried})."
    step = "Check the model's name and revision, the hook, and that config and weights belong together."
    return Suspicion("It does not belong to this hook or model", evidence, step)


def number(value: float) -> str:
    """Write a variance explained. Far below 0, its size has no meaning."""
    return f"{value:.2f}" if value > -100 else "far below 0"
