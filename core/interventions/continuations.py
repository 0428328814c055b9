"""How a model goes on after a prompt, with and without an edit, and with controls of the same length.

All continuations grow by a token at a time, as rows of one batch. They share their random numbers (one for each step
and token of the vocabulary, Gumbel-max), so that they differ only where their probabilities do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.errors import BadSettingError, DoesNotFitError
from core.interventions.controls import EDITED, OPPOSITE, RANDOM, Controls, signed_lengths
from core.interventions.edits import Edit
from core.interventions.impact import log_softmax
from core.interventions.runs import EditedRuns, Push
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

PLAIN = "without the edit"


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. Raises BadSettingError for fewer than 1 token, or a temperature below 0."""

    n_tokens: int = 30
    temperature: float = 0.0
    """0: the likeliest token (greedy)."""
    seed: int = 0

    def __post_init__(self):
        if self.n_tokens < 1 or not 0 <= self.temperature < np.inf:
            raise BadSettingError(
                f"A continuation of {self.n_tokens} tokens at temperature {self.temperature} cannot be made: expected "
                "at least 1 token and a temperature of 0 or more. Change them."
            )


@dataclass(frozen=True, eq=False)
class Continuations:
    """Continuations of one prompt, in the order of `kinds`."""

    kinds: list[str]
    tokens: Int[np.ndarray, "run step"]
    log_p: Float[np.ndarray, "run step"]
    """Log-probability of each token in the run that chose it, in nats."""
    log_p_plain: Float[np.ndarray, "run step"]
    """What the model without any change says of the same token after the same text."""
    overflowed: bool
    """Whether the edit was too large for the model; then the continuations are those made before."""

    def table(self, token_strings: Sequence[str]) -> pd.DataFrame:
        """Return one row per new token, run after run.

        Columns: change_kind, step, token (its id), token_text, run_log_p, plain_log_p.
        """
        n_steps = self.tokens.shape[1]
        return pd.DataFrame(
            {
                "change_kind": np.repeat(self.kinds, n_steps),
                "step": np.tile(np.arange(n_steps), len(self.kinds)),
                "token": self.tokens.ravel(),
                "token_text": [token_strings[i] for i in self.tokens.ravel().tolist()],
                "run_log_p": self.log_p.ravel(),
                "plain_log_p": self.log_p_plain.ravel(),
            }
        )

    def first_difference(self, run: int) -> int | None:
        """Return the step at which a continuation leaves that without the edit; None if it never does."""
        differs = np.flatnonzero(self.tokens[run] != self.tokens[0])
        return int(differs[0]) if len(differs) else None


def continuations(
    dictionary: Dictionary,
    model: LanguageModel,
    prompt: Int[np.ndarray, " pos"],
    edit: Edit,
    controls: Controls,
    sampling: Sampling,
    *,
    first: int = 0,
    progress: Progress = SILENT,
) -> Continuations:
    """Continue a prompt without a change, with the edit, with random directions in its place, and its opposite.

    Positions before `first` (BOS) are never changed; an edit at all positions holds for new tokens as well. The
    model's lock is held for one pass of one step, never longer. `progress` counts steps. Raises DoesNotFitError for
    text beyond the model's context.
    """
    if len(prompt) + sampling.n_tokens - 1 > model.n_ctx:
        raise DoesNotFitError(
            f"A prompt of {len(prompt):,} tokens and {sampling.n_tokens:,} new ones do not fit {model.name}: its "
            f"context is {model.n_ctx:,}. Shorten the prompt, or ask for fewer tokens."
        )
    kinds = [PLAIN, EDITED, *[RANDOM] * len(controls.random), OPPOSITE]
    rows = np.repeat(np.asarray(prompt, np.int64)[None], len(kinds), axis=0)
    log_p, log_p_plain, overflowed = [], [], False
    for step in range(sampling.n_tokens):
        progress.update(step, sampling.n_tokens)
        plain, changed, overflowed = _last(dictionary, model, rows, edit, controls, first)
        if overflowed:
            break
        noise = np.random.default_rng([sampling.seed, step]).gumbel(size=plain.shape[1])
        scores = changed + sampling.temperature * noise
        chosen = scores.argmax(axis=1)
        each = np.arange(len(kinds))
        log_p.append(changed[each, chosen])
        log_p_plain.append(plain[each, chosen])
        rows = np.concatenate([rows, chosen[:, None]], axis=1)
    progress.update(sampling.n_tokens, sampling.n_tokens)
    new = rows[:, len(prompt) :]
    return Continuations(kinds, new, _by_run(log_p, new), _by_run(log_p_plain, new), overflowed)


def _last(
    dictionary: Dictionary, model: LanguageModel, rows: np.ndarray, edit: Edit, controls: Controls, first: int
) -> tuple[Float[np.ndarray, "run d_vocab"], Float[np.ndarray, "run d_vocab"], bool]:
    """Return log-probabilities after the last token: of the model as it is, and of each row with its own change."""
    may_change = np.ones(rows.shape, bool)
    may_change[:, :first] = False
    runs = EditedRuns(dictionary, model, rows, may_change=may_change)
    delta = runs.written(edit)
    delta[0] = 0
    for i, direction in enumerate(controls.random):
        sizes = signed_lengths(delta[2 + i : 3 + i])[0]
        delta[2 + i] = sizes[:, None] * direction
    delta[-1] = -delta[-1]
    at = [(row, rows.shape[1] - 1) for row in range(len(rows))]
    push = Push(delta, np.ones(rows.shape))
    found = runs.effects([push], at=at, next_tokens=False)
    plain, changed = (runs.logits(last[0]) for last in (found.plain_last, found.last))
    if found.overflows[0]:
        return plain, changed, True
    return np.array([log_softmax(row) for row in plain]), np.array([log_softmax(row) for row in changed]), False


def _by_run(steps: list[np.ndarray], new: np.ndarray) -> Float[np.ndarray, "run step"]:
    return np.array(steps).T if steps else np.zeros(new.shape)
