"""The tab Continuations: how the model goes on after the text, with and without the edit, and with controls."""

import numpy as np
import streamlit as st

from core.interventions.continuations import PLAIN, Continuations, Sampling, continuations
from core.interventions.controls import ControlSettings, draw_controls
from core.interventions.edits import Edit
from core.models.pieces import token_pieces
from core.work.calls import call
from ui.interventions import edit_picker
from ui.interventions.subject import Subject
from ui.shared import progress as shared_progress
from ui.shared.figure import figure
from ui.shared.token_text import Passage, draw_passages
from ui.studies import compute

DIRECTIONS = 3


def continuing(subject: Subject) -> None:
    """Draw the tab. Raises LoupeError, and StillRunning meanwhile."""
    picked = edit_picker.pick(subject)
    sampling = _sampling()
    row, stop = 0, subject.centres[0] + 1
    prompt = subject.rows[row, :stop]
    first = int(np.argmax(subject.may_change[row])) if subject.may_change[row].any() else 0
    settings = ControlSettings(DIRECTIONS, picked.settings.seed)
    controls = draw_controls(subject.dictionary.W_dec, picked.edit.features, settings)
    of = subject.dictionary, subject.model, prompt, picked.edit, controls, sampling
    work = compute.placed(call(continuations, *of, first=first))
    key = f"continue {subject.key} {stop} {picked.edit} {settings} {sampling}"
    label = "Continuing the text"
    # On a queue of its own: nobody else's work waits for it, and the model is free after each step.
    if key not in compute.loaded():
        compute.check_may_compute(label)
        made = shared_progress.run(compute.continuing_jobs(), key, label, work, unit="tokens")
        compute.loaded().get(key, lambda: made, name=label)
    found: Continuations = compute.loaded().get(key, lambda: None, name=label)
    if found.overflowed:
        st.warning("The edit is so large that the model gives no finite numbers; the text ends there.")
    if found.tokens.shape[1]:
        _draw(subject, picked.edit, found, sampling, prompt, settings)


def _sampling() -> Sampling:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        n = st.number_input("New tokens", 1, 500, 30, key="iv_new", bind="query-params", width=140)
        temperature = st.number_input(
            "Temperature",
            0.0,
            10.0,
            0.0,
            step=0.1,
            key="iv_temperature",
            bind="query-params",
            width=140,
            help="0: the likeliest token each time. 1: as the model says.",
        )
        seed = st.number_input("Seed of the text", 0, 10**6, 0, key="iv_text_seed", bind="query-params", width=140)
    return Sampling(int(n), float(temperature), int(seed))


def _draw(
    subject: Subject,
    edit: Edit,
    found: Continuations,
    sampling: Sampling,
    prompt: np.ndarray,
    settings: ControlSettings,
) -> None:
    decoder = subject.model.decoder
    passages = []
    for run, kind in enumerate(found.kinds):
        tokens = found.tokens[run].tolist()
        pieces = token_pieces(decoder, [*prompt.tolist(), *tokens])[len(prompt) :]
        gain = found.log_p[run] - found.log_p_plain[run]
        titles = [
            f"{piece!r}  log-probability {log_p:.3g}, without the edit {plain:.3g}"
            for piece, log_p, plain in zip(pieces, found.log_p[run], found.log_p_plain[run], strict=True)
        ]
        leaves = found.first_difference(run)
        passages.append(Passage(pieces, gain.tolist(), titles, head=_headed(kind, leaves, run), marked=leaves))
    how = "the likeliest token each time" if not sampling.temperature else f"temperature {sampling.temperature:g}"
    before = "".join(token_pieces(decoder, prompt.tolist())[-12:])
    figure(
        f"After …{before[-60:]!r}",
        lambda: draw_passages(passages),
        found.table(subject.model.token_strings),
        explains=["run_log_p", "plain_log_p"],
        note=f"{how}, seed {sampling.seed}, the same random numbers for all · shaded where the change made the chosen "
        f"token likelier (blue: less likely) than the model as it is; framed: the first token that differs from that "
        f"{PLAIN} · controls as long as the edit at each token: {settings.n} random directions, seed {settings.seed}, "
        f"and the opposite sign · continued after the strongest token of the first row, {len(prompt):,} tokens",
        name="continuations",
        provenance=subject.provenance(
            "continuations", edit=str(edit), temperature=sampling.temperature, seed=sampling.seed
        ),
    )


def _headed(kind: str, leaves: int | None, run: int) -> str:
    if not run:
        return kind
    said = "the same text" if leaves is None else f"differs from token {leaves}"
    return f"{kind} ({said})"
