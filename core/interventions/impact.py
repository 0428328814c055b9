"""What one edit changes on a text, beside its controls: each next token, and what the model says at one place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.interventions.controls import EDITED, FEATURE, RANDOM, Controls, band
from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns, Effects
from core.work.progress import SILENT, Progress

LEAST_P = 1e-4


@dataclass(frozen=True, eq=False)
class Impact:
    """An edit and its controls. Changes are with minus without; all in nats."""

    acts: Float[np.ndarray, "row pos"]
    """The edited features' activations without the edit, summed."""
    edited: Bool[np.ndarray, "row pos"]
    """Tokens at which the edit writes anything."""
    effects: Effects
    """Of the edit first, then of the controls, and last of no edit: without the error, of the reconstruction alone."""
    kinds: list[str]
    """The kind of each control."""
    place: tuple[int, int]
    """Row and position whose next-token distribution is kept."""
    log_p: Float[np.ndarray, " d_vocab"]
    """Log-probabilities there without a change."""
    log_p_change: Float[np.ndarray, " d_vocab"]
    """What the edit changes of them."""
    top: Int[np.ndarray, " top"]
    """The tokens that the edit changes most, and those asked for; the controls' changes are kept of these alone."""
    control_change: Float[np.ndarray, "control top"]
    same_without_edit: bool
    """Whether, with the error kept, a run without an edit gave the very bits of the plain run."""

    def of_controls(self, kind: str, values: Float[np.ndarray, "run *what"]) -> Float[np.ndarray, "control *what"]:
        """Pick the controls of a kind from values of all runs."""
        return values[[1 + i for i, each in enumerate(self.kinds) if each == kind]]

    def token_table(self, rows: Int[np.ndarray, "row pos"], token_strings: Sequence[str]) -> pd.DataFrame:
        """Return one row per token of `rows` that has a next one, for which columns starting with next_ stand.

        Columns: text_row, position, token (its id), token_text, next_text, edited_activation, is_edited, next_log_p,
        next_log_p_change, token_kl, the bands of both as *_low and *_high of random directions and *_feature_low and
        *_feature_high of other features, next_log_p_opposite, and outside_band.
        """
        change, kl = self.effects.log_p_change[..., :-1], self.effects.kl[..., :-1]
        row, position = (each.ravel() for each in np.indices(change.shape[1:]))
        columns = {
            "text_row": row,
            "position": position,
            "token": rows[:, :-1].ravel(),
            "token_text": [token_strings[i] for i in rows[:, :-1].ravel().tolist()],
            "next_text": [token_strings[i] for i in rows[:, 1:].ravel().tolist()],
            "edited_activation": self.acts[:, :-1].ravel().astype(float),
            "is_edited": self.edited[:, :-1].ravel(),
            "next_log_p": self.effects.log_p[:, :-1].ravel(),
            "next_log_p_change": change[0].ravel(),
            "token_kl": kl[0].ravel(),
        }
        for name, values in (("next_log_p_change", change), ("token_kl", kl)):
            for kind, suffix in ((RANDOM, ""), (FEATURE, "_feature")):
                if kind in self.kinds:
                    found = band(self.of_controls(kind, values))
                    columns |= {f"{name}{suffix}_low": found.low.ravel(), f"{name}{suffix}_high": found.high.ravel()}
        columns["next_log_p_opposite"] = change[-2].ravel()
        columns["outside_band"] = band(self.of_controls(RANDOM, change)).outside(change[0]).ravel()
        return pd.DataFrame(columns)

    @property
    def reached(self) -> Bool[np.ndarray, "row next"]:
        """Tokens with a next one that the edit can reach: from the first edited one of their row on."""
        return np.maximum.accumulate(self.edited, axis=1)[:, :-1]

    def effect_table(self) -> pd.DataFrame:
        """Return the mean change of log-likelihood per next token within reach, 0 without any, by `change_kind`."""
        change = self.effects.log_p_change[: 1 + len(self.kinds), :, :-1][:, self.reached]
        return self._of_runs("effect", change.mean(axis=1) if self.reached.any() else np.zeros(len(change)))

    def difference_table(self, a: int, b: int) -> pd.DataFrame:
        """Return what the edit and each control change of the logit difference of two kept tokens at the place."""
        _, change, controls = self.difference(a, b)
        return self._of_runs("difference_change", np.array([change, *controls]))

    def _of_runs(self, name: str, values: Float[np.ndarray, " run"]) -> pd.DataFrame:
        return pd.DataFrame({"change_kind": [EDITED, *self.kinds], name: values})

    def next_table(self, token_strings: Sequence[str]) -> pd.DataFrame:
        """Return one row per token kept at the place, largest change first, with the band of random directions."""
        columns = {
            "token": self.top,
            "token_text": [token_strings[i] for i in self.top.tolist()],
            "next_p": np.exp(self.log_p[self.top]),
            "next_p_edited": np.exp(self.log_p[self.top] + self.log_p_change[self.top]),
            "next_log_p_change": self.log_p_change[self.top],
        }
        for kind, suffix in ((RANDOM, ""), (FEATURE, "_feature")):
            if kind in self.kinds:
                found = band(self.control_change[[each == kind for each in self.kinds]])
                columns |= {f"next_log_p_change{suffix}_low": found.low, f"next_log_p_change{suffix}_high": found.high}
        columns["next_log_p_opposite"] = self.control_change[-1]
        table = pd.DataFrame(columns)
        return table.sort_values("next_log_p_change", ascending=False, kind="stable", ignore_index=True)

    def difference(self, a: int, b: int) -> tuple[float, float, Float[np.ndarray, " control"]]:
        """Return the logit difference of two kept tokens at the place, what the edit changes of it, and the controls.

        A difference of logits is that of log-probabilities.
        """
        first, second = (int(np.searchsorted(self.top, token)) for token in (a, b))
        assert self.top[first] == a, "the token was not asked for"
        assert self.top[second] == b, "the token was not asked for"
        change = float(self.log_p_change[a] - self.log_p_change[b])
        controls = self.control_change[:, first] - self.control_change[:, second]
        return float(self.log_p[a] - self.log_p[b]), change, controls


