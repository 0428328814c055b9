"""The splitting page on a planted workspace with a wider dictionary, run by AppTest through the router."""

from typing import NamedTuple

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.dictionaries.sources import open_dictionary
from core.matching.activations import MaskedEdges
from core.workspace import Workspace
from demo.settings import DICTIONARIES_DIR
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table, text_of
from tests.doubles.planted import planted_dictionary
from ui.shared.figure import figure

PARENTS = [4, 4, 4, 0, 1, 2, 6, 6]
"""Whose features of the planted dictionary those of the wider one are copies with noise, by number; others are new."""
N_WIDE = 13


def write_wider(root):
    """Write `root/wide`, in which feature 4 has three children and feature 6 two."""
    narrow = open_dictionary(f"folder/{root / 'dictionary'}", Workspace(roots=(root,)))
    wide = planted_dictionary(d_sae=N_WIDE, seed=5)
    rng, n = np.random.default_rng(0), len(PARENTS)
    W_dec, W_enc = wide.W_dec.copy(), wide.W_enc.copy()
    W_dec[:n] = narrow.W_dec[PARENTS] + 0.15 * rng.normal(size=(n, planted_pages.D)) / planted_pages.D**0.5
    W_dec[n:] = -np.abs(W_dec[n:]).mean() * narrow.W_dec[PARENTS[:1]] + 0.01 * W_dec[n:]
    planted_dictionary(d_sae=N_WIDE, tensors={"W_dec": W_dec, "W_enc": W_enc}).save(root / "wide")


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page on the planted dictionary, the wider one chosen, with a query."""
    planted_pages.write_workspace(tmp_path)
    write_wider(tmp_path)
    ids = [planted_pages.id_of(tmp_path, name) for name in ("dictionary", "wide")]
    usual = {"sae": ids[0], "split_wider": [ids[1]], "split_many": ids, "feature": "4"}
    with pages.page(tmp_path, monkeypatch, "splitting") as run:
        yield lambda query=None: run(usual | (query or {}))


def words(at: AppTest) -> str:
    return text_of(at, "markdown", "caption", "info")


def test_until_a_person_picks_one_the_feature_with_the_most_children_is_shown(open_page):
    at = fine(open_page({"feature": None, "split_threshold": "0.9"}))
    assert at.number_input(key="feature").value == 4
    assert table(at, "child")["child"].tolist() == [0, 1, 2]
    assert "Feature 4 is shown until you pick one: it has the most children among the 13" in words(at)


def test_no_graph_is_drawn_of_a_feature_without_children(open_page):
    at = fine(open_page({"feature": "9", "split_threshold": "0.9"}))
    assert not at.get("vega_lite_chart")


@pytest.mark.parametrize("rule", ["One parent each", "All over the threshold"])
def test_the_planted_children_are_drawn_and_listed_with_what_they_promote(open_page, rule):
    at = fine(open_page({"split_rule": rule, "split_threshold": "0.9"}))
    edges = table(at, "child")
    assert edges["coarse_feature"].unique().tolist() == [4]
    assert edges["child"].tolist() == [0, 1, 2]
    assert edges["split_step"].unique().tolist() == ["12 → 13"]
    assert all(text.count("'") >= 2 or text.count('"') >= 2 for text in edges["promoted_tokens"])
    assert at.get("vega_lite_chart")
    assert "What becomes of feature 4" in words(at)


def test_features_active_together_are_joined_by_masked_cosine(open_page, monkeypatch):
    found = MaskedEdges(np.array([4, 4, 5]), np.array([2, 9, 1]), np.array([0.8, 0.5, 0.9]), 100, 10, 0.4)

    class Shared(NamedTuple):
        narrow: int
        wide: int
        text: str = "8 rows of 6 tokens, no BOS"
        names: tuple[str, ...] = ("a", "b", "rows-hash")

    shared = "ui.studies.matching_activations.shared"
    monkeypatch.setattr(shared, lambda narrow, wide: Shared(narrow.d_sae, wide.d_sae))
    monkeypatch.setattr("ui.studies.matching_activations.masked_edges", {Shared(12, N_WIDE): found}.get)
    told = []
    monkeypatch.setattr("ui.splitting.series.figure", lambda *given, **how: told.append(how) or figure(*given, **how))
    at = fine(open_page({"split_rule": "Active together", "split_threshold": "0.9"}))
    assert table(at, "child")["child"].tolist() == [2, 9]
    assert "masked cosine of activations over 0.40" in words(at)
    about = told[0]["provenance"]
    assert about["method"] == "masked cosines of activations between widths"
    assert about["settings"]["text"] == "8 rows of 6 tokens, no BOS"
    assert about["settings"]["rows_sha256"] == "rows-hash"


def test_children_are_counted_and_a_feature_without_any_is_told_so(open_page):
    at = fine(open_page({"tab": "Counts", "split_threshold": "0.9"}))
    most = table(at, "best_child_cosine")
    assert most.iloc[0][["feature", "n_children"]].tolist() == [4, 3]
    assert table(at, "mean_children")["mean_children"].tolist() == [pytest.approx(8 / 12)]
    at = open_page({"feature": "9", "split_threshold": "0.9"})
    assert "No feature of the wider dictionary goes back to feature 9" in words(at)


def test_siblings_are_told_apart_by_their_logits(open_page):
    at = fine(open_page({"tab": "Siblings", "split_threshold": "0.9"}))
    assert sorted(table(at, "sibling_rank")["sibling"].unique()) == [0, 1, 2]
    assert len(at.get("vega_lite_chart")) == 2
    at = open_page({"tab": "Siblings", "feature": "0", "split_threshold": "0.9"})
    assert "Feature 0 has 1 child among the 13 features" in words(at)


def test_without_a_wider_dictionary_the_page_says_what_to_do(open_page):
    at = open_page({"split_wider": None})
    assert not at.exception
    assert "has 12 features, and no wider dictionary is chosen. Choose one above." in words(at)


def test_a_series_that_narrows_is_refused(open_page, tmp_path):
    planted_dictionary(d_sae=5).save(tmp_path / "narrow")
    at = open_page({"split_wider": [f"folder/{(tmp_path / 'narrow').resolve()}"]})
    assert not at.exception
    assert "so no feature can split" in at.error[0].value


def test_many_dictionaries_are_matched_and_what_cannot_be_opened_is_named(open_page, tmp_path):
    at = fine(open_page({"tab": "Many dictionaries", "split_threshold": "0.9"}))
    assert len(at.get("vega_lite_chart")) == 2  # the matrix, and bars for the one factor in which the two differ
    assert table(at, "factor_change")["factor_change"].tolist() == ["12 → 13", "13 → 12"]
    planted_dictionary("topk", d_sae=14).save(tmp_path / "other")
    ids = [planted_pages.id_of(tmp_path, name) for name in ("dictionary", "other")]
    at.multiselect(key="split_many").set_value(ids).run()
    assert len(at.get("vega_lite_chart")) == 1
    assert "No two of these dictionaries have labels that differ in exactly one of seed" in words(at)
    chosen = at.multiselect(key="split_many").value
    at.multiselect(key="split_many").set_value([*chosen, f"folder/{tmp_path / 'nothing'}"]).run()
    assert not at.exception
    assert len(at.error) == 1
    assert len(at.get("vega_lite_chart")) == 1


def test_three_dictionaries_are_asked_for_and_parted(open_page, tmp_path):
    at = open_page({"tab": "Three at once", "split_threshold": "0.9"})
    assert not at.exception
    assert "Choose three dictionaries" in words(at)
    planted_dictionary(d_sae=7, seed=9).save(tmp_path / "third")
    ids = [f"folder/{(tmp_path / name).resolve()}" for name in ("dictionary", "wide", "third")]
    at.multiselect(key="split_three").set_value(ids).run()
    assert not at.exception
    assert not at.error
    shares = table(at, "overlap_region")
    assert shares.groupby("dictionary")["overlap_features"].sum().tolist() == [12, 7, 13]


@pytest.mark.skipif(not (DICTIONARIES_DIR / "index.json").exists(), reason="the demo is not trained")
def test_the_demos_widths_are_a_series_and_its_labels_give_bars(open_page):
    at = fine(open_page({"sae": "demo/layer2-standard-512", "split_wider": None, "tab": "Counts"}))
    assert at.multiselect(key="split_wider").value == [f"demo/layer2-standard-{n}" for n in (1024, 2048, 4096)]
    assert table(at, "mean_children")["d_sae"].tolist() == [1024, 2048, 4096]
    many = [f"demo/layer2-standard-{name}" for name in ("512", "1024", "2048", "2048-seed1", "2048-prose")]
    at = open_page({"tab": "Many dictionaries", "split_many": many})
    assert not at.exception
    assert set(table(at, "match_factor")["match_factor"]) == {"seed", "data", "width"}


@pytest.mark.skipif(not (DICTIONARIES_DIR / "index.json").exists(), reason="the demo is not trained")
def test_from_the_widest_one_click_leads_to_the_narrowest_of_the_series(open_page):
    at = open_page({"sae": "demo/layer2-standard-4096", "split_wider": None})
    at.button(key="split_narrowest").click().run()
    assert not at.exception
    assert at.selectbox(key="sae").value == "demo/layer2-standard-512"
    assert len(at.multiselect(key="split_wider").value) == 3
    assert at.get("vega_lite_chart")


@pytest.mark.skipif(not (DICTIONARIES_DIR / "index.json").exists(), reason="the demo is not trained")
def test_a_set_of_dictionaries_begins_with_the_picked_one_and_those_that_differ_in_one_factor(open_page):
    at = open_page({"sae": "demo/layer2-standard-512", "split_many": None, "tab": "Three at once"})
    assert not at.exception
    assert at.multiselect(key="split_three").value == [f"demo/layer2-standard-{n}" for n in (512, 2048, 1024)]
