"""The geometry page on a planted workspace, run by AppTest through the router."""

import shutil

import numpy as np
import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table
from tests.doubles.planted import planted_dictionary
from ui.studies import opened


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the geometry page of a planted workspace with a query and runs it."""
    planted_pages.write_workspace(tmp_path)
    # Reading text would import torch; tests/activations/test_studies.py does that.
    planted_pages.count_no_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "geometry") as run:
        yield run


def cosines(rows: np.ndarray) -> np.ndarray:
    unit = rows.astype(float) / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    found = unit @ unit.T
    np.fill_diagonal(found, -np.inf)
    return found


@pytest.mark.parametrize("tab", ["Distances", "Hubs", "Cosine against density", "Composed", "Nearest features"])
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Geometry of the dictionary"
    assert at.get("vega_lite_chart") or len(at.dataframe)


def test_a_features_neighbours_are_listed_by_true_cosine_of_the_chosen_side(open_page, tmp_path):
    planted_dictionary().save(tmp_path / "other")
    query = {"tab": "Nearest features", "feature": "4", "side": "Encoder", "sae": f"folder/{tmp_path / 'other'}"}
    at = open_page(query)
    expected = cosines(opened.dictionary(at.selectbox(key="sae").value).W_enc.T)[4]
    found = table(at, "neighbor_rank")
    assert found["neighbor"].tolist() == np.argsort(-expected, kind="stable")[:-1].tolist()
    np.testing.assert_allclose(found["neighbor_cosine"], np.sort(expected)[:0:-1], atol=1e-6)


def test_the_readings_are_those_of_the_weights_with_chance_beside_them(open_page):
    at = open_page({"nearest": "10"})
    found = cosines(opened.dictionary(at.selectbox(key="sae").value).W_dec)
    readings = {metric.label: metric for metric in at.metric}
    assert readings["Largest cosine"].value == f"{found.max():.3f}"
    assert readings["Mean nearest cosine"].value == f"{found.max(axis=1).mean():.3f}"
    assert readings["Mean 10th largest"].value == f"{np.sort(found, axis=1)[:, -10].mean():.3f}"
    assert readings["Mean cosine"].delta == "random 0.000"
    assert readings["1 / √d"].value == f"{planted_pages.D**-0.5:.3f}"
    assert any("a neighbour with a cosine over 0.9" in chart.proto.alt for chart in at.get("vega_lite_chart"))


def test_dictionaries_are_compared_and_one_that_cannot_be_opened_is_named(open_page, tmp_path):
    planted_dictionary(d_sae=30, seed=3).save(tmp_path / "wide")
    at = open_page({"simulate": "true"})
    at.multiselect(key="with").set_value([f"folder/{tmp_path / 'wide'}", "demo/nothing-like-it"]).run()
    assert not at.exception
    assert ["There is no dictionary called" in error.value for error in at.error] == [True]
    compared = table(at, "rth_cosine")
    assert compared["d_sae"].tolist() == [12, 30]
    assert compared["dictionary"][1].endswith("wide")
    assert at.get("vega_lite_chart")


def test_a_rank_that_the_other_dictionary_does_not_have_is_explained(open_page, tmp_path):
    planted_dictionary(d_sae=5).save(tmp_path / "narrow")
    at = open_page({"nearest": "10"})
    at.multiselect(key="with").set_value([f"folder/{tmp_path / 'narrow'}"]).run()
    assert "The 10-th nearest neighbour is not stored; expected a number from 1 to 4" in at.error[0].value.replace(
        "\\", ""
    )
    assert at.get("vega_lite_chart")


def test_a_dictionary_of_one_feature_has_no_geometry_and_says_so(open_page, tmp_path):
    planted_dictionary(d_sae=1).save(tmp_path / "single")
    at = open_page({"sae": f"folder/{tmp_path / 'single'}"})
    assert not at.exception
    assert "This dictionary has one feature" in at.error[0].value


def test_features_left_out_are_named_on_the_page(open_page, monkeypatch):
    monkeypatch.setattr("core.geometry.study.GeometryStudy.warning", "Feature [3](x) is left out.")
    assert "Feature \\[3\\]" in open_page().warning[0].value


def test_what_a_link_says_wrong_falls_back_to_what_there_is(open_page):
    at = open_page({"nearest": "100", "r": "99", "side": "middle", "tab": "X", "bins": "-1"})
    assert not at.exception
    assert at.get("vega_lite_chart")


@pytest.mark.parametrize(("query", "rank"), [({"nearest": "Other", "r": "7"}, "2nd"), ({"nearest": "10"}, None)])
def test_a_rank_kept_from_a_wider_dictionary_is_dropped(open_page, tmp_path, query, rank):
    at = open_page(query)
    shutil.rmtree(tmp_path / "dictionary")
    planted_dictionary(d_sae=5).save(tmp_path / "dictionary")  # what changes on disk is read anew
    at.run()
    assert not at.exception
    assert not at.error
    assert (f"Mean {rank} largest" in [metric.label for metric in at.metric]) == (rank is not None)
