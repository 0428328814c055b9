"""Is a dictionary healthy? Its numbers on text, its source's numbers, and a verdict by stated rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.activations.own_loss import can_read
from core.activations.own_loss import guess as ln_vocabulary
from core.activations.statistics import ActivationStatistics
from core.overview.probe import RecipeProbe
from core.overview.suspicions import GAIN, Suspicion, number, suspicions

HEALTHY, SUSPICIOUS, BROKEN, UNJUDGED = "healthy", "suspicious", "broken", "not judged"
LEAST_FVE = LEAST_CE = 0.5
"""Below this share of variance explained or loss recovered, a dictionary is suspicious. At 0 or below it is broken."""
FVE_BELOW = 0.2
"""A dictionary is suspicious if its variance explained is lower than published by more than this. Smaller differences
come from different texts."""
L0_FACTOR = 3.0
"""A dictionary is suspicious if its L0 differs from the published one by more than this factor."""
MOST_DEAD, DEAD_TOKENS = 0.5, 100_000
"""A larger share of dead features is suspicious, if at least this many tokens were read: on fewer tokens, rare features
seem dead."""
RULES = (
    f"Broken: no feature is active, or variance explained (without position 0) or loss recovered is not above 0. "
    f"Suspicious: either is below {LEAST_FVE:g}; variance explained is over {FVE_BELOW:g} below what is published, or "
    f"L0 {L0_FACTOR:g} times off; more than {MOST_DEAD:.0%} of the features are dead on at least {DEAD_TOKENS:,} "
    f"tokens; a few tokens outweigh all others; or another way to feed the dictionary explains at least {GAIN:g} more "
    "of the variance and leaves at most half as much unexplained. Not judged: the model's own loss on the text is not "
    "known, or the model predicts the text no better than a guess among all tokens, so that nothing on this text means "
    "anything; or loss recovered has no value. Healthy: none of these."
)
_UNKNOWN = (
    "The model's own loss on this text is not known yet. Nothing is judged before it shows that the model can read it."
)


@dataclass(frozen=True)
class HealthLine:
    """One number, its published value (NaN if none is published), and what it means for the verdict."""

    name: str
    value: float
    without_first: float
    """The same without position 0."""
    published: float
    verdict: str = HEALTHY
    reason: str = ""


@dataclass(frozen=True)
class Health:
    """All lines and suspicions; the verdict is the worst of them."""

    lines: tuple[HealthLine, ...]
    suspicions: tuple[Suspicion, ...]
    n_tokens: int
    ce: float = np.nan
    """The model's own loss on the text, in nats; NaN where it is not known."""
    guess: float = np.nan
    """The loss of a guess among all tokens of the vocabulary, in nats."""

    @property
    def verdict(self) -> str:
        verdicts = {line.verdict for line in self.lines} | ({SUSPICIOUS} if self.suspicions else set())
        return next((verdict for verdict in (BROKEN, SUSPICIOUS, UNJUDGED) if verdict in verdicts), HEALTHY)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The suspicions, one sentence each."""
        return tuple(line.reason for line in self.lines if line.reason)


def judge(
    statistics: ActivationStatistics,
    probe: RecipeProbe,
    published: Mapping[str, float],
    loss: Mapping[str, float] | None = None,
    *,
    d_vocab: int,
) -> Health:
    """Compare the measured numbers with the published ones, and name the suspicions.

    `published` holds l0, fve, dead_share, ce_recovered as far as the source says them; `loss` the totals
    of core.activations.spliced_loss, None where they are not known. Nothing is judged before they are, nor where
    the model's own loss is no better than a guess among `d_vocab` tokens, ln(d_vocab).
    """
    whole, rest = (statistics.totals(with_first=first) for first in (True, False))
    rest = {name: whole[name] if np.isnan(value) else value for name, value in rest.items()}
    lines = [_line(name, whole[name], rest[name], published) for name in ("l0", "fve")]
    lines.append(_dead(statistics, whole["dead_share"], rest["dead_share"], published))
    found, n, guess = suspicions(statistics, probe, published), statistics.n_tokens(), ln_vocabulary(d_vocab)
    if loss is None:
        return Health(_unjudged(lines, _UNKNOWN), (), n, guess=guess)
    lines.append(_line("ce_recovered", loss["ce_score"], np.nan, published))
    if not can_read(loss["ce"], d_vocab):
        return Health(_unjudged(lines, _unread(loss["ce"], guess, d_vocab)), (), n, loss["ce"], guess)
    return Health(tuple(lines), found, n, loss["ce"], guess)


def _unjudged(lines: Sequence[HealthLine], reason: str) -> tuple[HealthLine, ...]:
    """Take back all verdicts; the last line says why."""
    *others, last = (replace(line, verdict=UNJUDGED, reason="") for line in lines)
    return *others, replace(last, reason=reason)


def _unread(ce: float, guess: float, d_vocab: int) -> str:
    said = f"is {ce:.2f} nats a token" if np.isfinite(ce) else "is no number"
    return (
        f"The model cannot read this text: its own loss {said}, that of a guess among {d_vocab:,} tokens {guess:.2f}. "
        "Check that tokenizer and weights are of one model, or read text like that it was trained on."
    )


def _line(name: str, value: float, without_first: float, published: Mapping[str, float]) -> HealthLine:
    said = float(published.get(name, np.nan))
    verdict, reason = {"l0": _l0, "fve": _fve, "ce_recovered": _ce}[name](value, without_first, said)
    return HealthLine(name, value, without_first, said, verdict, reason)


def _l0(value: float, without_first: float, said: float) -> tuple[str, str]:
    if not value > 0:
        return BROKEN, "No feature is active on any token."
    if said > 0 and not 1 / L0_FACTOR <= without_first / said <= L0_FACTOR:
        return SUSPICIOUS, f"{without_first:,.1f} features are active on a token, published are {said:,.1f}."
    return HEALTHY, ""


def _fve(value: float, without_first: float, said: float) -> tuple[str, str]:
    if np.isnan(without_first):  # all inputs are alike
        return HEALTHY, ""
    if without_first <= 0:
        return BROKEN, f"The reconstruction is no better than the mean of the inputs ({number(without_first)})."
    if without_first < LEAST_FVE:
        return SUSPICIOUS, f"Only {without_first:.0%} of the variance is explained."
    if max(value, without_first) < said - FVE_BELOW:
        return SUSPICIOUS, f"{max(value, without_first):.2f} of the variance is explained, published are {said:.2f}."
    return HEALTHY, ""


def _ce(value: float, _: float, said: float) -> tuple[str, str]:
    if np.isnan(value):
        return UNJUDGED, "Loss recovered has no value: with zeros in place the model predicts no worse."
    if value <= 0:
        return BROKEN, f"The model predicts no better with the reconstruction than with zeros ({value:.2f})."
    if value < LEAST_CE:
        return SUSPICIOUS, f"Only {value:.0%} of the model's loss is recovered with the reconstruction in place."
    return HEALTHY, ""


def _dead(
    statistics: ActivationStatistics, value: float, without_first: float, published: Mapping[str, float]
) -> HealthLine:
    said, n = float(published.get("dead_share", np.nan)), statistics.n_tokens()
    bad = value > MOST_DEAD and n >= DEAD_TOKENS
    reason = f"{value:.0%} of the features are active on none of {n:,} tokens." if bad else ""
    return HealthLine("dead_share", value, without_first, said, SUSPICIOUS if bad else HEALTHY, reason)
