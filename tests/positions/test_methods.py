"""Positional statistics: text, the choice of method, progress and cancelling, errors, names of results."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from core.errors import CancelledError, CorpusError, DoesNotFitError, OutOfRangeError
from core.installation import PROJECT
from core.positions.additive import additive_statistics
from core.positions.encoded import corpus_statistics, plain_grid_statistics
from core.positions.methods import choose_method, position_statistics
from core.positions.statistics import PositionSettings, PositionStatistics, grid_tokens
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.positions_by_hand import assert_same, brute_force, grid_inputs
from tests.doubles.watched import Watched

V, N_CTX, C = 40, 10, 6
GRID_FIELDS = ("pre_std_over_positions", "share_token", "share_interaction", "token_score")


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path, d_vocab=V, n_ctx=N_CTX)


@pytest.mark.parametrize(
    ("positional", "hook", "architecture"),
    [("standard", "blocks.1.hook_resid_post", "topk"), ("rotary", "blocks.0.hook_resid_pre", "gated")],
)
def test_corpus_statistics_equal_a_loop_over_rows(tmp_path, positional, hook, architecture):
    model = planted_model(tmp_path, positional=positional, n_ctx=N_CTX)
    dictionary = planted_dictionary(architecture, hook_name=hook, context_size=C)
    rows = np.random.default_rng(0).integers(0, 257, (11, N_CTX))
    stats = corpus_statistics(
        dictionary, model, rows, n_pos=N_CTX, context_size=C, budget_bytes=4 * N_CTX * dictionary.d_sae * 24
    )
    x = np.stack([model.activations(row[None], hook)[0] for row in rows])
    expected = brute_force(dictionary, x, C)
    known = [name for name in expected if name not in (*GRID_FIELDS, "token_best", "only_beyond")]
    assert_same(stats, expected, only=known)
    assert all(np.isnan(getattr(stats, name)).all() for name in GRID_FIELDS)
    assert set(stats.token_best) == set(stats.only_beyond) == {-1}
    assert stats.n_samples == 11


def test_temporal_dictionaries_read_whole_rows(tmp_path):
    from sae_lens.saes.temporal_sae import TemporalSAE, TemporalSAEConfig

    own = {"n_heads": 2, "bottleneck_factor": 2, "kval_topk": 3}
    sae = TemporalSAE(TemporalSAEConfig(d_in=8, d_sae=12, **own))
    tensors = {name: value.numpy() for name, value in sae.state_dict().items()}
    dictionary = planted_dictionary("temporal", tensors=tensors, extra=own)
    model = planted_model(tmp_path, n_ctx=N_CTX)
    rows = np.random.default_rng(0).integers(0, 257, (5, N_CTX))
    assert "depend on the tokens before" in choose_method(dictionary, model)[1]
    stats = position_statistics(dictionary, model, settings=PositionSettings(budget_bytes=1), rows=rows)
    acts, pre_acts = dictionary.encode_with_pre_acts(model.activations(rows, "blocks.0.hook_resid_pre"))
    np.testing.assert_allclose(stats.mean, acts.mean(0).T, atol=1e-6)
    np.testing.assert_allclose(stats.pre_std, pre_acts.std(0).T, rtol=1e-4, atol=1e-6)


def test_corpus_method_reads_the_first_positions_only(tmp_path):
    model = planted_model(tmp_path, n_ctx=N_CTX)
    dictionary = planted_dictionary(hook_name="blocks.1.hook_resid_pre", context_size=None)
    rows = np.random.default_rng(0).integers(0, 257, (3, 8))
    stats = position_statistics(dictionary, model, settings=PositionSettings(n_pos=5), rows=rows)
    assert stats.mean.shape == (12, 5)
    assert stats.context_size == 5
    full = position_statistics(dictionary, model, rows=rows)
    np.testing.assert_allclose(full.mean[:, :5], stats.mean, atol=1e-6)


def test_cancelling_stops_every_method_and_leaves_no_thread(tmp_path):
    model = planted_model(tmp_path, d_vocab=V, n_ctx=N_CTX)
    dictionary = planted_dictionary(d_sae=12)
    rows = np.zeros((9, N_CTX), int)
    common = {"n_pos": N_CTX, "context_size": C}
    methods = {
        "additive": lambda p: additive_statistics(dictionary, model, progress=p, block=3, workers=2, **common),
        "plain": lambda p: plain_grid_statistics(dictionary, model, np.arange(V), budget_bytes=1, progress=p, **common),
        "corpus": lambda p: corpus_statistics(dictionary, model, rows, budget_bytes=1, progress=p, **common),
    }
    before = threading.active_count()
    totals = {}
    for name, method in methods.items():
        stopper = Watched(stop_at_report=2)
        with pytest.raises(CancelledError, match="stopped"):
            method(stopper)
        totals[name] = stopper.told
    assert totals == {"additive": [(3, 12), (6, 12)], "plain": [(1, V), (2, V)], "corpus": [(1, 9), (2, 9)]}
    assert threading.active_count() == before


def test_progress_of_a_finished_run_ends_at_its_total(model):

    counter = Watched()
    additive_statistics(planted_dictionary(d_sae=7), model, n_pos=2, context_size=2, block=3, progress=counter)
    assert counter.told[-1] == (7, 7)
    assert len(counter.told) == 3


def test_method_follows_hook_positions_and_architecture(tmp_path):
    absolute, rotary = planted_model(tmp_path / "a"), planted_model(tmp_path / "r", positional="rotary")
    deep, normalised = {"hook_name": "blocks.1.hook_resid_pre"}, {"normalize_activations": "layer_norm"}
    cases = [
        ({}, absolute, "additive grid", "Exact over all 257 tokens × 12 positions: at layer 0"),
        ({"architecture": "topk"}, absolute, "plain grid", "each one encoded, because topk features compete"),
        (normalised, absolute, "plain grid", "the dictionary normalises each input"),
        (deep, absolute, "corpus", "From corpus text: at blocks.1.hook_resid_pre"),
        ({}, rotary, "corpus", "planted has rotary positions"),
    ]
    for kwargs, model, method, words in cases:
        got, reason = choose_method(planted_dictionary(**kwargs), model)
        assert got == method
        assert words in reason


def test_large_vocabularies_are_sampled_on_the_plain_grid(model):
    dictionary = planted_dictionary("topk")
    chosen = PositionSettings(grid_tokens=7)
    tokens = grid_tokens(V, 7)
    stats = position_statistics(dictionary, model, settings=chosen)
    assert_same(stats, brute_force(dictionary, grid_inputs(model, N_CTX)[tokens], C) | {"token_best": stats.token_best})
    assert set(stats.token_best) <= {-1, *tokens.tolist()}
    assert stats.n_samples == len(set(tokens)) == 7
    assert "From 7 of 40 tokens × 10 positions" in choose_method(dictionary, model, chosen)[1]


def test_errors_say_what_was_expected(model):
    deep = planted_dictionary(hook_name="blocks.1.hook_resid_pre")
    with pytest.raises(CorpusError, match=r"at blocks\.1\.hook_resid_pre need rows of text"):
        position_statistics(deep, model)
    with pytest.raises(DoesNotFitError, match="width 5, but"):
        position_statistics(planted_dictionary(d_in=5), model)
    with pytest.raises(OutOfRangeError, match="Position 10 does not exist: expected a whole number from 0 to 9"):
        position_statistics(planted_dictionary(), model, settings=PositionSettings(n_pos=11))
    with pytest.raises(DoesNotFitError, match="has no additive form"):
        additive_statistics(planted_dictionary("topk"), model, n_pos=2, context_size=2)
    with pytest.raises(ValueError, match="grid_tokens is 0"):
        PositionSettings(grid_tokens=0)


def test_keys_name_inputs_and_not_costs():
    rows = np.arange(6).reshape(2, 3)

    def key(rows=rows, **settings):
        return PositionStatistics.key("d", "m", settings=PositionSettings(**settings), rows=rows)

    assert key() == key(rows.astype(np.int32)) == key(budget_bytes=1)
    assert len({key(), key(None), key(rows + 1), key(rows.reshape(3, 2)), key(n_pos=2), key(grid_tokens=9)}) == 6


def test_statistics_survive_the_store(model, tmp_path):
    stats = position_statistics(planted_dictionary(), model)
    store = ArtifactStore(tmp_path / "cache")
    key = PositionStatistics.key("d", "m", settings=PositionSettings())
    store.save(stats, key)
    again = store.load(PositionStatistics, key)
    for name, value in vars(stats).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_the_additive_grid_imports_no_torch():
    code = """
import pathlib, sys, tempfile
from core.positions.methods import position_statistics
from core.positions.grids import feature_grid, token_curves
from tests.doubles.planted import planted_dictionary, planted_model
model, dictionary = planted_model(pathlib.Path(tempfile.mkdtemp())), planted_dictionary()
position_statistics(dictionary, model)
feature_grid(dictionary, model, 0)
token_curves(dictionary, model, 0)
assert not {"torch", "sae_lens", "transformer_lens"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=120)


def test_kernels_compile_where_no_folder_can_be_written():
    code = """
from numba.core import caching
caching.CacheImpl._locator_classes = []
import numpy as np
from core.positions.kernels import add_spread
squares = np.zeros(1)
add_spread(np.ones((1, 3), np.float32), 0, np.zeros(1, np.float32), squares, np.zeros(1, np.float32), np.zeros(1, int))
assert squares[0] == 3
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=120)
