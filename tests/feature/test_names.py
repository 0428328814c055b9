"""Names of features: what they are made of, and which comes first."""

from types import SimpleNamespace

import numpy as np
import pytest

from core.activations.token_pass import activation_pass, open_store
from core.feature.names import LONGEST, feature_names, one_line, own_names, promoted_tokens, strongest_tokens
from core.feature.nearest_embeddings import nearest_embeddings
from core.feature.notes import Note
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.unembedding import Unembedding
from core.work.artifacts import ArtifactStore
from tests.doubles import pages, planted_pages
from tests.doubles.activation_rows import dense, planted
from tests.doubles.planted import planted_model
from ui.studies import compute

ROWS = np.random.default_rng(1).integers(0, 9, (11, 7))  # few tokens, so that each comes often
STRINGS = ("import", " os", "\n", "x" * 60)


@pytest.fixture
def passed(tmp_path):
    dictionary, model, artifacts = planted("standard"), planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    statistics = activation_pass(dictionary, model, ROWS, artifacts, block_rows=4, left_out=(3,))
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=4, left_out=(3,))
    return SimpleNamespace(store=store, statistics=statistics, f=dense(dictionary, model, ROWS))


def slow(f: np.ndarray) -> list[int]:
    """For each feature the token with the largest sum of |f|, one feature and token at a time."""
    f = np.where((ROWS == 3)[..., None], 0, np.abs(f.astype(float)))
    totals = np.array([f[token == ROWS].sum(axis=0) for token in range(9)])
    return [int(totals[:, i].argmax()) if totals[:, i].any() else -1 for i in range(f.shape[-1])]


@pytest.mark.parametrize("pairs", [1, 5, 40, 10**6])
def test_the_strongest_token_holds_most_of_a_features_activation_however_little_memory_there_is(passed, pairs):
    found = strongest_tokens(passed.store, passed.statistics, budget_bytes=16 * pairs)
    assert found.token.tolist() == slow(passed.f)
    assert 3 not in found.token


def test_a_feature_that_treats_all_tokens_alike_promotes_none():
    directions = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    rows = np.array([[1.0, 0.0], [3.0, 1.0], [2.0, 0.0]], np.float32)
    unembedding = Unembedding(rows, np.arange(3))
    assert promoted_tokens(logit_statistics(directions, unembedding, center="mean")).tolist() == [1, -1]


def test_a_name_says_what_a_feature_fires_on_and_what_it_promotes():
    fires_on = np.array([0, 2, -1, -1])
    names = feature_names(4, STRINGS, fires_on=fires_on, promotes=np.array([1, 1, 1, -1]))
    assert names.text == ("'import' → ' os'", r"'\n' → ' os'", "→ ' os'", "")
    assert feature_names(4, STRINGS, fires_on=fires_on).text == ("'import'", r"'\n'", "", "")
    assert not feature_names(4, STRINGS)


def test_a_feature_of_which_nothing_else_is_known_is_named_by_the_nearest_embedding():
    nearest = np.array([1, 1, -1])
    assert feature_names(3, STRINGS, nearest=nearest).text == ("≈ ' os'", "≈ ' os'", "")
    assert feature_names(3, STRINGS, fires_on=np.array([0, -1, -1]), nearest=nearest).text[:2] == (
        "'import'",
        "≈ ' os'",
    )


@pytest.mark.parametrize("block", [1, 3, 512])
def test_the_nearest_embedding_is_that_of_a_double_loop_at_any_block_and_of_ties_the_first(block):
    rng = np.random.default_rng(3)
    W_E, directions = rng.normal(size=(9, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    W_E[6] = 2 * W_E[2]  # as near as token 2
    W_E[4] = 0
    directions[0], directions[1], directions[2, 0] = W_E[6], 0, np.nan
    found = nearest_embeddings(directions, W_E, block=block)
    assert found[:3].tolist() == [2, -1, -1]
    for direction, token in zip(directions[3:].astype(float), found[3:], strict=True):
        cosines = [
            direction @ row / np.linalg.norm(direction) / np.linalg.norm(row) if row.any() else 0
            for row in W_E.astype(float)
        ]
        assert token == int(np.argmax(cosines))
    opposite = nearest_embeddings(-np.ones((1, 2), np.float32), np.ones((3, 2), np.float32))
    assert opposite.tolist() == [-1]


def test_a_label_comes_before_tokens_and_an_own_note_before_a_label():
    names = feature_names(2, STRINGS, fires_on=np.array([0, 0]), labels={1: "brackets"})
    assert names.text == ("'import'", "brackets")
    own = own_names({1: Note.of("\nopening ones\nand more", ["b"]), 0: Note.of("", ["code", "python"])})
    assert own == {1: "opening ones", 0: "code, python"}
    assert type(names)(names.text, own).of(1) == "opening ones"


def test_a_feature_that_is_not_there_has_no_name():
    names = feature_names(2, STRINGS, labels={1: "brackets"})
    assert [names.of(i) for i in (-1, 2, 10**9)] == ["", "", ""]


def test_a_name_is_short_and_shows_what_cannot_be_printed():
    assert len(one_line("word " * 50)) == LONGEST
    assert one_line("a\u202eb\x07") == r"a\u202eb\x07"
    assert len(feature_names(1, STRINGS, fires_on=np.array([3])).of(0)) < 20


def test_no_model_is_opened_for_names_before_any_are_stored(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    asked = []
    with pages.page(tmp_path, monkeypatch, "geometry") as open_page:
        with monkeypatch.context() as patch:
            patch.setattr("ui.studies.names._hash_is_known", lambda model: asked.append(model) or False)
            pages.fine(open_page())
        assert not asked
        at = open_page(
            {"tab": "Nearest features"}
        ).run()  # the sidebar has opened the model at the end of the first run
        assert pages.table(at, "neighbor_name")["neighbor_name"].str.startswith("≈").any()
    with pages.page(tmp_path, monkeypatch, "logit_weights") as open_page:
        pages.fine(open_page())
        assert compute.store().holds_kind("logit-statistics")
        assert "→" in pages.table(open_page(), "feature_name")["feature_name"].iloc[0]


def test_a_page_is_drawn_before_the_sidebar_opens_its_model(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    order = []
    monkeypatch.setattr("ui.geometry.distances.distances", lambda study: order.append("page"))
    monkeypatch.setattr("ui.sidebar.dictionary_finder.offer_missing", lambda: order.append("model"))
    with pages.page(tmp_path, monkeypatch, "geometry") as open_page:
        pages.fine(open_page())
    assert order == ["page", "model"]
