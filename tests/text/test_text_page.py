"""The page on the user's own text, on a planted workspace, run by AppTest through the router."""

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.streams import Document
from core.text.features import encode_text
from core.text.texts import tokenise
from tests.doubles import pages, planted_pages
from tests.doubles.pages import table, text_of
from ui.studies import compute, opened
from ui.text import charts as text_charts

LIBRARY = [Document(f"module{i}.py", f"def f{i}(x):\n    return x + {i}\n" * 40) for i in range(9)]
ODD = "<script>alert(1)</script>\n\t👍 שלום\u202e [x](http://y) $z$ \x01"


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the text page of a planted workspace with a query and runs it."""
    planted_pages.write_workspace(tmp_path)
    monkeypatch.setattr("core.corpus.streams.standard_library", lambda: LIBRARY)
    with pages.page(tmp_path, monkeypatch, "text") as run:
        yield run


def errors(at: AppTest) -> list[str]:
    assert not at.exception
    return [error.value.replace("\\", "") for error in at.error]


def captions(at: AppTest) -> str:
    return text_of(at, "caption")


def by_hand(text: str, length: int = planted_pages.C):
    """The picked dictionary's activations on a text; call it where the page's caches stand."""
    dictionary = opened.dictionary(opened.dictionary_ids()[0])
    model = opened.model_of(dictionary)
    return encode_text(dictionary, model, tokenise(model, [text]), length=length)


@pytest.mark.parametrize(("tab", "charts"), [("One text", 4), ("Two texts", 2), ("Two prompts", 3)])
def test_every_tab_opens_from_a_link_with_an_example(open_page, tab, charts):
    at = open_page({"tab": tab})
    assert errors(at) == []
    assert len(at.get("vega_lite_chart")) == charts


def test_a_token_of_the_link_shows_its_features_by_size(open_page):
    at = open_page({"own": "abc wxyz", "own_token": 2, "feature": planted_pages.POSITIONAL})
    found = by_hand("abc wxyz")
    features, acts = found.on_token(2)
    shown = table(at, "text_activation")
    assert planted_pages.POSITIONAL in features  # it fires at position 2
    assert sorted(shown["feature"]) == features.tolist()
    assert shown["text_activation"].tolist() == sorted(acts.tolist(), reverse=True)
    facts = {metric.label: metric.value for metric in at.metric}
    assert facts["Tokens"] == "8"
    assert facts["Rows"] == "2"
    assert facts["Features active"] == f"{(found.acts.count > 0).sum()} of 12"
    ranked = table(at, "text_max")
    assert ranked["text_max"].is_monotonic_decreasing
    assert "largest_share" not in ranked  # it waits until it is asked for
    assert any("text-features" in key for key in compute.loaded()._objects)
    assert not any("wxyz" in key for key in compute.loaded()._objects)


def test_shares_are_of_the_largest_in_the_token_pass(open_page):
    at = open_page({"own": "abc wxyz", "own_token": 2, "own_by": "Share of its largest"})
    assert errors(at) == []
    shown = table(at, "text_activation").set_index("feature")
    assert shown.loc[planted_pages.POSITIONAL, "largest_share"] == pytest.approx(1)  # position alone decides it
    assert "share_weighted" in table(at, "text_max").columns
    assert "shares of the largest on" in captions(at)


def test_odd_text_is_shown_harmlessly(open_page):
    at = open_page({"own": ODD, "own_a": ODD, "tab": "One text"})
    assert errors(at) == []
    assert at.text_area[0].value == ODD
    assert all("<script>" not in part.value for part in at.markdown)
    spec = json.loads(at.get("vega_lite_chart")[0].proto.spec)
    assert "script" not in json.dumps(spec, ensure_ascii=False)  # the text is in the data alone


def test_odd_text_is_escaped_where_it_is_html(open_page):
    usual = {part.proto.body for part in open_page({"tab": "Two texts"}).get("html")}  # the app's style and script
    at = open_page({"tab": "Two texts", "own_a": ODD, "own_b": ODD})
    assert errors(at) == []
    pages = [part.proto.body for part in at.get("html") if part.proto.body not in usual]
    assert any("&lt;" in page for page in pages)
    assert all("<script>" not in page and "\u202e" not in page for page in pages)


def test_only_a_short_text_is_in_the_link(open_page):
    at = open_page()
    assert "own" not in at.query_params  # the example is there anyway
    at.text_area[0].set_value("a short text").run()
    assert at.query_params["own"] == "a short text"
    at.text_area[0].set_value("word " * 101).run()
    assert "own" not in at.query_params
    assert "The link leaves this text out: it has 505 characters, and a link holds 500 at most" in captions(at)


def test_a_blank_text_is_explained_and_an_example_takes_its_place(open_page):
    at = open_page({"own": " \n "})
    assert "3 characters of white space, expected at least one letter" in errors(at)[0]
    at.selectbox(key="own_example").set_value("Prose").run()
    assert errors(at) == []
    assert at.text_area[0].value.startswith("The statement is executed")


def test_bos_is_read_and_not_counted(open_page):
    at = open_page({"own": "abcd", "own_bos": "With BOS"})
    assert "each after BOS, not shown" in captions(at)
    assert {metric.label: metric.value for metric in at.metric}["Tokens"] == "4"
    strongest = table(at, "text_max").set_index("feature")["token_number"]
    assert strongest[planted_pages.POSITIONAL] == planted_pages.PEAK - 1


def test_a_feature_that_fires_in_one_text_alone_is_called(open_page):
    # It fires at positions 2 and 3: in the longer documents alone.
    short, long = "=====\n".join(["a\n"] * 12), "=====\n".join(["abcd\n"] * 12)
    at = open_page({"tab": "Two texts", "own_a": short, "own_b": long, "own_units": "Documents"})
    assert errors(at) == []
    found = table(at, "unit_q").set_index("feature")
    assert found.loc[planted_pages.POSITIONAL, "unit_higher_in"] == "B"
    assert found.loc[planted_pages.POSITIONAL, "higher_in"] == "B"
    assert "assumes that the documents are independent of each other" in captions(at)
    at.selectbox(key="own_units").set_value("Automatic")
    at.text_area(key="own_a_box").set_value("a\nb").run()
    assert "assumes that all tokens are independent" in captions(at)  # too few lines
    at.selectbox(key="own_units").set_value("Lines").run()
    assert "Text A has 2 units and text B 12, expected at least 6" in errors(at)[0]


def test_prompts_need_as_many_tokens_and_a_difference(open_page):
    at = open_page({"tab": "Two prompts", "own_pa": "abc", "own_pb": "abcd"})
    assert "Prompt A has 3 tokens and prompt B 4" in errors(at)[0]
    assert len(at.get("vega_lite_chart")) == 2  # both are shown all the same
    at.text_area(key="own_pb_box").set_value("abc").run()
    assert errors(at) == []
    assert "same activations on every token" in at.info[0].value


def test_a_strip_lays_tokens_out_as_their_text_does():
    strip = text_charts._places(["a", " b", "\n  ", "c", "", "日本"])
    assert strip["text"].tolist() == ["a", "b", "⏎", "c", "‥", "日本"]
    assert strip["line"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(strip["text_left"], [0, 2, 3, 2, 3, 4])  # c stands behind two spaces
    np.testing.assert_allclose(strip["right"] - strip["left"], [0.9, 1.9, 0.9, 0.9, 0.9, 3.9])
    full = text_charts._places(["x" * 100] * 3)
    assert full["line"].tolist() == [0, 1, 2]


def test_marks_stand_for_what_cannot_be_printed():
    assert text_charts.visible("a\t\r\n\u202e\x00") == "a⇥␍⏎\\x202e\\x00"
    assert text_charts.visible("") == "‥"
