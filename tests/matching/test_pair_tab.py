"""The view of two features side by side, on planted dictionaries."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.activations.store import ActivationBlock, ActivationStore, FeatureActivations
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.matching.two_features import pair_activations
from core.work.artifacts import ArtifactStore
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, reading
from tests.doubles.planted import planted_dictionary
from tests.doubles.planted_pages import id_of
from tests.matching import match_app
from ui.studies import matching_activations, matching_pair, opened

ORDER = np.random.default_rng(5).permutation(12)
"""Feature i of B is feature ORDER[i] of A."""
ROWS = np.random.default_rng(0).integers(0, 257, (4, 6))


def activations(a, b, feature_a: int, feature_b: int):
    """A's feature fires at its own number's position, B's on four tokens of row 0."""
    places = [(np.arange(4), np.full(4, feature_a % 6)), (np.zeros(4, int), np.arange(4))]
    acts = (FeatureActivations(*place, np.ones(len(place[0]), np.float32)) for place in places)
    return pair_activations(ROWS, *acts), "4 rows of 6 tokens, a planted text"


@pytest.fixture
def open_pair(tmp_path, monkeypatch):
    """Return a function that opens a pair of a planted dictionary and a permuted copy."""
    planted_pages.write_workspace(tmp_path)

    def run(i: int, j: int, b: str = "copy", **query) -> AppTest:
        usual = {"a": id_of(tmp_path), "b": id_of(tmp_path, b), "view": "pair", "i": i, "j": j}
        return pages.run(Path(match_app.__file__), usual | query)

    run.folder = tmp_path
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        a = opened.dictionary(id_of(tmp_path))
        tensors = {"W_enc": a.W_enc[:, ORDER], "W_dec": a.W_dec[ORDER], "b_enc": a.b_enc[ORDER], "b_dec": np.zeros(8)}
        planted_dictionary(context_size=planted_pages.C, tensors=tensors).save(tmp_path / "copy")
        yield run


def test_a_feature_and_its_copy_agree(open_pair):
    at = fine(open_pair(int(ORDER[4]), 4))
    for label in ("Decoder cosine of the match", "Encoder cosine of the match", "Correlation of logit weights"):
        assert reading(at, label) == "1.000"
    tokens = [d.value for d in at.dataframe if "direction" in d.value]
    assert len(tokens) == 2
    assert tokens[0].equals(tokens[1])
    assert at.get("vega_lite_chart")


def test_other_features_have_the_correlation_of_their_logit_weights(open_pair):
    at = open_pair(0, 1)
    a = opened.dictionary(id_of(open_pair.folder))
    model = opened.model_of(a)
    rows = residual_directions(a, model, LogitSettings())[[0, ORDER[1]]].astype(float)
    weights = rows @ unembedding(model, LogitSettings()).rows.T.astype(float)
    assert reading(at, "Correlation of logit weights") == f"{np.corrcoef(weights)[0, 1]:.3f}"


def test_activations_are_compared_once_that_is_asked_for(open_pair, monkeypatch):
    monkeypatch.setattr(matching_pair, "activations", activations)
    at = open_pair(0, 1)
    assert not [metric for metric in at.metric if metric.label == "Activation correlation"]
    at.toggle(key="match_pair_text").set_value(True).run()
    assert not at.exception
    assert not at.error
    dense = np.zeros((2, *ROWS.shape))
    dense[0, :, 0], dense[1, 0, :4] = 1, 1
    assert reading(at, "Activation correlation") == f"{np.corrcoef(dense.reshape(2, -1))[0, 1]:.3f}"
    assert reading(at, "Masked cosine") == f"{1 / 2:.3f}"
    captions = "\n".join(caption.value for caption in at.caption).replace("\\", "")
    assert "24 tokens: 4 rows of 6 tokens, a planted text" in captions
    assert "A fires on 4, B on 4, both on 1" in captions


def test_activations_are_read_from_the_stores_of_both_on_one_text(tmp_path, monkeypatch):
    a, b = planted_dictionary(seed=1), planted_dictionary(seed=2, d_sae=5)
    stores = [ActivationStore(ArtifactStore(tmp_path), d.sha256, "model", ROWS, block_rows=3) for d in (a, b)]
    for store, feature in zip(stores, (7, 3), strict=True):
        for i, part in enumerate(store.parts):
            n = ROWS[part].size  # active on the last token of each block
            ends, features = np.repeat([0, 1], [n - 1, 1]), np.array([feature])
            empty = np.zeros((1, 6), np.float32)
            store.save(i, ActivationBlock(ROWS[part], ends, features, np.array([feature / 10]), empty, empty.T))
    tokens = SimpleNamespace(store_a=stores[0], store_b=stores[1], rows=ROWS, text="a planted text")
    monkeypatch.setattr(matching_activations, "shared", lambda *_: tokens)
    monkeypatch.setattr("sys.argv", ["app.py"])
    found, text = matching_pair.activations(a, b, 7, 3)
    assert text == "a planted text"
    assert (found.row.tolist(), found.position.tolist()) == ([2, 3], [5, 5])
    assert (found.a.tolist(), found.b.tolist()) == ([0.7, 0.7], [0.3, 0.3])
    assert not len(matching_pair.activations(a, b, 8, 4)[0].row)


def test_density_and_position_are_computed_when_asked(open_pair, monkeypatch):
    planted_pages.count_no_text(monkeypatch)
    at = open_pair(planted_pages.POSITIONAL, 4, match_pair_more="true")
    assert not at.exception
    found = [metric.value for metric in at.metric if metric.label == "Density"]
    assert found == ["0.03", "0.04"]
    peaks = [metric.value for metric in at.metric if metric.label.startswith("Peak")]
    assert peaks[0] == str(planted_pages.PEAK)


def test_a_dictionary_whose_model_is_not_here_is_shown_by_its_directions(open_pair):
    foreign = planted_dictionary(metadata={"model_name": "elsewhere"}, hook_name="blocks.9.hook_resid_pre")
    foreign.save(open_pair.folder / "foreign")
    at = open_pair(0, 1, b="foreign")
    assert not at.exception
    assert "No logit weights of" in at.warning[0].value
    assert reading(at, "Decoder cosine of the match") == "n/a"
    assert [metric.value for metric in at.metric if metric.label == "Nearest cosine"][1] != "n/a"


def test_a_feature_that_does_not_exist_is_named(open_pair):
    at = open_pair(0, 99)
    assert not at.exception
    assert "Feature of B" in at.error[0].value
    assert "99" in at.error[0].value


def test_a_feature_that_writes_nothing_has_no_tokens_and_no_correlation(open_pair):
    W_dec = np.random.default_rng(0).normal(size=(12, 8))
    W_dec[4] = 0
    planted_dictionary(context_size=planted_pages.C, tensors={"W_dec": W_dec}).save(open_pair.folder / "blank")
    at = open_pair(0, 4, b="blank")
    assert not at.exception
    assert "nothing to sort" in at.info[0].value
    assert reading(at, "Correlation of logit weights") == "n/a"
    assert reading(at, "Decoder cosine of the match") == "n/a"