def impact(
    runs: EditedRuns,
    edit: Edit,
    controls: Controls,
    *,
    place: tuple[int, int],
    tokens: Sequence[int] = (),
    top: int = 20,
    error: bool = True,
    progress: Progress = SILENT,
) -> Impact:
    """Run an edit, its controls and no edit. `tokens` are kept beside the `top` that the edit raises, and lowers.

    Without the error, controls act on the reconstruction as the edit does. Raises OutOfRangeError.
    """
    written = runs.written(edit)
    changes = [edit, *controls.changes(written), Edit(())]
    found = runs.effects(changes, error=error, at=[place], progress=progress)
    log_p = log_softmax(runs.logits(found.plain_last[0])[0])
    change = log_softmax(runs.logits(found.last[0])[0]) - log_p
    if found.overflows[0]:
        change[:] = np.nan
    kept = np.unique([*most_changed(log_p, change, top), *tokens]).astype(np.int64)
    of_controls = [_change_of(runs, found, i, kept) for i in range(1, len(changes) - 1)]
    return Impact(
        runs.acts[..., list(edit.features)].sum(axis=-1),
        (written != 0).any(axis=-1),
        found,
        controls.kinds,
        place,
        log_p,
        change,
        kept,
        np.array(of_controls).reshape(-1, len(kept)),
        no_edit_is_plain(runs, place),
    )


def no_edit_is_plain(runs: EditedRuns, place: tuple[int, int]) -> bool:
    """Say whether runs without an edit, stacked and alone, give the very bits of the plain run."""
    nothing = Edit(())
    for edits in ([nothing], [nothing, nothing]):
        found = runs.effects(edits, at=[place])
        if not ((found.kl == 0).all() and (found.last == found.plain_last).all()):
            return False
    return True


def _change_of(runs: EditedRuns, found: Effects, run: int, tokens: np.ndarray) -> Float[np.ndarray, " token"]:
    if found.overflows[run]:
        return np.full(len(tokens), np.nan)
    plain, with_it = (log_softmax(runs.logits(last[run])[0])[tokens] for last in (found.plain_last, found.last))
    return with_it - plain


def log_softmax(logits: Float[np.ndarray, " d_vocab"]) -> Float[np.ndarray, " d_vocab"]:
    """Return log-probabilities, in float64."""
    shifted = logits.astype(np.float64) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def most_changed(
    log_p: Float[np.ndarray, " d_vocab"], change: Float[np.ndarray, " d_vocab"], n: int
) -> Int[np.ndarray, " top"]:
    """Return the n tokens that gain most and the n that lose most; ties: lower id first.

    Only those that are at least LEAST_P likely before or after: others move by many nats and are never said.
    """
    likely = np.flatnonzero(np.exp(log_p + np.fmax(change, 0)) >= LEAST_P)
    order = likely[np.argsort(change[likely], kind="stable")]
    upwards = likely[np.argsort(-change[likely], kind="stable")]
    return np.concatenate([order[:n], upwards[:n]])
