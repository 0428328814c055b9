"""The statistics of a token pass against dense float64 doubles."""

import dataclasses
import math

import numpy as np
import pytest

from core import activation_kernels
from core.activation_encoding import Encoder, prepare
from core.activation_pass import activation_pass, estimate_cost
from core.activation_statistics import ExactSum, Tally, bin_edges
from core.artifacts import ArtifactStore
from core.catalogue import ALIASES, STATISTICS
from core.errors import (
    CorpusError,
    DoesNotFitError,
)
from core.reconstruction import error_by_position
from tests.activation_rows import ROWS, assert_same, dense, planted
from tests.planted import planted_dictionary, planted_model

ARCHITECTURES = ["standard", "jumprelu", "gated", "topk", "abstopk", "matching_pursuit", "transcoder"]


@pytest.fixture
def artifacts(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blocks_hold_what_sae_lens_gives_whichever_way_they_are_encoded(tmp_path, monkeypatch, architecture, generic):
    monkeypatch.setattr("core.activation_encoding._FLOATS_PER_TILE", 100)  # 8 tokens
    dictionary, model = planted(architecture), planted_model(tmp_path)
    block = Encoder(dictionary, workers=2, generic=generic).block(model, ROWS)
    f = dense(dictionary, model).reshape(77, -1)
    found = np.zeros_like(f)
    found[np.repeat(np.arange(77), np.diff(block.ends, prepend=0)), block.features] = block.acts
    np.testing.assert_array_equal(found != 0, f != 0)
    np.testing.assert_allclose(found, f, atol=1e-5)
    assert (block.acts != 0).all()
    assert block.rows.tolist() == ROWS.tolist()


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "topk", "abstopk"])
def test_statistics_of_features_are_those_of_a_dense_float64_double(tmp_path, architecture, with_first):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=3)
    f = dense(dictionary, model)[:, 0 if with_first else 1 :].reshape(-1, 12).astype(np.float64)
    table = stats.feature_table(with_first=with_first)
    for feature, line in table.iterrows():
        active = f[:, feature][f[:, feature] != 0]
        assert line["active_tokens"] == len(active)
        assert line["density"] == len(active) / len(f)
        if len(active):
            expected = [active.mean(), active.std(), active.max(), active.min()]
            got = line[["mean_active", "std_active", "largest_activation", "smallest_activation"]]
            np.testing.assert_allclose(got.astype(float), expected, rtol=1e-5, atol=1e-6)
        histogram = stats.histogram[0 if with_first else 1 :, feature].sum(axis=0)
        assert histogram.tolist() == np.histogram(np.abs(active), bin_edges())[0].tolist()
    if architecture == "abstopk":
        assert table["smallest_activation"].min() < 0


def test_statistics_by_position_are_those_of_a_dense_float64_double(tmp_path):
    dictionary, model = planted("jumprelu"), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=2)
    f = dense(dictionary, model).astype(np.float64)
    x = model.activations(ROWS, dictionary.config.hook_name).astype(np.float64)
    x_hat = dictionary.reconstruct(x.astype(np.float32)).astype(np.float64)
    for p, line in stats.position_table().iterrows():
        active = f[:, p][f[:, p] != 0]
        expected = [active.mean(), active.std(), len(active) / f[:, p].size]
        expected += [(np.linalg.norm(x_hat[:, p], axis=1) / np.linalg.norm(x[:, p], axis=1)).mean()]
        expected += [(x_hat[:, p] ** 2).sum() / (x_hat[:, p] * x[:, p]).sum()]
        np.testing.assert_allclose(line.drop("position"), expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder"])
def test_errors_are_those_that_the_error_curves_show(tmp_path, architecture):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=4)
    for first in (0, 1):
        slow = error_by_position(dictionary, model, ROWS, context_size=5, first=first)
        fast = stats.errors(context_size=5, first=first)
        for field in dataclasses.fields(slow):
            assert getattr(fast, field.name) == pytest.approx(getattr(slow, field.name), rel=1e-5), field.name
        whole = error_by_position(dictionary, model, ROWS, context_size=7, first=first).totals().iloc[0]
        totals = stats.totals(with_first=not first)
        for name in ("fve", "mse", "l0"):
            assert totals[name] == pytest.approx(whole[name], rel=1e-5)
        assert totals["nmse"] == pytest.approx(1 - totals["fve"])


