"""The tally and the quantiles of a device against the compiled loops: equal to the bit, in whatever parts."""

import numpy as np
import pytest

from core.activations import counts_on_device
from core.activations.counts_on_device import DeviceTally
from core.activations.encoding import read_only
from core.activations.measures import MEASURES
from core.activations.quantiles import activation_quantiles
from core.activations.shards import PassPart
from core.activations.statistics import ActivationStatistics, Tally
from core.activations.store import ActivationBlock, ActivationStore
from core.devices.device import CPU, TORCH_CPU, DeviceError
from core.work.artifacts import ArtifactStore
from tests.doubles import planted_card
from tests.doubles.activation_rows import assert_same
from tests.doubles.planted_card import CARD

N_POS, D_SAE, D_OUT = 5, 40, 3


def block(seed: int, n_rows: int = 6) -> ActivationBlock:
    """Draw entries of all sizes and both signs; some values are equal, many tokens have no entry."""
    rng = np.random.default_rng(seed)
    active = rng.random((n_rows * N_POS, D_SAE)) < rng.random((n_rows * N_POS, 1)) ** 3
    tokens, features = active.nonzero()
    acts = (rng.normal(size=len(tokens)) * 10.0 ** rng.integers(-9, 5, len(tokens))).astype(np.float32)
    acts[::7] = np.float32(0.5**0.5) * 2.0 ** rng.integers(-20, 20, len(acts[::7]))
    acts[::11] = 1.5
    arrays = {
        "rows": rng.integers(0, 9, (n_rows, N_POS)).astype(np.int32),
        "ends": np.bincount(tokens, minlength=active.shape[0]).cumsum(),
        "features": features.astype(np.int32),
        "acts": acts,
        "measures": rng.random((len(MEASURES), N_POS)),
        "shifted": rng.normal(size=(N_POS, D_OUT)),
    }
    made = ActivationBlock(**arrays)
    read_only(made)
    return made


BLOCKS = [block(1), block(2, n_rows=1), block(3, n_rows=9), block(4)]


def counted(tally) -> Tally:
    for one in BLOCKS:
        tally.add(one)
    return tally.here()


def on(device) -> DeviceTally:
    return DeviceTally(N_POS, D_SAE, D_OUT, device)


@pytest.fixture
def by_loops() -> Tally:
    return counted(Tally(N_POS, D_SAE, D_OUT))


@pytest.mark.parametrize("most", [1, 3, 64, 2**22])
def test_the_tally_of_a_device_is_that_of_the_loops_to_the_bit_in_whatever_parts(by_loops, device, most, monkeypatch):
    monkeypatch.setattr(counts_on_device, "_MOST", most)
    found = counted(on(device if device.runs_kernels else TORCH_CPU))
    assert_same(PassPart.of(found), PassPart.of(by_loops))
    assert found.histogram.dtype == by_loops.histogram.dtype
    assert_same(found.finish(), by_loops.finish())
    assert by_loops.histogram.sum() > 300


def test_a_tally_of_a_device_goes_on_after_it_was_asked(by_loops):
    tally = on(TORCH_CPU)
    for one in BLOCKS:
        tally.add(one)
        tally.here()
    assert_same(tally.here().finish(), by_loops.finish())


def test_blocks_without_activations_are_counted_as_rows():
    entries = np.zeros(2 * N_POS, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
    sums = np.ones((len(MEASURES), N_POS)), np.ones((N_POS, D_OUT))
    empty = ActivationBlock(np.zeros((2, N_POS), np.int32), *entries, *sums)
    read_only(empty)
    tally, expected = on(TORCH_CPU), Tally(N_POS, D_SAE, D_OUT)
    tally.add(empty)
    expected.add(empty)
    assert_same(tally.here().finish(), expected.finish())


def test_memory_that_runs_out_halves_what_is_added_and_counts_nothing_twice(by_loops, monkeypatch):
    import torch

    fixed, sizes = counts_on_device._fixed, []

    def with_little_memory(value):
        sizes.append(len(value))
        if len(value) > 20:
            raise torch.OutOfMemoryError("planted")
        return fixed(value)

    planted_card.put_in(monkeypatch)
    monkeypatch.setattr(counts_on_device, "_fixed", with_little_memory)
    assert_same(counted(on(CARD)).finish(), by_loops.finish())
    assert max(sizes) > 20


def test_a_driver_that_fails_while_it_counts_is_named(monkeypatch):
    def failing(*_):
        raise RuntimeError(planted_card.FAULT)

    planted_card.put_in(monkeypatch)
    monkeypatch.setattr(counts_on_device, "_bins", failing)
    with pytest.raises(DeviceError, match="Planted card"):
        on(CARD).add(BLOCKS[0])


@pytest.mark.parametrize("with_first", [True, False])
@pytest.mark.parametrize("budget", [4, 400, 2**28])
def test_quantiles_of_a_device_are_those_of_the_loops_to_the_bit(tmp_path, device, with_first, budget):
    found = {}
    for where in (CPU, device):
        rows = np.concatenate([one.rows for one in BLOCKS[:1] + BLOCKS[3:]])
        store = ActivationStore(ArtifactStore(tmp_path / where.setting), "d", "m", rows, block_rows=6, device=where)
        tally = Tally(N_POS, D_SAE, D_OUT)
        for i, one in enumerate((BLOCKS[0], BLOCKS[3])):
            store.save(i, one)
            tally.add(one)
        found[where] = activation_quantiles(store, tally.finish(), with_first=with_first, budget_bytes=budget)
    assert found[CPU].values.tobytes() == found[device].values.tobytes()
    assert np.isfinite(found[CPU].values).any()


def test_sorting_that_runs_out_of_memory_goes_on_with_fewer_features(tmp_path, monkeypatch):
    import torch

    sort, sizes = counts_on_device._sorted, []

    def with_little_memory(store, part, n, with_first):
        sizes.append(part.stop - part.start)
        if sizes[-1] > 6:
            raise torch.OutOfMemoryError("planted")
        return sort(store, part, n, with_first)

    planted_card.put_in(monkeypatch)
    monkeypatch.setattr(counts_on_device, "_sorted", with_little_memory)
    stats: dict[object, ActivationStatistics] = {}
    for where in (CPU, CARD):
        store = ActivationStore(ArtifactStore(tmp_path / where.setting), "d", "m", BLOCKS[0].rows, device=where)
        store.save(0, BLOCKS[0])
        tally = Tally(N_POS, D_SAE, D_OUT)
        tally.add(BLOCKS[0])
        stats[where] = activation_quantiles(store, tally.finish())
    assert stats[CPU].values.tobytes() == stats[CARD].values.tobytes()
    assert sizes[:3] == [40, 20, 10]


def test_what_is_counted_leaves_no_copy_among_the_weights(monkeypatch):
    from core.devices import placed

    planted_card.put_in(monkeypatch)
    counted(on(CARD))
    assert placed.shelf(CARD).nbytes == 0
