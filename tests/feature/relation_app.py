"""A page with the views of what a feature is related to, or its notes, for their tests; in the URL: view, own."""

import sys
from dataclasses import replace
from pathlib import Path

import streamlit as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.doubles.planted import planted_dictionary
from ui.feature import notes, related
from ui.shared import errors
from ui.studies import opened
from ui.studies.feature import PassOnDemand, Subject
from ui.studies.token_pass import pass_over, token_pass


def main() -> None:
    feature = st.number_input("Feature", 0, 11, key="feature", bind="query-params")
    url = st.query_params
    with errors.shown():
        dictionary = opened.dictionary(url["sae"])
        st.session_state.setdefault("sae", dictionary.id)
        if url["view"] == "notes":
            notes.notes(dictionary, feature)
            return
        passed = token_pass(dictionary.id)
        subject = Subject(dictionary, feature, passed.model, PassOnDemand(lambda: passed), dictionary)
        if "own" in url:
            other = planted_dictionary(seed=5, title="my direction")
            other_passed = pass_over(other, passed.model, passed.sample)
            subject = replace(
                subject, dictionary=other, feature=4, on_text=PassOnDemand(lambda: other_passed), own=True
            )
        getattr(related, url["view"])(subject)


if __name__ == "__main__":
    main()