def test_a_basis_and_its_negative_reconstruct_exactly(tmp_path):
    Q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))
    W_dec = np.concatenate([Q, -Q])
    tensors = {"W_dec": W_dec, "W_enc": W_dec.T, "b_enc": np.zeros(16), "b_dec": np.zeros(8)}
    stats = activation_pass(planted_dictionary(d_sae=16, tensors=tensors), planted_model(tmp_path), ROWS, None)
    expected = {"fve": 1, "nmse": 0, "mse": 0, "l0": 8, "cosine": 1, "l2_ratio": 1, "reconstruction_bias": 1}
    assert stats.totals() == pytest.approx(expected | {"dead_share": 0}, abs=1e-6)


def test_a_reconstruction_of_half_the_length_says_so(tmp_path):
    tensors = {"W_enc": [[1, -1]], "W_dec": [[0.5], [-0.5]], "b_enc": [0, 0], "b_dec": [0]}
    tensors = {name: np.array(value, np.float32) for name, value in tensors.items()}
    dictionary = planted_dictionary(d_in=1, d_sae=2, tensors=tensors, fold_decoder_norms=False)
    model = planted_model(tmp_path, d_model=1, n_heads=1)
    totals = activation_pass(dictionary, model, ROWS, None).totals()
    assert [totals["l2_ratio"], totals["reconstruction_bias"], totals["cosine"]] == pytest.approx([0.5, 0.5, 1])


def test_planted_features_fire_where_they_are_planted(tmp_path):
    E = np.eye(8, dtype=np.float32)
    tensors = {"embed.W_E": E, "pos_embed.W_pos": np.zeros((12, 8))}
    model = planted_model(tmp_path, d_vocab=8, tensors=tensors | {"unembed.W_U": E, "unembed.b_U": np.zeros(8)})
    weights = {"W_enc": 3 * E, "W_dec": E, "b_enc": np.full(8, -1), "b_dec": np.zeros(8)}
    rows = np.random.default_rng(4).integers(0, 8, (5, 6))
    stats = activation_pass(planted_dictionary(d_sae=8, tensors=weights), model, rows, None)
    for feature in range(8):
        assert stats.count[:, feature].tolist() == [(part == feature).sum() for part in (rows[:, :1], rows[:, 1:])]
        assert stats.total[:, feature].tolist() == (2 * stats.count[:, feature]).tolist()
    assert stats.position_count.tolist() == [5] * 6


def test_topk_selects_over_the_whole_dictionary(tmp_path):
    dictionary, model = planted("topk", k=2), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None)
    assert stats.count.sum() <= 2 * ROWS.size
    assert stats.count.sum(axis=0).tolist() == np.count_nonzero(dense(dictionary, model), axis=(0, 1)).tolist()


@pytest.mark.parametrize("cut", [1, 4, 10])
def test_two_parts_merged_are_one_pass_to_the_bit(tmp_path, cut):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    encoder = Encoder(dictionary)
    rows = [encoder.block(model, ROWS[i : i + 1]) for i in range(len(ROWS))]
    tallies = [Tally(7, 12, 8) for _ in range(3)]
    for i, block in enumerate(rows):
        tallies[0].add(block)
        tallies[1 if i < cut else 2].add(block)
    tallies[2].merge(tallies[1])
    assert_same(tallies[2].finish(), tallies[0].finish())


