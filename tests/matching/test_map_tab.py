"""The joint map with its matches, on two planted dictionaries: lines, linked brushing, clicks."""

from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.feature_map.layout import LayoutSettings
from core.matching.two_features import partner_rows
from tests.doubles import pages
from tests.doubles.pages import reading, table_by_key
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import id_of
from tests.feature_map.test_component import messages
from tests.matching import match_app
from ui.feature_map.map import MapStudy
from ui.matching import joint_map
from ui.matching.joint_map import JointMap
from ui.studies import feature_map, opened
from ui.studies import matching as matching_studies

N_A, N_B = 12, 10
ORDER = np.random.default_rng(5).permutation(N_A)[:N_B]
"""Feature j of B is much like feature ORDER[j] of A, but for the last, which is like none."""
KEY = joint_map.KEY


@pytest.fixture
def open_map(tmp_path, monkeypatch):
    """Return a function that opens the map of the two with a query."""
    rng = np.random.default_rng(2)
    a = planted_dictionary(d_in=32, d_sae=N_A)
    W_dec = a.W_dec[ORDER] + 0.05 * rng.normal(size=(N_B, 32))
    W_dec[-1] = rng.normal(size=32)
    a.save(tmp_path / "a")
    planted_dictionary(d_in=32, d_sae=N_B, tensors={"W_dec": W_dec, "W_enc": W_dec.T}).save(tmp_path / "b")

    usual = {name: id_of(tmp_path, name) for name in "ab"} | {"view": "map"}

    def run(**query) -> AppTest:
        return pages.run(Path(match_app.__file__), usual | query)

    run.folder = tmp_path
    with pages.app(monkeypatch, "--root", str(tmp_path), "--cache", str(tmp_path / "cache")):
        yield run


def rows_sent(at: AppTest) -> np.ndarray:
    """Which row each of the browser's points is: A's features first."""
    points, colours = (messages(at)[kind] for kind in ("points", "colours"))
    return np.array(points["feature"]) + N_A * np.array(colours["value"]).astype(int)


def bright(at: AppTest) -> list[int]:
    bits = np.unpackbits(np.array(messages(at)["marks"]["bright"], np.uint8))[: N_A + N_B]
    return sorted(rows_sent(at)[bits.astype(bool)].tolist())


def lasso(at: AppTest, polygon: list) -> AppTest:
    at.session_state[KEY] = {"lasso": {"polygon": polygon, "digest": messages(at)["points"]["digest"]}}
    return at.run()


def box_around(folder: Path, row: int) -> list:
    """A box that holds one row alone."""
    places = feature_map.pca([id_of(folder, name) for name in "ab"]).astype(float)
    others = np.delete(places, row, axis=0)
    half = np.abs(others - places[row]).max(axis=1).min() / 2
    (x, y) = places[row]
    return [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]]


def table(at: AppTest):
    return table_by_key(at, "match-map-pairs")


def test_lines_join_the_matched_features_and_no_others(open_map):
    at = open_map()
    assert not at.error
    rows, links = rows_sent(at), np.array(messages(at)["points"]["links"]).reshape(-1, 2)
    joined = {(int(a), int(b) - N_A) for a, b in rows[links]}
    assert joined == {(int(ORDER[j]), j) for j in range(N_B - 1)}
    assert set(zip(table(at)["feature_a"], table(at)["feature_b"], strict=True)) == joined
    assert reading(at, "Features") == str(N_A)
    assert reading(at, "With a partner") == str(N_B - 1)


def test_a_lasso_in_a_marks_the_partner_in_b_wherever_it_is(open_map):
    at = open_map()
    row = int(ORDER[3])
    at = lasso(at, box_around(open_map.folder, row))
    assert bright(at) == [row, N_A + 3]
    assert table(at)[["feature_a", "feature_b"]].to_numpy().tolist() == [[row, 3]]
    assert reading(at, "In the lasso") == "1"
    assert reading(at, "With a partner") == "1"


def test_a_lasso_takes_the_features_of_the_dictionary_chosen(open_map):
    outline = [[-99, -99], [99, -99], [99, 99], [-99, 99]]
    at = lasso(open_map(match_map_lasso="B"), outline)
    alone = set(range(N_A)) - set(ORDER[: N_B - 1].tolist())
    assert set(bright(at)) == set(range(N_A + N_B)) - alone
    assert reading(at, "In the lasso") == str(N_B)
    at = lasso(open_map(match_map_lasso="Both"), outline)
    assert bright(at) == list(range(N_A + N_B))


def test_the_selection_stands_out_with_its_partners_until_a_lasso_is_drawn(open_map, monkeypatch):
    members = np.isin(np.arange(N_A), ORDER[2:4])
    monkeypatch.setattr("ui.matching.joint_map.selected.members_of", lambda dictionary: members)
    at = open_map()
    assert set(bright(at)) == {*ORDER[2:4].tolist(), N_A + 2, N_A + 3}
    assert reading(at, "In the selection") == "2"
    at = lasso(at, [[-99, -99], [99, -99], [99, 99], [-99, 99]])
    assert reading(at, "In the lasso") == str(N_A)


def test_a_larger_cosine_leaves_fewer_lines(open_map):
    at = open_map(threshold="1.0")
    assert not messages(at)["points"]["links"]
    assert len(table(at)) == 0
    assert reading(at, "With a partner") == "0"


def test_the_picked_feature_and_its_partner_are_ringed(open_map):
    at = open_map()
    at.number_input(key="feature").set_value(int(ORDER[2])).run()
    picked = rows_sent(at)[messages(at)["marks"]["picked"]]
    assert sorted(picked.tolist()) == [int(ORDER[2]), N_A + 2]


def test_a_click_in_b_picks_the_partner_in_a(open_map):
    a, b = (opened.dictionary(id_of(open_map.folder, name)) for name in "ab")
    matched = matching_studies.study(a, b, "decoder", "one-to-one", 0.7)
    stack = feature_map.stack([a.id, b.id])
    found = MapStudy(LayoutSettings("pca"), [a.id, b.id], stack, feature_map.pca_map([a.id, b.id]), None, None)
    matching = matching_studies.matching(matched)
    drawn = JointMap(matched, found, matching, partner_rows(matching, least=0.7))
    for row, expected in ((5, 5), (N_A + 4, int(ORDER[4])), (N_A + N_B - 1, int(ORDER[4]))):
        drawn.pick(row)
        assert st.session_state["feature"] == expected
    assert st.session_state["match_feature_b"] == N_B - 1
    st.session_state["feature"] = N_A  # kept from a wider dictionary
    assert drawn.picked() == []


def test_a_click_on_a_feature_of_b_without_a_partner_is_answered(open_map):
    at = open_map()
    point = int(np.flatnonzero(rows_sent(at) == N_A + N_B - 1)[0])
    at.session_state[KEY] = {"point": {"point": point, "digest": messages(at)["points"]["digest"]}}
    assert f"Feature {N_B - 1} of B has no partner" in at.run().info[0].value


def test_features_can_be_coloured_by_how_alike_their_match_is(open_map):
    at = open_map(match_map_colour="Similarity of the match")
    assert messages(at)["colours"]["title"] == "Similarity of the match"


def test_dictionaries_of_other_spaces_are_refused_by_name(open_map):
    planted_dictionary(d_in=6).save(open_map.folder / "narrow")
    at = open_map(b=id_of(open_map.folder, "narrow"))
    assert not at.exception
    assert "cannot be compared" in at.error[0].value
