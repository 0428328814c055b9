"""The tab Dose and response: one edit at many amounts, with the bands of its controls."""

import numpy as np
import streamlit as st

from core.errors import BadSettingError
from core.interventions.controls import RANDOM
from core.interventions.doses import DoseResponse, dose_response
from core.interventions.runs import with_edited_runs
from core.models.tokens import label
from core.work.calls import call
from ui.interventions import charts, edit_picker
from ui.interventions.edit_picker import Picked
from ui.interventions.edited_text import choose_pair, choose_place
from ui.interventions.subject import Subject
from ui.shared.figure import altair, figure
from ui.studies import compute

RESPONSES = {
    "Log-likelihood of the text": "log_likelihood",
    "Divergence": "divergence",
    "Log-probability of A": "next_token",
    "Logit of A minus B": "difference",
}
TITLES = {
    "log_likelihood": "Change of log-likelihood per token, nats",
    "divergence": "Mean divergence, nats",
    "next_token": "Change of log-probability of A, nats",
    "difference": "Change of logit difference, nats",
}
KINDS = ("Add", "Clamp", "Scale")
LEAST = 3
"""The fewest doses that make a curve."""


def dose(subject: Subject) -> None:
    """Draw the tab. Raises LoupeError, and StillRunning meanwhile."""
    subject = subject.first_row()  # hundreds of runs
    picked = edit_picker.pick(subject, amount=False, kinds=KINDS)
    doses = _doses(picked)
    name = RESPONSES[
        st.segmented_control(
            "Response",
            list(RESPONSES),
            default=next(iter(RESPONSES)),
            required=True,
            key="iv_response",
            bind="query-params",
        )
    ]
    place, pair = (0, subject.centres[0]), None
    if name in ("next_token", "difference"):
        place, pair = choose_place(subject), choose_pair(subject)
        if pair is None:
            st.info("Name two tokens, A and B, to see how the dose moves them.")
            return
    of = dose_response, subject.dictionary, subject.model, subject.rows, subject.may_change
    how = {"place": place, "tokens": pair or (), "error": picked.error, "device": picked.device}
    work = call(with_edited_runs, *of, picked.edit, doses, picked.controls, **how)
    key = f"doses {subject.key} {picked.key} {doses.tolist()} {place} {pair}"
    found = compute.transient(key, "Running the text at every dose, with controls", work)
    left = int((~found.overflows).sum())
    if left < LEAST:
        raise BadSettingError(
            f"At {len(doses) - left} of {len(doses)} doses the model gives no finite numbers; {left} make no curve. "
            "Expected amounts whose square float32 can hold; choose a smaller range."
        )
    _draw(subject, picked, found, name, place, pair)


def _doses(picked: Picked) -> np.ndarray:
    """Pick the range of doses; no edit is always among those of Add and Scale."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scale = picked.edit.kind == "scale"
        what = "as factors" if scale else f"in units of the largest activation, {picked.unit:.4g}"
        reach = st.number_input(
            "Largest dose", value=2.0, key="iv_reach", bind="query-params", width=140, help=f"Doses are {what}."
        )
        n = st.number_input("Doses", 3, 101, 21, step=2, key="iv_doses", bind="query-params", width=140)
    if not np.isfinite(reach) or reach <= 0:
        raise BadSettingError(f"Doses up to {reach} cannot be drawn: expected a number above 0. Type a larger one.")
    steps = np.linspace(-reach, reach, int(n))
    return 1 + steps if scale else steps * picked.unit


def _draw(
    subject: Subject,
    picked: Picked,
    found: DoseResponse,
    name: str,
    place: tuple[int, int],
    pair: tuple[int, int] | None,
) -> None:
    table = found.table(name)
    below, above = found.leaves(name)
    lines = [end for end in (below, above) if end is not None]
    said = " and ".join(
        filter(None, (below is not None and f"from {below:.4g} down", above is not None and f"from {above:.4g} up"))
    )
    leaves = f"outside the band of random directions {said}" if said else "stays within the band of random directions"
    too_large = f" · {int(found.overflows.sum())} doses overflow the model and are left out" * bool(
        found.overflows.any()
    )
    rate = found.band(name, RANDOM).rate
    where = ""
    if pair:
        a, b = (label(subject.model.token_strings[i]) for i in pair)
        where = f"A is {a}, B is {b}, after position {place[1]} of row {place[0]} · "
    unit = "factor" if picked.edit.kind == "scale" else "activation"
    figure(
        f"Dose and response: feature {subject.feature}, {picked.edit.kind}",
        altair(charts.dose_curve(table, x_title=f"Dose, {unit}", y_title=TITLES[name], leaves=lines), "iv-dose"),
        table,
        explains=["response", "response_low", "response_feature_low", "response_opposite"],
        note=f"{leaves} · {where}orange: the edit, dashed: its opposite; bands: random directions (grey) and other "
        f"features (blue), each holds one more control with probability {rate:.0%}{too_large} · {subject.note} · "
        f"{picked.note}",
        name="dose-response",
        provenance=subject.provenance(
            "dose and response",
            edit=str(picked.edit),
            error_kept=picked.error,
            controls=picked.note,
            response=name,
            **picked.device.inputs,
        ),
    )
