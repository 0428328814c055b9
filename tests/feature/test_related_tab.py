"""What a feature is related to and its notes, drawn on a planted workspace."""

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.feature.correlated_neurons import NeuronCost
from core.feature.note_store import NoteStore
from core.feature.notes import Note, Notes
from core.work.artifacts import ArtifactStore
from tests.doubles import pages, planted_pages
from tests.doubles.pages import table
from tests.doubles.planted import planted_dictionary
from tests.feature import relation_app
from ui.studies import opened, relations


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A planted workspace, and the arguments that make the app use it."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path), "--notes", str(tmp_path / "notes")):
        yield tmp_path


def page(view: str, **url: str) -> AppTest:
    at = pages.run(Path(relation_app.__file__), {"view": view, "sae": opened.dictionary_ids()[0], **url})
    assert not at.exception
    return at


def notes_of(workspace) -> NoteStore:
    return NoteStore(workspace / "notes", opened.dictionary(opened.dictionary_ids()[0]).folded_sha256, "t", 12)


def test_the_nearest_and_the_correlated_features_are_listed_without_the_feature_itself(workspace):
    at = page("related", feature="6")
    assert not [error.value for error in at.error]
    near = table(at, "neighbor")
    assert 6 not in near["neighbor"].tolist()
    assert len(near) == 11
    alike = table(at, "correlated_feature")
    assert 6 not in alike["correlated_feature"].tolist()
    assert (alike["feature_correlation"].diff().dropna() <= 0).all()


def test_a_direction_of_ones_own_is_searched_among_all_features(workspace):
    at = page("nearest", own="1")
    assert len(table(at, "neighbor")) == 12
    at = page("correlated", own="1")
    assert not at.error
    assert "correlated_feature" in at.dataframe[0].value.columns


def test_most_opposed_features_have_correlations_below_0(workspace):
    at = page("correlated", feature="6", rel_end="Most opposed")
    assert (table(at, "correlated_feature")["feature_correlation"] < 0).all()


def test_a_dead_feature_says_so_and_still_has_coefficients(workspace):
    found = opened.dictionary(opened.dictionary_ids()[0])
    dead = int(np.flatnonzero(found.b_enc < -1)[0])
    folder = workspace / "dead"
    b_enc = found.b_enc.copy()
    b_enc[dead] = -1e6
    tensors = {"W_enc": found.W_enc, "W_dec": found.W_dec, "b_dec": found.b_dec, "b_enc": b_enc}
    planted_dictionary(context_size=planted_pages.C, tensors=tensors).save(folder)
    at = page("related", sae=str(folder), feature=str(dead))
    assert not at.error
    assert any("active on no token" in info.value for info in at.info)
    assert any("Effective" in metric.label for metric in at.metric)


STREAM = "blocks.0.hook_resid_pre"
"""Units that need no running model."""


def test_units_are_correlated_when_asked_for_and_there_afterwards(workspace):
    at = page("neurons", feature="6")
    assert at.selectbox(key="rel_hook").value == "blocks.0.mlp.hook_post"
    at.selectbox(key="rel_hook").set_value(STREAM).run()
    assert not at.get("vega_lite_chart")
    at.button(key="rel_run").click().run()
    assert not at.exception
    assert not at.error
    assert at.get("vega_lite_chart")
    assert page("neurons", feature="3", rel_hook=STREAM).get("vega_lite_chart"), "all were correlated at once"


def test_a_long_run_of_the_model_waits_for_a_second_press(workspace, monkeypatch):
    cost = NeuronCost(10**6, 3, 400.0)
    monkeypatch.setattr(relations, "neuron_cost", lambda *_: cost)
    at = page("neurons", feature="6", rel_hook=STREAM)
    at.button(key="rel_run").click().run()
    assert "1,000,000 tokens, 3 times" in at.info[0].value.replace("\\", "")
    assert "about 7 min" in at.info[0].value
    at.button(key="rel_start").click().run()
    assert at.get("vega_lite_chart")


def test_coefficients_follow_the_basis_that_is_picked(workspace):
    at = page("coefficients", feature="3")
    assert [metric.label for metric in at.metric][1] == "Coefficients over 0.1"
    assert at.metric[1].value == "1"  # feature 3 is one dimension of the stream
    at.selectbox(key="rel_basis").set_value("Neurons of layer 1").run()
    assert not at.exception
    assert not at.error
    assert at.metric[1].value != "1"


