"""The stability page on a planted workspace with seeds of its dictionary, run by AppTest through the router."""

import sys
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest

from core.dictionaries.sources import open_dictionary
from core.workspace import Workspace
from demo.settings import DICTIONARIES_DIR
from tests.doubles import pages, planted_pages
from tests.doubles.pages import button, fine, table, text_of
from tests.doubles.planted import planted_dictionary
from ui.stability.life import open_node
from ui.studies import feature_columns
from ui.studies.stability import Choice

ALWAYS, ONCE = (3, 4, 5), (0, 1)
"""The features of the planted dictionary that both seeds have, and those that one of them has."""
demo = pytest.mark.skipif(not (DICTIONARIES_DIR / "index.json").exists(), reason="the demo is not trained")


def write_seeds(root):
    """Write `root/seed1` and `root/seed2`, in which some features of the planted dictionary return."""
    own = open_dictionary(f"folder/{root / 'dictionary'}", Workspace(roots=(root,)))
    for seed, kept in ((1, (*ALWAYS, *ONCE)), (2, ALWAYS)):
        other = planted_dictionary(seed=10 + seed)
        W_dec, W_enc = 0.01 * other.W_dec, 0.01 * other.W_enc
        W_dec[: len(kept)], W_enc[:, : len(kept)] = own.W_dec[list(kept)], own.W_enc[:, list(kept)]
        # Others point away from what the first features of the planted dictionary write.
        W_dec[len(kept) :] -= own.W_dec.mean(axis=0)
        planted_dictionary(tensors={"W_dec": W_dec, "W_enc": W_enc}, title=f"seed {seed}").save(root / f"seed{seed}")


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens the page on the planted dictionary, its seeds chosen, with a query."""
    planted_pages.write_workspace(tmp_path)
    write_seeds(tmp_path)
    usual = {"st_others": [planted_pages.id_of(tmp_path, f"seed{seed}") for seed in (1, 2)], "st_threshold": "0.99"}
    with pages.page(tmp_path, monkeypatch, "stability") as run:
        yield lambda query=None: run(usual | (query or {}))


def test_features_are_counted_in_the_others_with_chance_beside(open_page):
    at = fine(open_page())
    features = table(at, "return_share").set_index("feature")
    assert features["return_count"][list(ALWAYS)].tolist() == [2, 2, 2]
    assert features["return_count"][list(ONCE)].tolist() == [1, 1]
    assert features["return_count"].drop([*ALWAYS, *ONCE]).tolist() == [0] * 7
    assert (features["return_chance"] < 0.02).all()
    shares = table(at, "returned_in")
    assert shares["returned_share"].tolist() == pytest.approx([5 / 12, 3 / 12])
    assert len(at.get("vega_lite_chart")) == 2
    assert "cosine over 0.99 with its nearest feature there" in text_of(at, "caption")


def test_where_chance_alone_reaches_the_threshold_the_note_says_that_it_is_raised(open_page):
    at = fine(open_page({"st_threshold": "0.1", "st_rule": "Each other's nearest"}))
    assert "raised by chance for 2 of 2" in text_of(at, "caption")


def test_a_pattern_joins_all_dictionaries_that_fit(open_page, tmp_path):
    at = fine(open_page({"st_others": None, "st_glob": f"{tmp_path.resolve()}/seed?"}))
    assert not at.multiselect(key="st_others").value
    assert len(table(at, "returned_in")) == 2
    at = open_page({"st_others": None, "st_glob": "DEMO/layer2-*"})
    assert len(at.error) == 1  # they are of another model
    assert "their directions cannot be compared" in at.error[0].value
    assert not open_page({"st_glob": "/etc/*"}).exception
    at = open_page({"st_others": None, "st_glob": "nothing-like-this*"})
    assert "No listed dictionary but the picked one fits nothing-like-this*" in text_of(at, "warning")


def test_a_training_run_joins_with_all_its_seeds(open_page, tmp_path, monkeypatch):
    for seed in (1, 2):
        copytree(tmp_path / f"seed{seed}", tmp_path / "runs" / "mine" / f"seed{seed}")
    monkeypatch.setattr("sys.argv", [*sys.argv, "--runs", str(tmp_path / "runs")])
    at = fine(open_page({"st_others": None, "st_runs": ["mine"]}))
    assert at.multiselect(key="st_runs").options == ["mine"]
    assert table(at, "returned_in")["returned_share"].tolist() == pytest.approx([5 / 12, 3 / 12])


def test_a_single_dictionary_and_another_space_are_refused_in_words(open_page, tmp_path):
    at = open_page({"st_others": None})
    assert not at.exception
    assert "is a single dictionary" in at.error[0].value
    planted_dictionary(d_in=9, title="wide").save(tmp_path / "wide")
    at = open_page({"st_others": [planted_pages.id_of(tmp_path, "wide"), f"folder/{tmp_path / 'nothing'}"]})
    assert not at.exception
    assert len(at.error) == 2
    assert "their directions cannot be compared" in text_of(at, "error")


def test_stability_is_a_column_of_the_table_of_all_features_and_a_colour_of_maps(open_page, tmp_path, monkeypatch):
    chosen = Choice(tuple(planted_pages.id_of(tmp_path, f"seed{seed}") for seed in (1, 2)), threshold=0.99)
    with pages.page(tmp_path, monkeypatch, "overview") as run:
        at = run({"tab": "Table of features"})
        at.session_state["_stability"] = chosen
        fine(button(at, "Stability").click().run())
        whole = table(at, "return_share").set_index("feature")
        assert whole["return_share"][list(ALWAYS + ONCE)].tolist() == [1, 1, 1, 0.5, 0.5]
    with pages.page(tmp_path, monkeypatch, "feature_map") as run:
        at = run({"map_colour": "return_share"})
        assert "return_share" in feature_columns.COLUMNS
        assert not at.exception


def test_what_is_left_over_is_compared_with_random_subspaces(open_page):
    at = fine(open_page({"tab": "Left over"}))
    numbers = table(at, "span_overlap")
    assert numbers[["leftover_a", "leftover_b"]].to_numpy().tolist() == [[7, 7]]
    assert 0 <= numbers["random_overlap"][0] <= 1
    assert "random subspaces" in text_of(at, "caption")
    assert at.get("vega_lite_chart")


def test_statistics_of_weights_and_text_are_correlated_with_returning(open_page, monkeypatch):
    planted_pages.read_little_text(monkeypatch)
    at = fine(open_page({"tab": "What goes with it"}))
    found = table(at, "companion_q").set_index("companion")
    assert {"Encoder norm", "Encoder bias", "Nearest cosine", "Density", "Variance it explains"} <= set(found.index)
    assert found["companion_features"]["Encoder norm"] == 12
    assert "rows of 6 tokens" in text_of(at, "caption")


def test_the_stable_core_is_offered_with_what_it_explains(open_page, monkeypatch):
    planted_pages.read_little_text(monkeypatch)
    at = fine(open_page({"tab": "Stable core"}))
    assert "3 of 12 features return in at least 2 of 2" in text_of(at, "markdown")
    at.slider(key="st_times").set_value(1).run()
    assert "5 of 12 features return in at least 1 of 2" in text_of(fine(at), "markdown")
    assert table(at, "core_features")["core_features"].tolist() == [12, 5]


def test_where_no_feature_returns_in_all_that_is_a_finding_with_the_level_that_has_some(open_page, tmp_path):
    planted_dictionary(seed=99, title="stranger").save(tmp_path / "stranger")
    others = [planted_pages.id_of(tmp_path, name) for name in ("seed1", "seed2", "stranger")]
    at = open_page({"tab": "Stable core", "st_others": others})
    assert not at.exception
    assert not at.error
    said = "No feature returns in all 3 other dictionaries. The most is 2 of 3: 3 features return in so many."
    assert said in text_of(at, "info")
    at = open_page({"tab": "Stable core", "st_others": others[2:]})
    assert not at.error
    assert "No feature returns in the other dictionary, so there is no stable core" in text_of(at, "info")


def test_without_a_series_of_layers_the_page_says_where_there_is_one(open_page):
    assert "The demo has such a series" in text_of(fine(open_page({"tab": "Life over layers"})), "info")


@demo
def test_the_demos_seeds_data_types_and_widths_are_chosen_at_first(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "stability") as run:
        at = fine(run({"sae": "demo/layer2-standard-512", "st_glob": "demo/layer2-standard-1*"}))
    chosen = at.multiselect(key="st_others").value
    assert {"demo/layer2-standard-1024", "demo/layer2-standard-2048"} <= set(chosen)
    assert all(id.startswith("demo/layer2-") for id in chosen)
    shares = table(at, "returned_in")
    assert len(shares) == len(chosen)
    assert (shares["random_share"] < shares["returned_share"]).all()
    assert np.isfinite(shares["return_threshold"]).all()


@demo
def test_the_demos_labels_give_bars_by_factor(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "stability") as run:
        others = [f"demo/layer2-standard-{name}" for name in ("1024", "2048", "2048-seed1", "2048-prose")]
        at = fine(run({"sae": "demo/layer2-standard-512", "tab": "Factors", "st_others": others}))
    bars = table(at, "match_factor")
    assert set(bars["match_factor"]) == {"seed", "data", "width"}
    assert (bars["returned_share"] > bars["random_share"]).all()


@demo
def test_a_feature_of_the_demo_is_followed_through_its_layers_and_a_node_opens_its_feature(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "stability") as run:
        query = {
            "sae": "demo/layer1-standard-2048",
            "tab": "Life over layers",
            "st_others": "demo/layer0-standard-2048",
        }
        at = fine(run(query))
        layers = at.multiselect(key="st_layers").value
        assert layers == ["0", "1", "2", "3", "3 resid_post"]
        edges, steps = table(at, "life_from"), table(at, "life_fate")
        assert edges["life_step"].tolist()[:3] == ["1 → 2", "2 → 3", "3 → 3 resid_post"]
        assert set(steps["life_fate"]) <= {"passes through", "born here", "dies here", "here alone"}
        study = SimpleNamespace(dictionaries=[SimpleNamespace(id=f"demo/{i}") for i in range(5)])
        state = {"st-life": {"selection": {"node": [{"level": 2, "feature": 7}]}}}
        monkeypatch.setattr("streamlit.session_state", state)
        open_node(study)
        assert (state["sae"], state["feature"]) == ("demo/2", 7)
