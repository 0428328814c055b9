"""Token sets on a page, run by AppTest on a planted vocabulary of single bytes."""

import types

import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages
from tests.doubles.pages import button, text_of
from tests.doubles.planted import planted_model


def page() -> None:
    from pathlib import Path

    import streamlit as st

    from core.models.language_model import LanguageModel
    from ui.shared import errors
    from ui.sidebar import token_set_picker

    model = LanguageModel(Path(st.session_state["folder"]))
    token_set_picker.editor(model)
    with errors.shown():
        chosen = token_set_picker.choose(model, "Token set", "ts_set")
        st.text(f"chosen {chosen.name} {len(chosen)}")
        token_set_picker.library_table(model)
    st.text("the page went on")


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that runs the page with a query."""
    folder = planted_model(tmp_path).folder
    with pages.app(monkeypatch, "--cache", str(tmp_path / "cache")):
        yield lambda query=None: pages.run(page, query, folder=str(folder))


def add(at: AppTest, name: str, text: str) -> AppTest:
    at.text_input(key="ts_name").set_value(name)
    at.text_area(key="ts_text").set_value(text)
    return button(at, "Add the set").click().run()


def said(at: AppTest) -> str:
    return text_of(at, "text", "caption", "error", "warning", "info")


def table(at: AppTest):
    return at.dataframe[0].value.set_index("token_set")


def test_the_library_is_shown_with_sizes_and_reasons(open_page):
    at = open_page({"ts_set": "contains_digit"})
    assert not at.exception
    assert "chosen contains_digit 10" in said(at)
    assert "10 tokens · Digits · '0', '1', '2'" in said(at)
    assert table(at).loc["contains_digit", "set_size"] == 10
    assert table(at).loc["year", "left_out_because"] == "0 tokens, fewer than 5"


def test_a_set_in_the_url_that_does_not_exist_is_named_and_the_page_goes_on(open_page):
    at = open_page({"ts_set": "contains_digits<b>"})
    assert "There is no token set called 'contains_digits<b>'. Did you mean contains_digit" in said(at)
    assert "the page went on" in said(at)
    at.selectbox(key="ts_set").set_value("contains_digit").run()
    assert not at.warning


def test_a_typed_set_is_listed_offered_and_can_be_removed(open_page):
    at = add(open_page(), "my [digits]", "/[0-4]/\n9\nab\né€")
    at.run()
    assert "my [digits]: 6 tokens · Your own" in said(at)
    assert "left out, as they have several tokens: ab" in said(at)
    at.selectbox(key="ts_set").set_value("my [digits]").run()
    assert "chosen my [digits] 6" in said(at)
    assert table(at).loc["my [digits]", "set_rule"] == "/[0-4]/, 9, ab, é€"
    next(button for button in at.button if button.label == "Remove").click().run()
    assert not at.exception
    assert "my [digits]" not in at.selectbox(key="ts_set").options
    assert "the page went on" in said(at)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("s", "a\n/(/", "Line 2: /(/ is no regular expression"),
        ("s", "", "is empty"),
        ("s", "zebra", "none of its 1 lines names a token"),
        ("s", "/(?s)^/", "holds all 257 tokens"),
        ("contains_digit", "a", "The library already has a token set called 'contains_digit'"),
    ],
)
def test_what_makes_no_set_is_explained_and_the_page_goes_on(open_page, name, text, says):
    at = add(open_page(), name, text)
    assert not at.exception
    assert says in at.error[0].value.replace("\\", "")
    assert "the page went on" in said(at)


def test_a_small_set_is_kept_but_not_offered(open_page):
    at = add(open_page(), "few", "a\nb").run()
    assert "not offered, as it has fewer than 5 tokens" in said(at)
    assert table(at).loc["few", "left_out_because"] == "2 tokens, fewer than 5"


def test_an_uploaded_file_makes_a_set_under_its_own_name(open_page):
    at = open_page()
    at.file_uploader(key="ts_file").set_value(("vowels.txt", b"a\ne\ni\no\nu\n", "text/plain"))
    next(button for button in at.button if button.label == "Add the set").click()
    at.run().run()
    assert not at.exception
    assert "vowels: 5 tokens" in said(at)


def test_the_original_sets_replace_the_library_by_a_switch_in_the_url(open_page):
    at = open_page({"ts_raw": "true"})
    assert table(at).loc["contains_open_bracket", "left_out_because"] == ""
    assert table(at).loc["starts_with_space", "set_rule"] == "re.match /Ġ.*/"
    assert "contains_digit" not in table(at).index


def test_parts_of_speech_are_added_or_missed_in_one_line(open_page, monkeypatch):
    module = types.ModuleType("nltk")
    module.__version__, module.pos_tag = "3.10.4", lambda words: [(words[0], "CD" if words[0].isdigit() else "NN")]
    monkeypatch.setitem(__import__("sys").modules, "nltk", module)
    at = open_page({"ts_pos": "true"})
    assert not at.exception
    assert table(at).loc["nltk_pos_CD", "set_size"] == 10
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    pages.forget()
    at = open_page({"ts_pos": "true"})
    assert "No parts of speech: NLTK is not installed" in said(at)
    assert "the page went on" in said(at)