def test_a_second_dictionary_shows_the_copy_of_a_feature_and_links_to_the_pair(workspace):
    found, order = opened.dictionary(opened.dictionary_ids()[0]), np.random.default_rng(5).permutation(12)
    tensors = {"W_enc": found.W_enc[:, order], "W_dec": found.W_dec[order]}
    planted_dictionary(context_size=planted_pages.C, tensors=tensors).save(workspace / "second")
    at = page("second_dictionary", feature="6", b=str(workspace / "second"))
    assert not at.error
    best = table(at, "best_match").iloc[0]
    assert best["best_match"] == list(order).index(6)
    assert best["alignment"] == pytest.approx(1)
    url = at.get("link_button")[0].proto.url
    assert url.startswith("matching?")
    assert f"match_feature_b={list(order).index(6)}" in url


def test_the_feature_of_a_dictionary_is_not_matched_with_itself(workspace):
    at = page("second_dictionary", feature="6", b=opened.dictionary_ids()[0])
    assert "own dictionary" in at.info[0].value


def test_what_is_typed_is_kept_outside_the_cache_and_shown_as_it_is(workspace):
    at = page("notes", feature="3")
    store = notes_of(workspace)
    at.text_area[0].set_value("<script>alert(1)</script> $x$").run()
    at.multiselect[0].set_value(["code"]).run()
    assert not at.exception
    assert store.read().by_feature == {3: Note("<script>alert(1)</script> $x$", ("code",))}
    ArtifactStore(workspace / "cache").clear()
    at = page("notes", feature="3")
    assert at.text_area[0].value == "<script>alert(1)</script> $x$"
    assert at.multiselect[0].value == ["code"]
    assert table(at, "feature_note")["feature"].tolist() == [3]
    at.number_input(key="feature").set_value(4).run()
    assert at.text_area[0].value == ""


def test_the_note_stays_with_a_dictionary_whether_decoder_norms_are_folded_or_not(workspace):
    dictionary = opened.dictionary(opened.dictionary_ids()[0])
    plain = planted_dictionary(fold_decoder_norms=False)
    assert plain.sha256 != plain.folded_sha256 == planted_dictionary(fold_decoder_norms=True).sha256
    assert dictionary.folded_sha256 == dictionary.sha256


def test_a_note_changed_in_two_windows_keeps_both(workspace):
    at = page("notes", feature="3")
    store = notes_of(workspace)
    at.text_area[0].set_value("mine").run()
    store.write(3, Note.of("theirs", ["t"]))
    at.text_area[0].set_value("mine, longer").run()
    assert store.read().by_feature[3] == Note("theirs\n\nmine, longer", ("t",))
    assert at.text_area[0].value == "theirs\n\nmine, longer"
    assert "Another window changed this note too" in at.success[0].value
    store.write(3, Note.of("third"))
    assert at.run().text_area[0].value == "third"


def test_the_list_is_searched_and_a_damaged_file_is_named(workspace):
    store = notes_of(workspace)
    store.write(3, Note.of("fires on brackets", ["code"]))
    store.write(5, Note.of("fires on names"))
    at = page("notes", note_search="NAMES")
    assert table(at, "feature_note")["feature"].tolist() == [5]
    at.text_input(key="note_search").set_value("").run()
    at.multiselect(key="note_tags").set_value(["code"]).run()
    assert table(at, "feature_note")["feature"].tolist() == [3]
    store.path.write_text("{")
    at = page("notes")
    assert "so the app renamed the file" in at.warning[0].value
    assert "No feature" in at.info[0].value


def test_notes_of_a_file_are_added_after_a_word_of_warning(workspace):
    at = page("notes")
    data = Notes("cd" * 32, "another", {2: Note("two"), 3: Note("three")}).to_json()
    at.file_uploader[0].upload("notes.json", data, "application/json").run()
    assert "another dictionary" in at.warning[0].value
    at.button(key="note_add").click().run()
    assert notes_of(workspace).read().by_feature == {2: Note("two"), 3: Note("three")}
    bad = json.dumps({"format": "sae-loupe-notes/v1", "dictionary": {"sha256": "a", "title": ""}, "features": {"x": 1}})
    at.file_uploader[0].upload("notes.json", bad.encode(), "application/json").run()
    assert "'x' is no feature number" in at.error[0].value
