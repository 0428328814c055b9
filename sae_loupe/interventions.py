"""What a feature causes: the model with and without an edit of its activations, beside controls of the same length."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core import tables
from core.activations.store import counted
from core.corpus.samples import bos_token
from core.corpus.streams import rows_sha256
from core.errors import BadSettingError, CorpusError, DoesNotFitError, OutOfRangeError, UnknownNameError
from core.feature.examples import strongest_of_rows
from core.interventions.controls import EDITED, Controls, ControlSettings, draw_controls
from core.interventions.doses import RESPONSES, DoseResponse, dose_response
from core.interventions.edits import KINDS, Edit
from core.interventions.impact import Impact, impact
from core.interventions.runs import EditedRuns
from core.models.typed_tokens import typed_token
from core.text.texts import tokenise
from sae_loupe.opened import Opened
from sae_loupe.results import Result
from sae_loupe.token_pass import TokenPass
from sae_loupe.words import number


@dataclass(frozen=True, eq=False)
class _Setting:
    """The rows of text that an edit runs on, and what it is compared with."""

    sae: Opened
    edit: Edit
    runs: EditedRuns
    controls: Controls
    place: tuple[int, int]
    error: bool
    said: str

    @property
    def note(self) -> str:
        n, others = len(self.controls.random), len(self.controls.features)
        kept = "the dictionary's error stays" if self.error else "the reconstruction stands in, without the error"
        return f"{self.said} · {self.edit.kind}, {n} random directions and {others} other features as controls · {kept}"

    @property
    def provenance(self) -> dict:
        settings = {"edit": str(self.edit), "error_kept": self.error, "controls": self.note}
        settings |= {"rows_sha256": rows_sha256(self.runs.rows), "text": self.said}
        given = {"dictionary": self.sae.dictionary, "model": self.sae.model}
        return tables.provenance(**given, method="edited run", settings=settings)


@dataclass(frozen=True, eq=False, repr=False)
class EditEffect(Result):
    """What one edit changes on a text, beside its controls; all changes are with minus without, in nats.

    `acts` and `edited` are [row, pos]; `log_p` and `log_p_change` [d_vocab] are of the next token after `place`.
    """

    setting: _Setting
    stats: Impact

    @property
    def title(self) -> str:
        return f"feature {', '.join(map(str, self.setting.edit.features))} of {self.setting.sae.dictionary.title}"

    @property
    def note(self) -> str:
        return self.setting.note

    @property
    def provenance(self) -> dict:
        return self.setting.provenance

    def to_frame(self) -> pd.DataFrame:
        """One row for each token that has a next one: the change of the next token's log-probability, and its bands."""
        return self.stats.token_table(self.setting.runs.rows, self.setting.sae.model.token_strings)

    def next_tokens(self) -> pd.DataFrame:
        """Return what the edit changes of the next token after `place`: the likelier ones first."""
        return self.stats.next_table(self.setting.sae.model.token_strings)

    @property
    def totals(self) -> pd.DataFrame:
        """Mean change of log-likelihood for each next token that the edit can reach: of it, and of each control.

        Columns: change_kind, change.
        """
        return self.stats.effect_table().rename(columns={"effect": "change"})

    def chart(self):
        """Draw the mean change of log-likelihood of next tokens: the edit, and each of its controls."""
        from ui.interventions.charts import strip
        from ui.shared.finish import finished

        title = "Mean change of log-likelihood, nats"
        return finished(strip(self.totals, "change", title=title, edit=EDITED), dark=False)


@dataclass(frozen=True, eq=False, repr=False)
class Doses(Result):
    """One edit at many amounts: `doses` [dose], `log_likelihood` and `divergence` [dose, run], the edit's run first."""

    setting: _Setting
    stats: DoseResponse

    title = EditEffect.title
    note = EditEffect.note
    provenance = EditEffect.provenance

    def to_frame(self, response: str = "log_likelihood") -> pd.DataFrame:
        """One row for each dose: the response, the bands of its controls, and whether it lies outside."""
        if response not in RESPONSES[:2]:
            raise UnknownNameError("response", response, RESPONSES[:2])
        return self.stats.table(response)

    def chart(self, response: str = "log_likelihood"):
        """Draw the response by dose, with the bands of its controls."""
        from ui.interventions.charts import dose_curve
        from ui.shared.finish import finished

        titles = {"x_title": "Amount", "y_title": response.replace("_", " ").capitalize()}
        leaves = [dose for dose in self.stats.leaves(response) if dose is not None]
        return finished(dose_curve(self.to_frame(response), **titles, leaves=leaves), dark=False)


