"""The token pass on disk: cut, resumed, damaged, read again."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from core.activations.quantiles import ActivationQuantiles, _groups, activation_quantiles
from core.activations.sparse import read_activations
from core.activations.statistics import ActivationStatistics
from core.activations.store import feature_activations
from core.activations.token_pass import activation_pass, estimate_cost, open_store
from core.errors import CancelledError, MissingActivationsError, OutOfRangeError, OutOfSpaceError
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, dense, planted
from tests.doubles.planted import planted_model
from tests.doubles.watched import Watched


@pytest.fixture
def artifacts(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "cache")


def test_a_feature_is_found_again_where_it_was_active(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=4)
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=4)
    for feature in (0, 5, 11):
        f = dense(dictionary, model)[..., feature]
        found = feature_activations(store, feature, d_sae=12)
        assert list(zip(found.row, found.position, strict=True)) == list(zip(*np.nonzero(f), strict=True))
        np.testing.assert_allclose(found.act, f[f != 0], rtol=1e-5)
    with pytest.raises(OutOfRangeError):
        feature_activations(store, 12, d_sae=12)


def test_a_cancelled_pass_goes_on_where_it_stopped_and_gives_the_same_bits(tmp_path, artifacts, monkeypatch):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    whole = activation_pass(dictionary, model, ROWS, ArtifactStore(tmp_path / "other"), block_rows=3)
    with pytest.raises(CancelledError):
        activation_pass(dictionary, model, ROWS, artifacts, block_rows=3, progress=Watched(stop_at=50))
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    assert store.missing() == [2, 3]
    run, ran = model.activations, []
    monkeypatch.setattr(model, "activations", lambda rows, hook: ran.append(len(rows)) or run(rows, hook))
    watched = Watched()
    assert_same(activation_pass(dictionary, model, ROWS, artifacts, block_rows=3, progress=watched), whole)
    assert ran == [3, 2]
    assert list(dict.fromkeys(done for done, _ in watched.told)) == [21, 42, 63, 77]
    assert store.missing() == []
    for i in range(4):
        other = open_store(dictionary, model, ROWS, ArtifactStore(tmp_path / "other"), block_rows=3)
        assert_same(store.load(i), other.load(i))
    ran.clear()
    assert_same(activation_pass(dictionary, model, ROWS, artifacts, block_rows=3), whole)
    assert ran == []


@pytest.mark.parametrize("architecture", ["topk", "temporal"])
@pytest.mark.parametrize("tokens", [1, 22, 43, 64])
def test_a_pass_cut_in_any_block_leaves_the_same_results_once_it_is_through(tmp_path, architecture, tokens):
    dictionary, model, left_out = planted(architecture), planted_model(tmp_path), (int(ROWS[1, 2]),)
    whole, cut = ArtifactStore(tmp_path / "whole"), ArtifactStore(tmp_path / "cut")
    activation_pass(dictionary, model, ROWS, whole, left_out=left_out, block_rows=3)
    with pytest.raises(CancelledError):
        activation_pass(dictionary, model, ROWS, cut, left_out=left_out, block_rows=3, progress=Watched(stop_at=tokens))
    assert len(list(cut.root.glob("*"))) == tokens // 21
    activation_pass(dictionary, model, ROWS, cut, left_out=left_out, block_rows=3)
    contents = []
    for store in (whole, cut):
        opened = [(path.name, safe_open(path, framework="numpy")) for path in store.root.glob("*")]
        contents.append({name: file.metadata()["sha256"] for name, file in opened})
    assert len(contents[0]) == 5
    assert contents[0] == contents[1]


def test_what_is_left_out_is_part_of_the_name_only_where_it_stands(tmp_path, artifacts):
    dictionary, model, left_out = planted("standard"), planted_model(tmp_path), (int(ROWS[1, 2]),)
    assert np.argwhere(left_out[0] == ROWS)[:, 0].max() < 3
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    store = open_store(dictionary, model, ROWS, artifacts, left_out=left_out, block_rows=3)
    assert store.missing() == [0]  # the other blocks hold no such token
    activation_pass(dictionary, model, ROWS, artifacts, left_out=left_out, block_rows=3)
    assert [block.left_out for block in store.blocks()] == [left_out, (), (), ()]
    found = read_activations(store, 12)
    f = dense(dictionary, model)[left_out[0] != ROWS]
    assert found.n_tokens == len(f)
    assert found.count.tolist() == np.count_nonzero(f, axis=0).tolist()
    tokens = feature_activations(store, 5, d_sae=12)
    assert (ROWS[tokens.row, tokens.position] != left_out[0]).all()


def test_everything_that_depends_on_the_counted_tokens_is_named_after_them():
    shas, levels = ("d", "m", "r"), {"levels": (0.5,), "with_first": True}
    for key in (ActivationStatistics.key, lambda *shas, **more: ActivationQuantiles.key(*shas, **levels, **more)):
        assert len({key(*shas), key(*shas, left_out=(1,)), key(*shas, left_out=(1, 2))}) == 3
        assert key(*shas) == key(*shas, left_out=())
        assert key(*shas, left_out=(2, 1)) == key(*shas, left_out=(1, 2))


def test_a_pass_can_be_stopped_while_the_model_runs(tmp_path, monkeypatch):
    monkeypatch.setattr("core.models.batches.TOKENS_PER_RUN", 14)
    model, ran = planted_model(tmp_path), []
    run = model.activations
    monkeypatch.setattr(model, "activations", lambda rows, hook: ran.append(len(rows)) or run(rows, hook))
    with pytest.raises(CancelledError):
        activation_pass(planted("standard"), model, ROWS, None, progress=Watched(stop_at=0))
    assert ran == [2]


def test_a_longer_sample_uses_the_blocks_of_a_shorter_one(tmp_path, artifacts):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    activation_pass(dictionary, model, ROWS[:6], artifacts, block_rows=3)
    assert open_store(dictionary, model, ROWS, artifacts, block_rows=3).missing() == [2, 3]


@pytest.mark.parametrize("damage", ["cut", "deleted"])
def test_a_lost_or_damaged_block_is_noticed_and_computed_again(tmp_path, artifacts, damage):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    whole, path = store.load(1), artifacts.root / f"{store.keys[1]}.safetensors"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    else:
        path.unlink()
    with pytest.raises(MissingActivationsError, match=r"Part 2 of 4 .* Run the token pass again"):
        list(store.blocks())
    activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    assert_same(store.load(1), whole)


def test_a_full_disk_keeps_what_is_written_and_says_what_is_missing(tmp_path, artifacts, monkeypatch):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    save, saved = artifacts.save, []

    def full(result, key):
        saved.append(key)
        if len(saved) == 3:
            raise OSError("No space left on device")
        return save(result, key)

    monkeypatch.setattr(artifacts, "save", full)
    with pytest.raises(OutOfSpaceError, match=r"Part 3 of 4 .*No space left.* 2 parts are stored .* about 2 kB more"):
        activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    assert store.missing() == [2, 3]
    assert sum(len(block.rows) for block in (store.load(0), store.load(1))) == 6
    assert not list(artifacts.root.glob(".*"))


def test_as_many_features_are_sorted_at_a_time_as_fit():
    found = _groups(np.array([3, 2, 0, 5, 9, 1]), 5)
    assert found == [slice(0, 3), slice(3, 4), slice(4, 5), slice(5, 6)]


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("budget", [1, 400, 2**20])
def test_quantiles_are_those_of_all_non_zero_values_at_any_budget(tmp_path, artifacts, with_first, budget):
    b_enc = np.zeros(12)
    b_enc[3] = -1e6
    dictionary, model = planted("standard", tensors={"b_enc": b_enc}), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    levels = (0.0, 0.1, 0.5, 0.73, 1.0)
    found = activation_quantiles(store, stats, levels=levels, with_first=with_first, budget_bytes=budget)
    acts = np.concatenate([block.acts for block in store.blocks()])
    feature = np.concatenate([block.features for block in store.blocks()])
    tokens = np.concatenate([np.repeat(np.arange(len(b.ends)) % 7, np.diff(b.ends, prepend=0)) for b in store.blocks()])
    for i in range(12):
        values = acts[(feature == i) & (with_first | (tokens > 0))].astype(np.float64)
        expected = np.quantile(values, levels) if len(values) else np.full(5, np.nan)
        np.testing.assert_allclose(found.values[i], expected, rtol=1e-12)
    assert np.isnan(found.values[3]).all()


@pytest.mark.parametrize("wrong", [-1, 1])
def test_counts_of_another_pass_never_give_quantiles(tmp_path, artifacts, wrong):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    stats = activation_pass(dictionary, model, ROWS, artifacts, block_rows=3)
    count = stats.count.copy()
    count[1, int(count[1].argmax())] += wrong
    store = open_store(dictionary, model, ROWS, artifacts, block_rows=3)
    with pytest.raises(AssertionError, match="other activations than are stored"):
        activation_quantiles(store, replace(stats, count=count))


@pytest.mark.parametrize("left_out", [(), (int(ROWS[1, 2]), int(ROWS[4, 4]))])
def test_the_cost_is_told_before(tmp_path, artifacts, left_out):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    cost = estimate_cost(dictionary, model, ROWS, left_out=left_out)
    activation_pass(dictionary, model, ROWS, artifacts, left_out=left_out)
    block = open_store(dictionary, model, ROWS, artifacts, left_out=left_out).load(0)
    size = sum(getattr(block, name).nbytes for name in ("rows", "ends", "features", "acts", "measures", "shifted"))
    assert cost.n_tokens == 77
    assert cost.nbytes == size
    assert cost.l0 == pytest.approx(len(block.acts) / (~np.isin(ROWS, left_out)).sum())
    assert cost.seconds > 0
