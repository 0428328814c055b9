"""The automata page on a planted workspace, run by AppTest through the router."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.automata.walks import OPEN
from core.corpus.samples import SampleSettings
from core.models.language_model import LanguageModel
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table_by_key, text_of
from tests.doubles.planted import planted_dictionary, planted_model
from ui.studies import corpus, opened

TABS = ["Around one feature", "What follows each", "Loops and paths"]
SILENT = 5
"""Never fires."""


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page of a planted workspace with a query."""
    planted_pages.read_little_text(monkeypatch)
    # Running the model would import torch; tests of the token pass do that.
    monkeypatch.setattr(LanguageModel, "activations", activations)
    planted_model(tmp_path, d_model=planted_pages.D, n_ctx=planted_pages.N_CTX)
    b_enc = np.full(12, -2.0)  # features fire on few tokens
    b_enc[SILENT] = -1e6
    planted_dictionary(context_size=planted_pages.N_CTX, tensors={"b_enc": b_enc}).save(tmp_path / "dictionary")
    with pages.page(tmp_path, monkeypatch, "automata") as run:
        yield run


def activations(model: LanguageModel, tokens: np.ndarray, hook_name: str) -> np.ndarray:
    return model.W_E[tokens] + model.W_pos[: tokens.shape[1]]


def counted_by_hand(at: AppTest) -> tuple[np.ndarray, np.ndarray]:
    """Return how often each feature is followed by each on the page's rows, and the lift of that."""
    dictionary = opened.dictionary(at.selectbox(key="sae").value)
    model = opened.model_of(dictionary)
    sample = corpus.sample(dictionary, model, SampleSettings())
    fires = dictionary.encode(activations(model, sample.rows, "")) != 0
    special = sample.rows == model.separator
    special[:, 0] = True
    pairs = ~special[:, :-1] & ~special[:, 1:]
    one, other = fires[:, :-1][pairs].astype(float), fires[:, 1:][pairs].astype(float)
    count = one.T @ other
    with np.errstate(divide="ignore", invalid="ignore"):
        return count, count * len(one) / np.outer(one.sum(axis=0), other.sum(axis=0))


def picked(at: AppTest) -> int:
    return int(at.session_state["feature"])


def test_the_first_view_shows_a_feature_with_what_fires_around_it(open_page):
    at = fine(open_page())
    assert [tab.label for tab in at.tabs] == TABS
    said = text_of(at)
    assert f"Feature {picked(at)} is shown until you pick one" in said
    assert f"What fires around feature {picked(at)}" in said
    assert "in 2 shuffled texts (seed 0): 0, 0" in said
    after = table_by_key(at, "au-after")
    count, lift = counted_by_hand(at)
    following = after["next_feature"].to_numpy()
    np.testing.assert_array_equal(after["step_count"], count[picked(at), following])
    np.testing.assert_allclose(after["step_lift"], lift[picked(at), following])
    assert (after["step_lift"] > 1.9 * after["shuffled_lift"]).all()
    assert after["step_example"].str.count(OPEN).eq(2).all()
    before = table_by_key(at, "au-before")
    np.testing.assert_array_equal(before["step_count"], count[before["feature"], picked(at)])


def test_every_feature_has_its_self_excitation_beside_chance(open_page):
    at = fine(open_page({"tab": TABS[1]}))
    table = table_by_key(at, "au-all")
    count, lift = counted_by_hand(at)
    assert sorted(table["feature"]) == list(range(12))
    np.testing.assert_array_equal(table["self_count"], count.diagonal()[table["feature"]])
    np.testing.assert_allclose(table["self_lift"], lift.diagonal()[table["feature"]])
    assert table["self_shuffled_lift"].notna().sum() > 8
    assert table["n_next"].sum() == table["n_previous"].sum() > 0


def test_loops_and_paths_are_in_the_url_and_show_their_text(open_page):
    at = fine(open_page({"tab": TABS[2], "au_n": 3}))
    assert "from feature" in text_of(at)
    table = table_by_key(at, "au-paths")
    assert table["path"].str.count("→").eq(3).all()
    assert (table["path_count"] > table["path_shuffled"]).all()
    assert table["path_example"].str.count(OPEN).eq(4).all()
    assert table["path"].str.startswith(f"{picked(at)} →").all()


@pytest.mark.parametrize("tab", TABS)
def test_a_rule_that_nothing_meets_is_said(open_page, tab):
    at = fine(open_page({"tab": tab, "au_count": 100_000}))
    said = text_of(at)
    if tab == TABS[1]:
        assert "0 edges among 12 features" in said
    else:
        assert "by this rule" in said
        assert "loosen the rule" in said


def test_a_feature_that_never_fires_is_said(open_page):
    at = fine(open_page({"feature": SILENT}))
    assert f"Feature {SILENT} fires on no token of this text that another follows" in text_of(at)
    at = fine(open_page({"feature": SILENT, "tab": TABS[2]}))
    assert f"No path of 2 steps begins at feature {SILENT}" in text_of(at)


def test_a_feature_out_of_range_in_the_url_is_named(open_page):
    at = open_page({"feature": 99})
    assert not at.exception
    assert "99" in text_of(at, "warning")


def test_rows_too_short_for_a_step_say_what_to_do(open_page):
    at = open_page({"length": 2})
    assert not at.exception
    assert "hold no two successive tokens" in text_of(at, "error")


def test_fire_together_or_not_is_a_choice_in_the_url(open_page):
    few, many = (fine(open_page({"tab": TABS[1], "au_turns": turns})) for turns in ("true", "false"))
    n_few, n_many = (table_by_key(at, "au-all")["n_next"].sum() for at in (few, many))
    assert n_few < n_many