def of(
    sae: Opened,
    passed: TokenPass | None,
    features: int | Sequence[int],
    kind: str,
    amount: float,
    *,
    prompt: str | None,
    n_rows: int,
    place: tuple[int, int] | None,
    tokens: Sequence[int | str],
    error: bool,
    controls: int,
    seed: int,
    **where: Any,
) -> EditEffect:
    """Run one edit and its controls, as the tab Edited text of the page Interventions does."""
    found = _setting(sae, passed, features, kind, amount, prompt, n_rows, place, error, controls, seed, **where)
    wanted = [typed_token(sae.model, token) if isinstance(token, str) else int(token) for token in tokens]
    how = {"place": found.place, "tokens": wanted, "error": error}
    return EditEffect(found, impact(found.runs, found.edit, found.controls, **how))


def doses(
    sae: Opened,
    passed: TokenPass | None,
    features: int | Sequence[int],
    kind: str,
    amounts: Sequence[float],
    *,
    prompt: str | None,
    n_rows: int,
    error: bool,
    controls: int,
    seed: int,
) -> Doses:
    """Run one edit at many amounts, as the tab Dose and response does."""
    if kind not in ("clamp", "scale", "add"):
        raise UnknownNameError("edit with an amount", kind, ("clamp", "scale", "add"))
    found = _setting(sae, passed, features, kind, 0.0, prompt, n_rows, None, error, controls, seed)
    how = {"place": found.place, "error": error}
    return Doses(found, dose_response(found.runs, found.edit, np.asarray(amounts, float), found.controls, **how))


def _setting(
    sae: Opened,
    passed: TokenPass | None,
    features: int | Sequence[int],
    kind: str,
    amount: float,
    prompt: str | None,
    n_rows: int,
    place: tuple[int, int] | None,
    error: bool,
    controls: int,
    seed: int,
    *,
    positions: Sequence[int] | None = None,
    only_where: int | None = None,
) -> _Setting:
    if kind not in KINDS:
        raise UnknownNameError("edit", kind, KINDS)
    which = tuple(number("Feature", feature, sae.dictionary.d_sae) for feature in _several(features))
    if not which:
        raise BadSettingError("No feature is given. Expected one or more to edit; give their numbers.")
    means = _means(passed, which) if kind == "mean" else ()
    edit = Edit(which, kind, float(amount), means, tuple(positions) if positions is not None else None, only_where)
    edit.check(sae.dictionary.d_sae)
    rows, may_change, own_place, said = (
        _prompt(sae, prompt) if prompt is not None else _strongest(passed, which[0], n_rows)
    )
    place = own_place if place is None else place
    for name, value, size in zip(("Row", "Position"), place, rows.shape, strict=True):
        if not 0 <= value < size:
            raise OutOfRangeError(name, value, size)
    like = passed.to_frame() if passed is not None else None
    drawn = draw_controls(sae.dictionary.W_dec, which, ControlSettings(controls, seed), like=like)
    runs = EditedRuns(sae.dictionary, sae.model, rows, may_change=may_change)
    return _Setting(sae, edit, runs, drawn, place, error, said)


def _several(features: object) -> Sequence:
    return list(features) if isinstance(features, Sequence | np.ndarray) and np.ndim(features) else [features]


def _means(passed: TokenPass | None, features: tuple[int, ...]) -> tuple[float, ...]:
    if passed is None:
        raise BadSettingError(
            "The mean of an activation needs a text that it is the mean over. Expected a token pass; leave out "
            "prompt=, or choose another edit."
        )
    return tuple((passed.stats.total.sum(axis=0) / passed.n_tokens)[list(features)].tolist())


def _strongest(passed: TokenPass, feature: int, n: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int], str]:
    best = strongest_of_rows(passed.activations(feature))
    if not len(best.act):
        raise CorpusError(
            f"Feature {feature} is active on none of the {passed.n_tokens:,} tokens of the token pass, so there is no "
            "text for the edit. Expected a feature that fires; choose another, or give a text as prompt=."
        )
    rows = passed.rows[best.row[:n]].astype(np.int64)
    said = f"the strongest contexts of feature {feature} in {passed.sample.note}"
    return rows, counted(rows, passed.sample.left_out), (0, int(best.position[0])), said


def _prompt(sae: Opened, prompt: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int], str]:
    text, model = tokenise(sae.model, (prompt,)), sae.model
    bos = [bos_token(model)] if sae.dictionary.config.prepend_bos else []
    ids = np.concatenate([bos, text.ids]).astype(np.int64)
    if not 2 <= len(ids) <= model.n_ctx:
        raise DoesNotFitError(
            f"The prompt has {len(ids):,} tokens{' with BOS' if bos else ''}. Expected 2 to {model.n_ctx:,}, the "
            f"context of {model.name}: an edit is seen by what the model says of the next token. Make it longer or "
            "shorter."
        )
    may_change = np.ones((1, len(ids)), bool)
    may_change[0, : len(bos)] = False
    return ids[None], may_change, (0, len(ids) - 1), f"your prompt{', after BOS' if bos else ''}"
