"""Dose and response: one edit at many amounts, each beside controls of the same length."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.interventions.controls import FEATURE, OPPOSITE, RANDOM, Band, Controls, band
from core.interventions.edits import Edit
from core.interventions.impact import log_softmax
from core.interventions.runs import EditedRuns
from core.work.progress import SILENT, Progress, Stage

RESPONSES = ("log_likelihood", "divergence", "next_token", "difference")
"""Mean change of log-likelihood of next tokens, mean KL, and at the place: change of a token's log-probability, and of
the logit difference of two tokens."""


@dataclass(frozen=True, eq=False)
class DoseResponse:
    """Responses at every dose, of the edit first and then of its controls; NaN where the dose overflows the model."""

    doses: Float[np.ndarray, " dose"]
    kinds: list[str]
    """The kind of each control."""
    log_likelihood: Float[np.ndarray, "dose run"]
    """Mean change of log-likelihood per next token from the first token that an edit reaches on, in nats."""
    divergence: Float[np.ndarray, "dose run"]
    """Mean KL from the model as it is over the same tokens, in nats."""
    tokens: Int[np.ndarray, " token"]
    """Tokens whose log-probabilities at the place are kept."""
    token_change: Float[np.ndarray, "dose run token"]

    def response(self, name: str) -> Float[np.ndarray, "dose run"]:
        """Return one of RESPONSES; the last two are of the first token kept, and of the first two."""
        assert name in RESPONSES, name
        if name == "next_token":
            return self.token_change[..., 0]
        if name == "difference":
            return self.token_change[..., 0] - self.token_change[..., 1]
        return getattr(self, name)

    def band(self, name: str, kind: str) -> Band:
        """Return the band of a kind of controls at every dose."""
        return band(self.response(name)[:, [1 + i for i, each in enumerate(self.kinds) if each == kind]].T)

    @property
    def overflows(self) -> Bool[np.ndarray, " dose"]:
        """Doses at which the model gives no finite numbers."""
        return np.isnan(self.log_likelihood[:, 0])

    def table(self, name: str) -> pd.DataFrame:
        """Return one row per dose that does not overflow.

        Columns: dose, response, response_low, response_high of random directions, response_feature_low and
        response_feature_high of other features, response_opposite, outside_band.
        """
        values = self.response(name)
        columns = {"dose": self.doses, "response": values[:, 0]}
        for kind, suffix in ((RANDOM, ""), (FEATURE, "_feature")):
            if kind in self.kinds:
                found = self.band(name, kind)
                columns |= {f"response{suffix}_low": found.low, f"response{suffix}_high": found.high}
        columns["response_opposite"] = values[:, 1 + self.kinds.index(OPPOSITE)]
        columns["outside_band"] = self.band(name, RANDOM).outside(values[:, 0])
        return pd.DataFrame(columns)[~self.overflows].reset_index(drop=True)

    def leaves(self, name: str, kind: str = RANDOM) -> tuple[float | None, float | None]:
        """Return the dose nearest to no edit from which on the response stays outside the band, below and above it.

        None where it does not stay outside up to the last dose that does not overflow. No edit is the dose with the
        smallest divergence.
        """
        outside = self.band(name, kind).outside(self.response(name)[:, 0])
        fine = np.flatnonzero(~self.overflows)
        if not len(fine):
            return None, None
        zero = int(np.nanargmin(self.divergence[:, 0]))
        below, above = fine[fine < zero], fine[fine > zero][::-1]
        return _from_the_end(self.doses, outside, below), _from_the_end(self.doses, outside, above)


def _from_the_end(doses: np.ndarray, outside: np.ndarray, order: np.ndarray) -> float | None:
    """Return the innermost of the doses that lie outside, going inwards from the outermost without a gap."""
    inside = np.flatnonzero(~outside[order])
    n = int(inside[0]) if len(inside) else len(order)
    return float(doses[order[n - 1]]) if n else None


def dose_response(
    runs: EditedRuns,
    edit: Edit,
    doses: Float[np.ndarray, " dose"],
    controls: Controls,
    *,
    place: tuple[int, int],
    tokens: Sequence[int] = (),
    error: bool = True,
    progress: Progress = SILENT,
) -> DoseResponse:
    """Run an edit at each amount of `doses`, with controls as long as it. `progress` counts runs.

    `tokens` are those whose log-probability at `place` (row, position) is kept. Raises OutOfRangeError.
    """
    per_dose = 1 + len(controls.kinds)
    shape, wanted = (len(doses), per_dose), np.array(tokens, np.int64)
    log_likelihood, divergence = np.full(shape, np.nan), np.full(shape, np.nan)
    token_change = np.full((*shape, len(wanted)), np.nan)
    edits = [replace(edit, amount=float(dose)) for dose in doses]
    written = [runs.written(each) for each in edits]
    reached = np.maximum.accumulate(np.any([(each != 0).any(axis=-1) for each in written], axis=0), axis=1)[:, :-1]
    reached = reached if reached.any() else np.ones_like(reached)
    for i, each in enumerate(edits):
        changes = [each, *controls.changes(written[i])]
        stage = Stage(progress, i * per_dose, len(doses) * per_dose)
        found = runs.effects(changes, error=error, at=[place] if len(wanted) else [], progress=stage)
        log_likelihood[i] = found.log_p_change[..., :-1][:, reached].mean(axis=1)
        divergence[i] = found.kl[..., :-1][:, reached].mean(axis=1)
        for run in np.flatnonzero(~found.overflows) if len(wanted) else ():
            plain, with_it = (log_softmax(runs.logits(last[run])[0]) for last in (found.plain_last, found.last))
            token_change[i, run] = (with_it - plain)[wanted]
    return DoseResponse(np.asarray(doses, float), controls.kinds, log_likelihood, divergence, wanted, token_change)
