"""One line for the page of a feature: what its ablation does on its own contexts, and where to steer it."""

import numpy as np
import streamlit as st

from core.errors import LoupeError
from core.interventions.controls import Band, ControlSettings, band, draw_controls
from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns
from core.models.running import weights_nbytes
from core.neuronpedia.labels import neuronpedia_source
from core.work.jobs import Progress
from ui.interventions.subject import Subject, check, strongest_rows
from ui.shared import links
from ui.shared.escape import plain
from ui.shared.later import Later
from ui.studies import compute
from ui.studies.feature import Subject as FeatureSubject

CONTEXTS, CONTROLS = 3, ControlSettings()


def line(subject: FeatureSubject) -> None:
    """Draw the line for a feature that is active on the text; nothing for a dictionary that cannot be edited."""
    try:
        check(subject.dictionary, subject.model)
    except LoupeError:
        return
    rows = strongest_rows(subject.dictionary, subject.model, subject.passed, subject.feature, CONTEXTS)
    place, effect = st.container(horizontal=True, vertical_alignment="center"), None
    with place:
        key, asked = f"own contexts {rows.key} {subject.feature}", f"_ablate {rows.key} {subject.feature}"
        if key not in compute.loaded() and not _cheap(rows) and not st.session_state.get(asked):
            st.button(
                "Ablate it on its own contexts",
                key="fe_ablate",
                type="tertiary",
                on_click=lambda: st.session_state.update({asked: True}),
            )
        else:
            label = "Ablating the feature on its contexts"
            effect = Later(lambda: compute.transient(key, label, lambda told: _effect(rows, told)))
            if effect.value:
                st.caption(plain(_said(rows, *effect.value)))
        query = {"feature": str(subject.feature), "iv_kind": "Add"}
        links.to(place, "interventions", query, label="Steer it here", icon=":material/experiment:")
        source = neuronpedia_source(subject.dictionary)
        if source is not None:
            st.link_button("Steer it on Neuronpedia", source.steer_url(subject.feature), type="tertiary")
    if effect:
        effect.draw()


def _said(rows: Subject, effect: float, lies: Band) -> str:
    where = "outside" if lies.outside(np.array(effect)) else "inside"
    return (
        f"Ablated on its {len(rows.rows)} strongest contexts, it changes log-likelihood by {effect:+.3g} nats per "
        f"token from its first active one on, {where} the band of {lies.n} random directions as long, "
        f"{float(lies.low):.3g} to {float(lies.high):.3g} (seed {CONTROLS.seed})."
    )


def _cheap(rows: Subject) -> bool:
    """Whether all runs together are work that a page may do unasked."""
    weights = weights_nbytes(rows.model.config) // 4
    return weights * rows.rows.size * (2 + CONTROLS.n) <= compute.CHEAP


def _effect(rows: Subject, progress: Progress) -> tuple[float, Band]:
    """Return the mean change of log-likelihood of next tokens, and the band of random directions."""
    runs = EditedRuns(rows.dictionary, rows.model, rows.rows, may_change=rows.may_change)
    written = runs.written(Edit((rows.feature,)))
    controls = draw_controls(rows.dictionary.W_dec, (rows.feature,), CONTROLS)
    changes = [Edit((rows.feature,)), *controls.changes(written)[: CONTROLS.n]]
    change = runs.effects(changes, progress=progress).log_p_change[..., :-1]
    reached = np.maximum.accumulate((written != 0).any(axis=-1), axis=1)[:, :-1]
    means = change[:, reached].mean(axis=1) if reached.any() else np.zeros(len(change))
    return float(means[0]), band(means[1:])
