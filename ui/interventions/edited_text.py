"""The tab Edited text: what an edit changes, token by token."""

import streamlit as st

from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns
from ui.interventions.subject import Subject
from ui.studies import compute


def edited_text(subject: Subject) -> None:
    """Draw the self-test."""

    def work(progress) -> bool:
        runs = EditedRuns(subject.dictionary, subject.model, subject.rows, may_change=subject.may_change)
        found = runs.effects([Edit(())] * 2, progress=progress)
        return bool((found.kl == 0).all())

    same = compute.transient(f"no edit {subject.key}", "Running the text without an edit", work)
    st.caption(f"No edit gives identical logits: {'yes' if same else 'no'}.")
