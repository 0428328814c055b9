"""The statistics of a token pass against dense float64 doubles."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.linalg import norm

from core.activations import kernels
from core.activations.encoding import Encoder
from core.activations.quantiles import activation_quantiles
from core.activations.reconstruction import error_by_position
from core.activations.spliced_loss import spliced_loss
from core.activations.statistics import Tally, bin_edges, mean_std
from core.activations.token_pass import activation_pass, estimate_cost, open_store, prepare
from core.catalogue import ALIASES, STATISTICS
from core.errors import CorpusError, DoesNotFitError
from core.maths.exact_sums import ExactSum
from core.overview.probe import probe_recipes
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, dense, planted
from tests.doubles.planted import planted_dictionary, planted_model

ARCHITECTURES = ["standard", "jumprelu", "gated", "topk", "abstopk", "matching_pursuit", "transcoder"]
ARCHITECTURES += ["topk_transcoder", "temporal"]


def tiles_of(n: int, monkeypatch, device) -> None:
    """Let a device encode n tokens at a time."""
    if device.runs_kernels:
        monkeypatch.setattr("core.activations.on_device.TILE", n)


@pytest.fixture
def artifacts(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


@pytest.mark.parametrize("generic", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_blocks_hold_what_sae_lens_gives_whichever_way_they_are_encoded(
    tmp_path, monkeypatch, architecture, generic, device
):
    monkeypatch.setattr("core.activations.encoding._FLOATS_PER_TILE", 100)  # 8 tokens
    tiles_of(8, monkeypatch, device)
    dictionary, model = planted(architecture), planted_model(tmp_path)
    block = Encoder(dictionary, workers=2, generic=generic, device=device).block(model, ROWS)
    f = dense(dictionary, model).reshape(77, -1)
    found = np.zeros_like(f)
    found[np.repeat(np.arange(77), np.diff(block.ends, prepend=0)), block.features] = block.acts
    np.testing.assert_array_equal(found != 0, f != 0)
    np.testing.assert_allclose(found, f, atol=1e-5)
    assert (block.acts != 0).all()
    assert block.rows.tolist() == ROWS.tolist()


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "topk", "abstopk"])
def test_statistics_of_features_are_those_of_a_dense_float64_double(tmp_path, architecture, with_first, device):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=3, device=device)
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


def test_statistics_by_position_are_those_of_a_dense_float64_double(tmp_path, device):
    dictionary, model = planted("jumprelu"), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=2, device=device)
    f = dense(dictionary, model).astype(np.float64)
    x = model.activations(ROWS, dictionary.config.hook_name).astype(np.float64)
    x_hat = dictionary.reconstruct(x.astype(np.float32)).astype(np.float64)
    for p, line in stats.position_table().iterrows():
        active = f[:, p][f[:, p] != 0]
        expected = [active.mean(), active.std(), len(active) / f[:, p].size]
        expected += [(np.linalg.norm(x_hat[:, p], axis=1) / np.linalg.norm(x[:, p], axis=1)).mean()]
        expected += [(x_hat[:, p] ** 2).sum() / (x_hat[:, p] * x[:, p]).sum()]
        np.testing.assert_allclose(line.drop("position"), expected, rtol=1e-5)


@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder", "temporal"])
def test_errors_are_those_that_the_error_curves_show(tmp_path, architecture, device):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, block_rows=4, device=device)
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
    model = planted_model(tmp_path)
    stats = activation_pass(planted_dictionary(d_sae=16, tensors=tensors), model, ROWS, None)
    expected = {"fve": 1, "nmse": 0, "mse": 0, "l0": 8, "cosine": 1, "l2_ratio": 1, "reconstruction_bias": 1}
    l1 = np.abs(model.activations(ROWS, "blocks.0.hook_resid_pre") @ Q.T).sum(-1).mean()
    assert stats.totals() == pytest.approx(expected | {"dead_share": 0, "l1": l1}, abs=1e-5)


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


@pytest.mark.parametrize("k", [1, 5, 60, 400])
@pytest.mark.parametrize("shape", [(40, 300), (7, 65), (1, 1000)])
def test_the_largest_are_those_that_a_full_sort_finds_the_earlier_of_equal_ones(k, shape):
    z = np.random.default_rng(k).normal(size=shape).astype(np.float32).round(1)  # many are equal
    ends, features, acts = np.empty(len(z), np.int64), np.empty(z.size + 1, np.int32), np.empty(z.size + 1, np.float32)
    n = kernels.keep_largest(z, k, ends, features, acts)
    assert ends[-1] == n
    for t, row in enumerate(z):
        order = np.argsort(-row, kind="stable")[:k]
        expected = np.sort(order[row[order] > 0])
        mine = slice(ends[t - 1] if t else 0, ends[t])
        assert features[mine].tolist() == expected.tolist()
        assert acts[mine].tolist() == row[expected].tolist()


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("architecture", ["topk", "abstopk"])
def test_decoder_norms_in_the_activations_are_taken_off_again(tmp_path, architecture, rescale, device):
    options = {"rescale_acts_by_decoder_norm": rescale, "fold_decoder_norms": False}
    dictionary, model = planted(architecture, **options), planted_model(tmp_path)
    assert np.ptp(np.linalg.norm(dictionary.W_dec, axis=1)) > 1
    fast = Encoder(dictionary, device=device).block(model, ROWS)
    slow = Encoder(dictionary, generic=True).block(model, ROWS)
    assert fast.ends.tolist() == slow.ends.tolist()
    assert fast.features.tolist() == slow.features.tolist()
    np.testing.assert_allclose(fast.acts, slow.acts, rtol=1e-5)
    np.testing.assert_allclose(fast.measures, slow.measures, rtol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_the_encoder_gives_back_is_what_sae_lens_does(tmp_path, monkeypatch, architecture, device):
    monkeypatch.setattr("core.activations.encoding._FLOATS_PER_TILE", 200)  # 16 tokens, 2 rows
    tiles_of(16, monkeypatch, device)
    dictionary, model = planted(architecture), planted_model(tmp_path)
    x = model.activations(ROWS, dictionary.config.hook_name)
    x_hat = Encoder(dictionary, workers=2, device=device).reconstruct(x)
    np.testing.assert_allclose(x_hat, dictionary.reconstruct(x), atol=1e-5)


def test_a_dead_feature_has_density_zero_and_one_that_always_fires_has_one(tmp_path, device):
    b_enc = np.zeros(12)
    b_enc[[2, 5]] = -1e5, 1e5
    dictionary, model = planted("standard", tensors={"b_enc": b_enc}), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None, device=device)
    assert stats.feature_table()["density"][[2, 5]].tolist() == [0, 1]


def test_topk_selects_over_the_whole_dictionary(tmp_path):
    dictionary, model = planted("topk", k=2), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, None)
    assert stats.count.sum() <= 2 * ROWS.size
    assert stats.count.sum(axis=0).tolist() == np.count_nonzero(dense(dictionary, model), axis=(0, 1)).tolist()


def unequal_rows() -> tuple[np.ndarray, tuple[int, ...]]:
    """Rows of which some tokens are left out: all of position 0, all of row 2, and others here and there."""
    rows, left_out = ROWS.copy(), (0, 256)
    rows[:, 0], rows[2], rows[5, 3] = 0, 256, 0
    return rows, left_out


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder", "matching_pursuit"])
def test_tokens_left_out_are_read_and_not_counted(tmp_path, architecture, with_first, device):
    dictionary, model = planted(architecture), planted_model(tmp_path)
    rows, left_out = unequal_rows()
    stats = activation_pass(dictionary, model, rows, None, left_out=left_out, block_rows=3, device=device)
    keep = ~np.isin(rows, left_out)
    keep[:, 0] &= with_first
    f = dense(dictionary, model, rows).astype(np.float64)[keep]
    x = model.activations(rows, dictionary.config.hook_name)
    x_hat = dictionary.reconstruct(x.reshape(-1, 8)).reshape(*rows.shape, -1)[keep].astype(np.float64)
    if dictionary.config.hook_name_out:
        x = model.activations(rows, dictionary.config.hook_name_out)
    x = x[keep].astype(np.float64)
    assert stats.n_tokens(with_first=with_first) == len(f)
    table, totals = stats.feature_table(with_first=with_first), stats.totals(with_first=with_first)
    assert table["active_tokens"].tolist() == np.count_nonzero(f, axis=0).tolist()
    assert table["density"].tolist() == (np.count_nonzero(f, axis=0) / len(f)).tolist()
    square, error = ((x - x.mean(0)) ** 2).sum(), ((x - x_hat) ** 2).sum()
    expected = {"nmse": error / square, "mse": error / x.size, "l0": np.count_nonzero(f) / len(f)}
    expected |= {"l1": np.abs(f).sum() / len(f), "l2_ratio": (norm(x_hat, axis=1) / norm(x, axis=1)).mean()}
    assert {name: totals[name] for name in expected} == pytest.approx(expected, rel=1e-5)


def test_errors_by_position_weigh_positions_by_their_counted_tokens(tmp_path, device):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    rows, left_out = unequal_rows()
    stats = activation_pass(dictionary, model, rows, None, left_out=left_out, device=device)
    keep = ~np.isin(rows, left_out)
    assert stats.position_rows.tolist() == keep.sum(axis=0).tolist()
    assert stats.n_rows == len(rows)
    found = stats.errors(context_size=5)
    x = model.activations(rows, dictionary.config.hook_name).astype(np.float64)
    x_hat = dictionary.reconstruct(x.reshape(-1, 8).astype(np.float32)).reshape(x.shape).astype(np.float64)
    mean = x[:, :5][keep[:, :5]].mean(axis=0)
    error, square = ((x - x_hat) ** 2).mean(-1), ((x - mean) ** 2).mean(-1)
    for p in range(7):
        if not keep[:, p].any():
            silent = found.mse[p], found.variance[p], found.l0[p], stats.position_table()["active_share"][p]
            assert np.isnan(silent).all()
            continue
        assert found.mse[p] == pytest.approx(error[keep[:, p], p].mean(), rel=1e-5)
        assert found.variance[p] == pytest.approx(square[keep[:, p], p].mean(), rel=1e-5)
    for line, part in zip(found.totals().to_dict("records"), (slice(0, 5), slice(5, 7)), strict=True):
        e, s = error[:, part][keep[:, part]], square[:, part][keep[:, part]]
        assert [line["tokens"], line["fve"], line["mse"]] == pytest.approx([e.size, 1 - e.sum() / s.sum(), e.mean()])


def test_what_is_left_out_changes_nothing_else(tmp_path, device):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    rows, left_out = unequal_rows()
    whole, part = (Encoder(dictionary, left_out=ids, device=device).block(model, rows) for ids in ((), left_out))
    token = np.repeat(np.arange(rows.size), np.diff(whole.ends, prepend=0))
    keep = part.counted.ravel()[token]
    np.testing.assert_array_equal(part.acts, whole.acts[keep])
    np.testing.assert_array_equal(part.features, whole.features[keep])
    np.testing.assert_array_equal(np.repeat(np.arange(rows.size), np.diff(part.ends, prepend=0)), token[keep])


def test_a_text_of_which_nothing_counts_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="All 14 tokens are among the 1 ids that are left out"):
        activation_pass(planted("standard"), planted_model(tmp_path), np.zeros((2, 7), int), None, left_out=(0,))


@pytest.mark.parametrize("cut", [1, 4, 10])
def test_two_parts_merged_are_one_pass_to_the_bit(tmp_path, cut):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    text, left_out = unequal_rows()
    encoder = Encoder(dictionary, left_out=left_out)
    rows = [encoder.block(model, text[i : i + 1]) for i in range(len(text))]
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
    assert kernels.compress(z, zero, zero + 1, fixed, ends, features, acts) == 1
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


@pytest.mark.parametrize("architecture", ["gated", "topk", "abstopk"])
def test_preparing_compiles_the_very_loops_that_a_pass_needs(tmp_path, artifacts, architecture):
    prepare()
    dictionary, model = planted(architecture), planted_model(tmp_path)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    artifacts.clear()
    activation_pass(dictionary, model, ROWS[:6], artifacts, block_rows=3)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)  # of which two blocks are read
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    activation_quantiles(store, activation_pass(dictionary, model, ROWS, artifacts, block_rows=3))
    loops = "gather compress keep_largest keep_nonzero decode compare sum_sizes add_activations"
    for name in loops.split():
        assert len(getattr(kernels, name).signatures) == 1, name


def test_every_column_is_declared(tmp_path):
    stats = activation_pass(planted("standard"), planted_model(tmp_path), ROWS, None)
    names = [*stats.feature_table().columns, *stats.position_table().columns, *stats.totals()]
    assert [name for name in names if ALIASES.get(name, name) not in STATISTICS] == []


def test_equal_activations_have_no_deviation_whatever_the_sums_round_to(tmp_path):
    # Only the token counts, so every feature has one value on it.
    W_pos = {"pos_embed.W_pos": np.zeros((12, 8))}
    model, rows = planted_model(tmp_path, tensors=W_pos), np.full((30, 5), 7)
    found = activation_pass(planted("standard"), model, rows, None).feature_table()
    active = found["active_tokens"] > 0
    assert (found.loc[active, "std_active"] == 0).all()
    assert found["std_active"].isna().equals(~active)


def test_a_deviation_that_is_more_than_rounding_stays():
    mean, n = np.array([1.0, 100.0, 1.0]), np.full(3, 1000)
    std = np.array([1e-5, 1e-3, 1e-7])
    found = mean_std(n, n * mean, n * (mean**2 + std**2))
    np.testing.assert_allclose(found[0], mean)
    np.testing.assert_allclose(found[1], [1e-5, 1e-3, 0], rtol=1e-3)


def test_a_deviation_counts_as_rounding_only_where_it_may_be():
    for mean, spread in ((1000.0, 1e-4), (3.0, 1e-4), (0.0, 1e-5)):
        values = mean + spread * np.array([-1.0, 1.0, -1.0, 1.0])
        found = mean_std(np.array([4]), np.array([values.sum()]), np.array([(values**2).sum()]))
        assert found[1][0] == pytest.approx(spread, rel=0.1)
        alike = mean_std(np.array([4]), np.array([4 * mean]), np.array([4 * mean**2]))
        assert (alike[0][0], alike[1][0]) == (mean, 0)


@pytest.mark.parametrize("mean", [0.3, 1234.567, 123456.789])
def test_one_value_many_times_has_no_deviation_however_large_it_is(mean):
    n = np.arange(1, 400)
    values = mean * (1 + n / 1000)
    _, std = mean_std(n, n * values, n * values**2)  # exact sums, each rounded once
    assert (std == 0).all()


def test_a_dictionary_without_an_output_to_reconstruct_has_activations_and_no_errors(tmp_path):
    model = planted_model(tmp_path)
    whole, layer = (planted_dictionary(metadata=metadata) for metadata in ({}, {"reconstructs": False}))
    assert whole.sha256 != layer.sha256
    known, found = (activation_pass(dictionary, model, ROWS, None) for dictionary in (whole, layer))
    np.testing.assert_array_equal(found.count, known.count)
    totals = found.totals()
    assert {name for name, value in totals.items() if np.isnan(value)} == {
        *("fve", "nmse", "mse", "cosine", "l2_ratio", "reconstruction_bias")
    }
    assert totals["l0"] == known.totals()["l0"]
    for measure in (error_by_position, spliced_loss, probe_recipes):
        with pytest.raises(DoesNotFitError, match=r"one layer of a cross-layer transcoder.*no output"):
            measure(layer, model, ROWS)


def test_text_is_not_run_for_one_head_alone(tmp_path):
    one = planted_dictionary(hook_name="blocks.1.attn.hook_z", d_in=4, metadata={"hook_head_index": 1})
    with pytest.raises(DoesNotFitError, match=r"reads one head .*hook_head_index 1.* text cannot be run"):
        activation_pass(one, planted_model(tmp_path), ROWS, None)