def test_statistics_of_features_do_not_depend_on_blocks_or_workers(tmp_path):
    dictionary, model = planted("gated"), planted_model(tmp_path)
    runs = [
        activation_pass(dictionary, model, ROWS, None, block_rows=n, workers=w) for n, w in ((1, 1), (4, 3), (11, 2))
    ]
    for name in ("count", "histogram", "position_count"):
        for run in runs[1:]:
            np.testing.assert_array_equal(getattr(run, name), getattr(runs[0], name))
    again = activation_pass(dictionary, model, ROWS, None, block_rows=4, workers=1)
    assert_same(again, runs[1])


def test_sums_are_exact_and_have_one_form():
    values = np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32).astype(np.float64)
    forth, back = ExactSum((4,)), ExactSum((4,))
    for value in values:
        forth.add(value)
    for value in values[::-1]:
        back.add(value)
    assert forth.whole.tolist() == back.whole.tolist()
    assert forth.part.tolist() == back.part.tolist()
    assert forth.value.tolist() == pytest.approx([math.fsum(column) for column in values.T], abs=1e-11)


def test_what_rounds_to_zero_above_its_cutoff_is_not_active():
    z, zero, ends = np.array([[1, 2]], np.float32), np.zeros(2, np.float32), np.zeros(1, np.int64)
    features, acts = np.zeros(3, np.int32), np.zeros(3, np.float32)
    fixed = zero - 1
    fixed.flags.writeable = False
    assert activation_kernels.compress(z, zero, zero + 1, fixed, ends, features, acts) == 1
    assert (features[0], acts[0], ends[0]) == (1, 1, 1)


def test_one_token_is_enough_and_has_nothing_after_position_0(tmp_path):
    stats = activation_pass(planted("standard"), planted_model(tmp_path), ROWS[:1, :1], None)
    assert (stats.n_tokens(), stats.n_tokens(with_first=False)) == (1, 0)
    assert all(np.isnan(value) for value in stats.totals(with_first=False).values())
    assert stats.feature_table(with_first=False)["density"].isna().all()


def test_what_cannot_be_encoded_is_refused(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard")
    with pytest.raises(CorpusError, match=r"got rows of shape \(0, 7\)"):
        activation_pass(dictionary, model, ROWS[:0], None)
    with pytest.raises(DoesNotFitError, match="its context is 12"):
        activation_pass(dictionary, model, np.zeros((1, 13), int), None)
    with pytest.raises(DoesNotFitError, match="Token ids from 257"):
        activation_pass(dictionary, model, np.full((1, 2), 257), None)
    with pytest.raises(DoesNotFitError, match="width 4"):
        estimate_cost(planted_dictionary(d_in=4), model, ROWS)
    wrong = planted("standard", tensors={"b_enc": np.full(12, 1e9)})
    with pytest.raises(DoesNotFitError, match=r"values up to 1.*e\+10 .* lengths up to 4,194,304"):
        activation_pass(wrong, model, ROWS, None)
    odd = planted_model(tmp_path / "odd", tensors={"embed.W_E": np.full((257, 8), np.nan)})
    with pytest.raises(DoesNotFitError, match="values up to nan"):
        activation_pass(dictionary, odd, ROWS, None)


@pytest.mark.parametrize("architecture", ["gated", "topk"])
def test_preparing_compiles_the_very_loops_that_a_pass_needs(tmp_path, artifacts, architecture):
    prepare()
    dictionary, model = planted(architecture), planted_model(tmp_path)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    artifacts.clear()
    activation_pass(dictionary, model, ROWS[:6], artifacts, block_rows=3)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)  # of which two blocks are read
    for name in ("compress", "keep_nonzero", "decode", "compare", "add_activations"):
        assert len(getattr(activation_kernels, name).signatures) == 1, name


def test_every_column_is_declared(tmp_path):
    stats = activation_pass(planted("standard"), planted_model(tmp_path), ROWS, None)
    names = [*stats.feature_table().columns, *stats.position_table().columns, *stats.totals()]
    assert [name for name in names if ALIASES.get(name, name) not in STATISTICS] == []
