"""The token pass as pages ask for it: at once, after its cost was agreed to, or only if it is stored."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages, planted_pages


def app() -> None:
    """Read a text with the picked dictionary and print what was found."""
    import os

    import streamlit as st

    from core.corpus.samples import SampleSettings
    from ui.shared import errors
    from ui.studies import compute, opened, token_pass

    st.session_state["sae"] = opened.dictionary_ids()[0]
    with errors.shown():
        settings = SampleSettings(n_rows=3, context=6)
        if os.environ.get("ASKED") == "only":
            with compute.only_stored():
                token_pass.token_pass(settings=settings)
        st.session_state["found"] = token_pass.token_pass(settings=settings)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the app above."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)

    def start(asked: str = "") -> AppTest:
        monkeypatch.setenv("ASKED", asked)
        monkeypatch.setattr("sys.argv", ["app.py", *planted_pages.arguments(tmp_path)])
        pages.forget()
        return pages.run(app)

    with pages.app(monkeypatch):
        yield start


def test_a_short_pass_starts_at_once_and_gives_the_density_of_a_dense_double(run):
    found = run().session_state["found"]
    dictionary, rows = found.dictionary, found.sample.rows
    acts = dictionary.encode(found.model.activations(rows, dictionary.config.hook_name))
    np.testing.assert_array_equal(found.density, np.count_nonzero(acts, axis=(0, 1)) / rows.size)
    assert not found.store.missing()
    assert found.note.startswith("18 tokens: 3 rows of 6 tokens, standard library of Python")


def test_a_long_pass_shows_its_cost_and_waits_for_a_button(run, monkeypatch):
    monkeypatch.setattr("ui.studies.token_pass.AT_ONCE_S", -1.0)
    at = run()
    assert "found" not in at.session_state
    assert [metric.label for metric in at.metric] == ["Tokens", "On disk", "Time", "Active features a token"]
    assert at.metric[0].value == "18"
    (button,) = [button for button in at.button if button.label == "Run the token pass"]
    button.click()
    at.run()
    assert at.session_state["found"].statistics.n_tokens() == 18


def test_a_stored_pass_asks_nothing(run, monkeypatch):
    run()
    monkeypatch.setattr("ui.studies.token_pass.AT_ONCE_S", -1.0)
    assert run().session_state["found"].statistics.n_tokens() == 18


def test_what_is_asked_for_only_if_stored_is_not_computed(run):
    at = run("only")
    assert "found" not in at.session_state
    assert "not computed yet" in at.error[0].value
    run()
    assert "found" in run("only").session_state
