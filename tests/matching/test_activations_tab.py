"""The view of matching by activations on a planted workspace, run by AppTest."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.catalogue import statistic
from core.corpus.streams import Document
from core.dictionaries.sources import open_dictionary
from core.errors import DoesNotFitError
from core.workspace import Workspace
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table
from tests.doubles.planted import planted_dictionary

ORDER = np.random.default_rng(0).permutation(12)


def page() -> None:
    import streamlit as st

    from ui.matching import activations
    from ui.shared import errors
    from ui.studies import opened

    with errors.shown():
        activations.activations(opened.dictionary(), opened.dictionary(st.session_state["b"]))


@pytest.fixture
def open_view(tmp_path, monkeypatch):
    """Return a function that shows the planted dictionary beside another, by default its features in another order."""
    folder = planted_pages.write_workspace(tmp_path)
    codes = np.random.default_rng(1).integers(32, 127, 4000)
    monkeypatch.setattr(
        "core.corpus.streams.standard_library", lambda: [Document("random.txt", "".join(map(chr, codes)))]
    )
    first = open_dictionary(f"folder/{folder}", Workspace(roots=(tmp_path,)), fold_decoder_norms=True)
    tensors = {"W_enc": first.W_enc[:, ORDER], "W_dec": first.W_dec[ORDER], "b_enc": first.b_enc[ORDER]}
    tensors |= {"b_dec": first.b_dec}
    planted_dictionary(tensors=tensors).save(tmp_path / "other")

    def run(b: str = "other", **widgets) -> AppTest:
        pages.forget()
        return pages.run(page, sae=f"folder/{folder}", b=f"folder/{tmp_path / b}", **widgets)

    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        yield run


def test_features_in_another_order_are_found_with_correlation_1(open_view):
    at = fine(open_view(match_rows=400, match_least=5))
    matches = table(at, "active_tokens_a")
    assert len(matches) > 3
    assert ORDER[matches["feature_b"]].tolist() == matches["feature_a"].tolist()
    np.testing.assert_allclose(matches["activation_correlation"], 1, atol=1e-5)
    assert [metric.label for metric in at.metric] == ["Median, A in B", "Median, B in A"]
    assert at.metric[0].value == "1.000"
    assert len(at.get("vega_lite_chart")) == 2
    assert any(
        "the model's own units would only match themselves" in text.value.replace("\\", "") for text in at.caption
    )


def test_a_rotated_basis_is_drawn_when_asked_for_and_shows_the_excess(open_view):
    at = open_view(match_rows=400, match_least=5, match_rotated=True)
    assert not at.exception
    matches = table(at, "active_tokens_a")
    assert (matches["excess_correlation"] > 0).all()
    assert "Median, A in a rotated basis of B" in [metric.label for metric in at.metric]
    assert statistic("universal_share").title in [metric.label for metric in at.metric]


def test_the_matches_of_the_picked_feature_are_listed_and_a_rare_one_is_explained(open_view):
    at = open_view(match_rows=400, match_least=5, feature=planted_pages.POSITIONAL)
    matches = table(at, "match_rank")
    assert ORDER[matches["feature_b"][0]] == planted_pages.POSITIONAL
    at = open_view(match_rows=400, match_least=5, feature=planted_pages.NEWCOMER)  # only past the context
    assert any("is active on 0 tokens, expected 5 or more" in info.value for info in at.info)


def test_too_little_text_and_one_dictionary_twice_are_explained(open_view):
    at = open_view(match_rows=2, match_least=100)
    assert not at.exception
    assert "No two features are active on 100 or more of the 10 tokens" in at.info[0].value
    assert "A and B are the same dictionary" in open_view("dictionary").info[0].value


def test_other_tokenizers_are_named(open_view, monkeypatch):
    def refuse(a, b):
        raise DoesNotFitError("planted-1 and planted-2 have different tokenizers")

    monkeypatch.setattr("ui.studies.matching_activations.check_same_tokens", refuse)
    at = open_view()
    assert "have different tokenizers" in at.error[0].value.replace("\\", "")


def test_tokens_that_do_not_count_make_another_result_and_are_not_said_to_count(open_view, tmp_path):
    def said(special: bool) -> str:
        at = fine(open_view(match_rows=60, match_least=5, bos="With", match_without_first=False, special=special))
        return next(text.value for text in at.caption if "of 60 rows" in text.value).split()[0]

    assert (said(True), said(False)) == ("360", "300")
    assert len(list((tmp_path / "cache").glob("activation-match-*"))) == 2
