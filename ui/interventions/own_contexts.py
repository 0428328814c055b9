"""One line for the page of a feature: what its ablation does on its own contexts, and where to steer it."""

import streamlit as st

from core.errors import LoupeError
from core.interventions.controls import ControlSettings
from core.interventions.own_contexts import OwnContexts, ablated_on_own_contexts
from core.models.running import weights_nbytes
from core.neuronpedia.labels import neuronpedia_source
from core.work.calls import call
from ui.interventions.subject import Subject, check, strongest_rows
from ui.shared import errors, links, progress
from ui.shared.escape import plain
from ui.studies import compute
from ui.studies.feature import Subject as FeatureSubject

CONTEXTS, CONTROLS = 3, ControlSettings()
PATIENCE = 3
"""How many times as long as other work the line may take, as it holds nothing back. After that a bar is drawn."""
LABEL = "Ablating the feature on its contexts"


def line(subject: FeatureSubject) -> None:
    """Draw the line for a feature that is active on the text; nothing for a dictionary that cannot be edited."""
    try:
        check(subject.dictionary, subject.model)
    except LoupeError:
        return
    rows = strongest_rows(subject.dictionary, subject.model, subject.passed, subject.feature, CONTEXTS)
    key = OwnContexts.key(
        rows.dictionary.sha256, rows.model.sha256, rows.sha256, feature=rows.feature, controls=CONTROLS
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        asked = f"_ablate {key}"
        if compute.at_hand(key) or _cheap(rows) or st.session_state.get(asked):
            progress.named(key)  # by the page itself, which may come to its end before the fragment begins
            _effect(rows, key)
        else:
            st.button(
                "Ablate it on its own contexts",
                key="fe_ablate",
                type="tertiary",
                on_click=lambda: st.session_state.update({asked: True}),
            )
        query = {"feature": str(subject.feature), "iv_kind": "Add"}
        links.to(st, "interventions", query, label="Steer it here", icon=":material/experiment:")
        source = neuronpedia_source(subject.dictionary)
        if source is not None:
            st.link_button("Steer it on Neuronpedia", source.steer_url(subject.feature), type="tertiary")


@st.fragment(parallel=True)
def _effect(rows: Subject, key: str) -> None:
    """Draw what the ablation does, beside the rest of the page, which does not wait for it."""
    of = rows.dictionary, rows.model, rows.rows, rows.may_change
    work = call(ablated_on_own_contexts, *of, feature=rows.feature, controls=CONTROLS)
    with errors.shown():
        with progress.as_control(patience_s=PATIENCE * progress.PATIENCE_S):
            found = compute.result(OwnContexts, key, LABEL, work)
        st.caption(plain(_said(rows, found)))


def _said(rows: Subject, found: OwnContexts) -> str:
    return (
        f"Ablated on its {len(rows.rows)} strongest contexts, it changes log-likelihood by {found.effect:+.3g} nats "
        f"per token from its first active one on, {'outside' if found.outside else 'inside'} the band of {found.n} "
        f"random directions as long, {found.low:.3g} to {found.high:.3g} (seed {CONTROLS.seed})."
    )


def _cheap(rows: Subject) -> bool:
    """Whether all runs together are work that a page may do unasked."""
    weights = weights_nbytes(rows.model.config) // 4
    return weights * rows.rows.size * (2 + CONTROLS.n) <= compute.CHEAP
