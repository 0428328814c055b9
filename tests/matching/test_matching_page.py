"""The matching page on a planted workspace and on the demo, run by AppTest through the router."""

from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.dictionaries.sources import demo, open_dictionary
from core.matching.comparison import Weights, compare, compare_weights
from core.matching.file import from_json, match_file, to_json
from core.matching.null import own_nearest, shuffled
from core.matching.numbers import pair_numbers
from core.matching.pairs import match
from core.matching.tables import decile_table, unmatched_table
from core.workspace import Workspace
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, table
from tests.doubles.planted import planted_dictionary
from ui.matching.picker import choose_pair
from ui.studies import matching, opened, second_dictionary

ORDER = np.random.default_rng(5).permutation(12)
COPIES = 9
"""So many features of B are those of A in another order and scaled; the others point elsewhere."""
TABS = ["Similarity", "Both sides", "Lists", "Match against density", "Pair", "Joint map", "Match file"]
DEMO = "demo/layer2-standard-2048"


def write_second(root):
    """Write `root/second`: features of the planted dictionary in ORDER, the last three drawn anew."""
    first = open_planted(root / "dictionary")
    rng = np.random.default_rng(9)
    W_enc, W_dec = first.W_enc[:, ORDER] * 2, first.W_dec[ORDER] * 3
    W_enc[:, COPIES:], W_dec[COPIES:] = rng.normal(size=(8, 3)), rng.normal(size=(3, 8))
    planted_dictionary(tensors={"W_enc": W_enc, "W_dec": W_dec}, seed=2).save(root / "second")


