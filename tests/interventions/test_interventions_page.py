"""The page Interventions on a planted workspace, run by AppTest through the router."""

import re

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of

FEATURE = planted_pages.POSITIONAL
QUERY = {"rows": "20", "feature": str(FEATURE)}


@pytest.fixture(scope="module")
def open_page(tmp_path_factory):
    """Return a function that opens the page with a query, with what the tests before it computed."""
    with pages.kept_page(tmp_path_factory.mktemp("workspace"), "interventions", QUERY) as open_page:
        yield open_page


def errors(at) -> str:
    assert not at.exception
    return text_of(at, "error")


@pytest.mark.parametrize("text", ["Strongest contexts", "Your prompt"])
def test_no_edit_is_shown_to_give_identical_logits(open_page, text):
    at = fine(open_page({"iv_text": text, "prompt": "abcdefgh"}))
    assert "No edit gives identical logits: yes" in text_of(at)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (" ", "expected at least one letter"),
        ("a", "The prompt has one token, expected at least 2"),
        ("abcdefghijklm", "The prompt has 13 tokens, expected at most 12, the context of planted"),
    ],
)
def test_a_prompt_that_cannot_be_run_is_said_in_words(open_page, prompt, says):
    assert says in errors(open_page({"iv_text": "Your prompt", "prompt": prompt}))


TABS = ("Edited text", "Dose and response", "Continuations")


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("text", ["Strongest contexts", "Your prompt"])
def test_every_tab_opens_from_a_link_and_names_its_controls(open_page, tab, text):
    query = {"tab": tab, "iv_text": text, "prompt": "abcdefgh", "iv_n": 4, "iv_doses": 5, "iv_new": 3, "iv_kind": "Add"}
    at = fine(open_page(query | {"iv_contexts": 2}))
    assert at.query_params.get("tab", "Edited text") == tab
    said = text_of(at, "caption")
    assert "random directions" in said
    assert "opposite sign" in said
    assert "seed 0" in said


def test_a_named_logit_difference_stands_beside_its_controls(open_page):
    query = {"iv_text": "Your prompt", "prompt": "abcdefgh", "iv_A": "a", "iv_B": "#7", "iv_kind": "Add", "iv_n": 4}
    at = fine(open_page(query))
    assert "Logit of 'a' minus logit of" in text_of(at)
    assert len(at.get("vega_lite_chart")) == 2


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"iv_A": "ab", "iv_B": "a"}, "'ab' is no token of planted: it reads it as 2 tokens"),
        ({"iv_A": "a", "iv_B": "#900"}, "Token #900 does not exist: expected a whole number from 0 to 256"),
        ({"iv_also": "3, 99"}, "Feature 99 does not exist: expected a whole number from 0 to 11"),
        ({"iv_also": "x"}, "'x' is no feature: expected whole numbers such as 3, 5-8"),
        ({"iv_at": "chosen positions", "iv_positions": "2-80"}, "Position 80 does not exist"),
        ({"iv_kind": "Add", "iv_amount": "1e38"}, "so large that the model gives no finite numbers"),
        ({"tab": "Dose and response", "iv_reach": "1e39"}, "At 20 of 21 doses the model gives no finite numbers"),
        ({"tab": "Dose and response", "iv_reach": "-1"}, "Doses up to -1.0 cannot be drawn"),
        ({"tab": "Continuations", "iv_new": "40"}, "its context is 12. Shorten the prompt"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(open_page, query, says):
    assert says in errors(open_page({"iv_text": "Your prompt", "prompt": "abcdefgh", "iv_n": 3} | query))


def test_a_feature_out_of_range_in_the_link_is_named(open_page):
    at = open_page({"feature": "99", "iv_text": "Your prompt", "prompt": "abcdefgh"})
    assert not at.exception
    assert "Feature 99 does not exist" in text_of(at, "warning")


def test_a_dose_that_overflows_is_said_and_the_others_are_drawn(open_page):
    query = {"tab": "Dose and response", "iv_text": "Your prompt", "prompt": "abcdefgh", "iv_reach": "1e20"}
    at = fine(open_page(query | {"iv_n": 3, "iv_doses": 41}))
    assert re.search(r"\d+ doses overflow the model and are left out", text_of(at, "caption"))


def test_a_silent_feature_has_no_contexts_and_no_effect(open_page):
    silent = open_page({"feature": 5})
    assert "Feature 5 is active on none of the" in errors(silent)
    at = fine(open_page({"feature": 5, "iv_text": "Your prompt", "prompt": "abcdefgh", "iv_n": 3}))
    assert "has no effect" in text_of(at, "info")