def open_planted(folder):
    return open_dictionary(f"folder/{folder}", Workspace(roots=(folder.parent,)))


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the matching page with a query and runs it; `root` holds the dictionaries."""
    planted_pages.write_workspace(tmp_path)
    write_second(tmp_path)
    # Reading text would import torch; tests/activations/test_studies.py does that.
    planted_pages.count_no_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "matching", "--sae", str(tmp_path / "second")) as run:
        yield run


def readings(at: AppTest) -> dict:
    return {metric.label: metric for metric in at.metric}


def share(text: str) -> float:
    return float(text.removeprefix("by chance ").rstrip("%")) / (100 if text.endswith("%") else 1)


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_from_a_link_without_an_exception(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value == "Matching two dictionaries"
    assert at.selectbox(key="b").value.endswith("second"), "the next dictionary of the list is compared with"


def test_a_permuted_rescaled_copy_is_matched_and_the_rest_is_listed_for_each_alone(open_page):
    at = open_page({"tab": "Lists", "match_threshold": "0.99"})
    found = table(at, "match_score")
    pairs = dict(zip(found["feature_a"], found["feature_b"], strict=True))
    assert pairs == {int(a): b for b, a in enumerate(ORDER[:COPIES])}
    assert found["agreement"].all()
    np.testing.assert_allclose(found["alignment"], 1, atol=1e-6)
    at.segmented_control(key="match_list").set_value("A only").run()
    assert set(table(at, "best_match")["feature_a"]) == set(ORDER[COPIES:].tolist())
    assert table(at, "best_match")["best_similarity"].is_monotonic_increasing
    at.segmented_control(key="match_list").set_value("B only").run()
    assert set(table(at, "best_match")["feature_b"]) == {9, 10, 11}


def test_the_readings_are_those_of_core_and_stand_beside_chance(open_page):
    for similarity in ("decoder", "encoder", "both"):
        at = open_page({"match_similarity": similarity.capitalize(), "match_threshold": "0.6"})
        assert not at.exception
        comparison = second_dictionary.comparison(opened.dictionary(at.selectbox(key="sae").value), second(at))
        expected = pair_numbers(comparison, similarity, threshold=0.6)
        chance = compare_weights(comparison.a, shuffled(comparison.b))
        by_chance = pair_numbers(chance, similarity, threshold=0.6)
        found = readings(at)
        assert found["MMCS, A in B"].value == f"{expected['mmcs_ab']:.3f}"
        assert found["Matched, B in A"].value == f"{expected['ratio_ba']:.1%}"
        assert found["PW-MCC"].value == f"{expected['pw_mcc']:.3f}"
        assert found["Shared features"].value == f"{expected['shared']:.1%}"
        if similarity != "both":
            best = comparison.between(similarity).a_in_b_cos[:, 0]
            assert found["MMCS, A in B"].value == f"{best.mean(dtype=float):.3f}"
        assert found["PW-MCC"].delta == f"by chance {by_chance['pw_mcc']:.3f}"


def second(at: AppTest):
    return opened.dictionary(at.selectbox(key="b").value)


def test_a_dictionary_with_itself_offers_the_control_instead(open_page, tmp_path):
    at = open_page({"b": f"folder/{(tmp_path / 'dictionary').resolve()}"})
    assert not at.exception
    assert "are one dictionary" in at.info[0].value
    assert [tab.label for tab in at.tabs] == ["Control"]
    assert len(at.get("vega_lite_chart")) == 2


def test_controls_on_the_page_leave_out_the_features_that_matches_leave_out(open_page, tmp_path):
    first = open_planted(tmp_path / "dictionary")
    W_enc = first.W_enc.copy()
    W_enc[:, :4] = 0
    planted_dictionary(tensors={"W_enc": W_enc}).save(tmp_path / "half")
    half = f"folder/{(tmp_path / 'half').resolve()}"
    fine(open_page({"sae": half, "tab": "Similarity"}))
    a, b = (opened.dictionary(id) for id in (half, f"folder/{(tmp_path / 'second').resolve()}"))
    study = matching.study(a, b, "decoder", "one-to-one", 0.7)
    for side in ("decoder", "encoder"):
        own = matching.own(study, "a", side)
        np.testing.assert_array_equal(own, own_nearest(Weights.of(a), side))
        assert np.flatnonzero(np.isnan(own)).tolist() == [0, 1, 2, 3]
    at = fine(open_page({"sae": half, "b": half}))
    assert [tab.label for tab in at.tabs] == ["Control"]


def test_dictionaries_of_other_models_and_damaged_links_are_explained(open_page, tmp_path):
    planted_dictionary(metadata={"model_name": "another"}).save(tmp_path / "other")
    at = open_page({"b": f"folder/{(tmp_path / 'other').resolve()}"})
    assert not at.exception
    assert "cannot be compared" in at.error[0].value
    assert "by the tokens on which they fire" in at.info[0].value
    at = open_page({"b": "demo/nothing", "match_threshold": "7", "match_method": "magic", "tab": "X"})
    assert not at.exception
    assert "no dictionary called" in at.error[0].value


def test_another_centring_is_warned_of_and_compared_all_the_same(open_page, tmp_path):
    extra = {"center_writing_weights": True}
    planted_dictionary(metadata={"model_from_pretrained_kwargs": extra}, seed=4).save(tmp_path / "other")
    at = open_page({"b": f"folder/{(tmp_path / 'other').resolve()}"})
    assert not at.exception
    assert any("writing weights centred" in warning.value for warning in at.warning)
    assert "PW-MCC" in readings(at)


def test_where_widths_differ_features_of_the_wider_are_labelled(open_page, tmp_path):
    first = open_planted(tmp_path / "dictionary")
    twice = {"W_enc": np.repeat(first.W_enc, 2, axis=1), "W_dec": np.repeat(first.W_dec, 2, axis=0)}
    twice |= {"b_enc": np.zeros(24)}
    planted_dictionary(d_sae=24, tensors=twice).save(tmp_path / "wide")
    at = open_page({"b": f"folder/{(tmp_path / 'wide').resolve()}", "tab": "Lists", "match_list": "Labels"})
    assert not at.exception
    assert readings(at)["Split"].value == "24"
    found = table(at, "match_label")
    assert found["parent"].tolist() == np.repeat(np.arange(12), 2).tolist()
    at.selectbox(key="b").set_value(f"folder/{(tmp_path / 'second').resolve()}").run()
    assert not at.exception
    assert at.segmented_control(key="match_list").value == "Matched"


def test_the_pair_follows_the_picked_feature_until_a_link_or_a_hand_says_otherwise(open_page):
    place = {int(a): b for b, a in enumerate(ORDER[:COPIES])}
    feature, other = list(place)[:2]
    at = open_page({"tab": "Pair", "feature": str(feature)})
    assert at.number_input(key="match_feature_b").value == place[feature]
    at.number_input(key="match_feature_b").set_value(11).run()
    assert at.number_input(key="match_feature_b").value == 11
    at.number_input(key="feature").set_value(other).run()
    assert at.number_input(key="match_feature_b").value == place[other]
    alone = int(ORDER[COPIES])
    at.number_input(key="feature").set_value(alone).run()
    comparison = second_dictionary.comparison(opened.dictionary(at.selectbox(key="sae").value), second(at))
    assert at.number_input(key="match_feature_b").value == comparison.decoder.a_in_b_idx[alone, 0]
    at.session_state["tab"] = "Lists"
    at.run()
    at.session_state["match_feature_b"] = 9  # as a click on a list does
    at.session_state["tab"] = "Pair"
    at.run()
    assert at.number_input(key="match_feature_b").value == 9
    at = open_page({"tab": "Pair", "feature": str(feature), "match_feature_b": "10"})
    assert at.number_input(key="match_feature_b").value == 10


def test_the_file_is_what_core_writes_and_one_read_back_is_checked_against_what_is_picked(open_page, monkeypatch):
    at = open_page({"tab": "Match file", "match_method": "Mutual"})
    at.button(key="match_make").click().run()
    assert not at.exception
    a, b = opened.dictionary(at.selectbox(key="sae").value), second(at)
    study = matching.study(a, b, "decoder", "mutual", 0.7)
    data = matching.export(study)
    read = from_json(data)
    assert read.matching.b.tolist() == match(compare(a, b), "decoder", "mutual").b.tolist()
    assert {"random", "shuffled", "control_a", "control_b"} <= set(read.null)
    at.file_uploader(key="match_upload").set_value(("m.json", data, "application/json")).run()
    assert [message.value.count("the same weights as") for message in at.success] == [1, 1]
    assert table(at, "match_score")["feature_b"].tolist() == read.matching.b.tolist()
    swapped = match_file(
        b, planted_dictionary(seed=8), match(compare(b, planted_dictionary(seed=8))), settings={}, stats={}, null={}
    )
    at.file_uploader(key="match_upload").set_value(("m.json", to_json(swapped), "application/json")).run()
    warnings = [warning.value for warning in at.warning]
    assert any("are B here, not A" in text for text in warnings)
    assert any("So its weights differ" in text for text in warnings)
    broken = data.replace(b"sae-match/v1", b"sae-match/v9")
    at.file_uploader(key="match_upload").set_value(("m.json", broken, "application/json")).run()
    assert not at.exception
    assert "another version of this app may read" in at.error[0].value


def test_deciles_hold_equal_numbers_of_firing_features_the_rarest_first():
    rng = np.random.default_rng(0)
    density, best = rng.random(53).round(1), rng.normal(size=53)
    density[:3], best[5] = 0, np.nan
    found = decile_table(density, best, threshold=0.2)
    order = sorted((d, i) for i, d in enumerate(density) if d > 0 and not np.isnan(best[i]))
    sizes = found["features_in_bin"].tolist()
    assert sum(sizes) == len(order)
    assert max(sizes) - min(sizes) <= 1
    start = 0
    for row in found.itertuples():
        group = [i for _, i in order[start : start + row.features_in_bin]]
        start += row.features_in_bin
        assert row.density == max(density[i] for i in group)
        assert row.mmcs == pytest.approx(sum(best[i] for i in group) / len(group))
        assert row.matching_ratio == pytest.approx(sum(best[i] > 0.2 for i in group) / len(group))
    assert decile_table(np.zeros(4), np.ones(4), threshold=0.7).empty


def test_features_without_a_match_come_least_similar_first():
    found = unmatched_table(np.array([1, 3]), np.array([9, 0.5, 9, 0.25]), np.array([0, 7, 0, -1]), "b")
    assert found.to_dict("list") == {"feature_b": [3, 1], "best_match": [-1, 7], "best_similarity": [0.25, 0.5]}


@pytest.mark.skipif(not demo.entries(Workspace()), reason="the demo is not trained yet: python -m demo.train")
def test_on_the_demo_two_seeds_share_far_more_than_chance_and_more_than_two_data_sets(open_page):
    found = {}
    for other in ("seed1", "prose"):
        at = open_page({"sae": DEMO, "b": f"{DEMO}-{other}"})
        assert not at.exception
        found[other] = readings(at)
    for name in ("MMCS, A in B", "Matched, A in B", "Matched, one to one", "PW-MCC", "Shared features"):
        seeds, data = (share(found[other][name].value) for other in ("seed1", "prose"))
        chance = share(found["seed1"][name].delta)
        assert seeds > data > chance, name
    assert share(found["seed1"]["Matched, A in B"].value) > 10 * share(found["seed1"]["Matched, A in B"].delta)


def test_a_click_on_a_listed_row_picks_its_features_of_both(monkeypatch):
    state = {"feature": 0}
    monkeypatch.setattr("streamlit.session_state", state)
    study = SimpleNamespace(names=("one", "other"))
    choose_pair(study, np.array([4, 5]), np.array([7, 8]))(1)
    assert (state["feature"], state["match_feature_b"]) == (5, 8)
    assert state["_match_pair_of"] == ("one", "other", 5)
    choose_pair(study, np.array([4, -1]), np.array([7, 9]))(1)
    assert (state["feature"], state["match_feature_b"]) == (5, 9)


@pytest.mark.parametrize("tab", ["Similarity", "Lists", "Both sides", "Pair"])
def test_a_dictionary_of_one_feature_is_compared_without_a_control_of_its_own(open_page, tmp_path, tab):
    planted_dictionary(d_sae=1).save(tmp_path / "single")
    query = {"tab": tab, "b": f"folder/{(tmp_path / 'single').resolve()}", "feature": "11", "match_way": "B in A"}
    for similarity in ("Both", "Encoder"):
        at = open_page(query | {"match_similarity": similarity})
        assert not at.exception
        assert tab == "Pair" or not at.error


def test_numbers_that_are_not_proven_and_copies_are_named_beside_them(open_page, monkeypatch, tmp_path):
    assert not any("not proven" in card.label for card in open_page({"tab": "Similarity"}).metric)
    bound = "not proven: at most 0.01 larger"
    monkeypatch.setattr(matching, "first_doubts", lambda *found: {"pw_mcc": bound})
    monkeypatch.setattr(matching, "agreement_doubts", lambda *found: {"agreeing": "not proven"})
    one = open_planted(tmp_path / "dictionary")
    W_dec = one.W_dec.copy()
    W_dec[7] = W_dec[3]
    planted_dictionary(tensors={"W_enc": one.W_enc, "W_dec": W_dec}, seed=3).save(tmp_path / "copied")
    at = open_page({"tab": "Similarity", "b": f"folder/{(tmp_path / 'copied').resolve()}"})
    read = [caption.value.replace("\\", "") for caption in at.caption]
    assert any("copies too (1 of B with the very weights of another)" in caption for caption in read)
    helps = {card.label.replace("\\", ""): card.help.replace("\\", "") for card in at.metric}
    assert f"This number: {bound}." in helps["PW-MCC (not proven)"]
    labels = {card.label.replace("\\", "") for card in at.metric}
    assert "Both sides agree (not proven)" in labels
    assert "Shared features" in labels
    assert any("(not proven)" in card.delta for card in at.metric)
