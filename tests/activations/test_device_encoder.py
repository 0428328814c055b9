"""The encoder of a device against the compiled loops, bit for bit where the products are the same; keys and memory."""

import numpy as np
import pytest

from core.activations import kernels
from core.activations.encoding import Encoder
from core.activations.quantiles import ActivationQuantiles
from core.activations.reconstruction import ErrorByPosition
from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationBlock, on_device
from core.activations.token_pass import activation_pass, open_store
from core.devices.device import CPU, TORCH_CPU, Device, DeviceError
from core.errors import CancelledError
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, assert_same, planted
from tests.doubles.planted import planted_model
from tests.doubles.watched import Watched

CARD = Device("cuda", 0, "Planted card", 8 * 10**9)


def pre_acts(n: int, d_sae: int) -> np.ndarray:
    """Draw values of which many are equal."""
    return (3 * np.random.default_rng(n).normal(size=(n, d_sae))).astype(np.float32).round(1)


def by_loops(kernel, z, *how):
    ends, features, acts = np.empty(len(z), np.int64), np.empty(z.size + 1, np.int32), np.empty(z.size + 1, np.float32)
    n = kernel(z, *how, ends, features, acts)
    return ends, features[:n], acts[:n]


def fixed(array) -> np.ndarray:
    array = np.asarray(array, np.float32)
    array.flags.writeable = False
    return array


def assert_equal_entries(found, expected) -> None:
    for name, mine, theirs in zip(("ends", "features", "acts"), found, expected, strict=True):
        assert mine.numpy().dtype == theirs.dtype, name
        np.testing.assert_array_equal(mine.numpy(), theirs, err_msg=name)


@pytest.mark.parametrize("scaled", [False, True])
def test_gated_entries_are_those_of_the_loops(scaled):
    import torch

    from core.activations.on_device import compress

    rng, z = np.random.default_rng(0), pre_acts(50, 300)
    scale = rng.uniform(0.5, 2, 300).astype(np.float32) if scaled else np.ones(300, np.float32)
    offset, cutoff = fixed(-rng.uniform(0, 5, 300)), np.full(300, 2, np.float32)
    found = compress(*(torch.tensor(array) for array in (z, scale, offset, cutoff)))
    expected = by_loops(kernels.compress, z, cutoff, scale, offset)
    assert_equal_entries(found, expected)
    assert 0 < len(expected[1]) < (z > cutoff).sum()


@pytest.mark.parametrize("k", [1, 9, 400])
def test_of_equal_largest_values_a_device_keeps_those_that_the_loops_keep(k):
    import torch

    from core.activations.on_device import keep_largest

    z = pre_acts(40, 300)
    z[3], z[4, 7] = -1, np.nan
    assert_equal_entries(keep_largest(torch.tensor(z), k), by_loops(kernels.keep_largest, z, k))


def test_what_a_device_measures_of_a_token_is_what_the_loops_measure():
    import torch

    from core.activations.on_device import Sparse, compare, decode

    rng = np.random.default_rng(5)
    x, W_dec, b_dec = (rng.normal(size=shape).astype(np.float32) for shape in ((6, 16), (20, 16), 16))
    W_dec, b_dec = fixed(W_dec), fixed(b_dec)
    ends = np.array([0, 3, 3, 4, 9, 9])  # some tokens have no entries
    features, acts = rng.integers(0, 20, 9).astype(np.int32), rng.uniform(1, 2, 9).astype(np.float32)
    x_hat, sums = np.empty_like(x), np.empty((5, 6))
    kernels.decode(ends, features, acts, W_dec, b_dec, x_hat)
    kernels.compare(x, x_hat, b_dec, sums)
    given = Sparse(*map(torch.tensor, (ends, features, acts)))
    found = decode(given, torch.tensor(W_dec), torch.tensor(b_dec))
    np.testing.assert_allclose(found, x_hat, atol=1e-6)
    np.testing.assert_allclose(compare(torch.tensor(x), torch.tensor(x_hat), torch.tensor(b_dec)), sums, rtol=1e-13)
    none = Sparse(torch.zeros(2, dtype=torch.int64), given.features[:0], given.acts[:0])
    assert decode(none, torch.tensor(W_dec), torch.tensor(b_dec)).tolist() == [b_dec.tolist()] * 2


def test_a_tokens_bits_do_not_depend_on_how_many_come_with_it(device, monkeypatch):
    from core.activations.on_device import DeviceEncoder

    monkeypatch.setattr("core.activations.on_device.TILE", 128)
    dictionary = planted("standard", d_in=96, d_sae=300)
    encoder = DeviceEncoder(dictionary, device, gate=dictionary.affine_gate(), k=None, norms=None)
    x = np.random.default_rng(0).normal(size=(130, 96)).astype(np.float32)
    (ends, features, acts, sums), rest = encoder.encode(x, x)
    for n in (1, 7, 100):
        ((few_ends, few_features, few_acts, few_sums),) = encoder.encode(x[:n], x[:n])
        assert few_ends.tolist() == ends[:n].tolist()
        assert few_features.tolist() == features[: ends[n - 1]].tolist()
        assert few_acts.tolist() == acts[: ends[n - 1]].tolist()
        assert few_sums.tolist() == sums[:, :n].tolist()
    assert len(rest[0]) == 2
    np.testing.assert_array_equal(encoder.reconstruct(x[:7]).cpu(), encoder.reconstruct(x)[:7].cpu())


@pytest.mark.parametrize("architecture", ["standard", "topk", "transcoder", "temporal", "abstopk"])
@pytest.mark.parametrize("hook", ["blocks.1.hook_resid_pre", "blocks.1.hook_resid_post"])
def test_a_pass_behind_layers_that_ran_on_a_device_is_the_pass_of_the_cpu(tmp_path, architecture, hook, device):
    dictionary, model = planted(architecture, hook_name=hook), planted_model(tmp_path)
    expected, found = (activation_pass(dictionary, model, ROWS, None, device=at) for at in (CPU, device))
    assert found.count.tolist() == expected.count.tolist()
    for name in ("total", "square", "measures", "shifted"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_pass_on_a_device_counts_tokens_and_stops_between_runs_of_the_model(tmp_path):
    dictionary, model = planted("standard"), planted_model(tmp_path)
    for report in (1, 2, 3):
        stopped = Watched(stop_at_report=report)
        with pytest.raises(CancelledError):
            activation_pass(dictionary, model, ROWS, None, device=TORCH_CPU, block_rows=6, progress=stopped)
    watched = Watched()
    activation_pass(dictionary, model, ROWS, None, device=TORCH_CPU, block_rows=6, progress=watched)
    assert watched.told == [(0, 77), (42, 77), (42, 77), (77, 77)]


def test_what_a_device_computes_is_stored_beside_what_the_cpu_computes(tmp_path):
    dictionary, model, artifacts = planted("gated"), planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    found = {
        device: activation_pass(dictionary, model, ROWS, artifacts, device=device, block_rows=4)
        for device in (CPU, TORCH_CPU)
    }
    for device, stats in found.items():
        store = open_store(dictionary, model, ROWS, artifacts, device=device, block_rows=4)
        assert store.missing() == []
        assert_same(activation_pass(dictionary, model, ROWS, artifacts, device=device, block_rows=4), stats)
    assert open_store(dictionary, model, ROWS, artifacts, device=CARD, block_rows=4).missing() == [0, 1, 2]


def test_keys_of_the_cpu_are_what_they_were_and_those_of_a_device_name_it():
    rows = np.arange(6).reshape(2, 3)
    keys = {
        device: (
            ActivationBlock.key("d", "m", rows, left_out=(2,), device=device),
            ActivationStatistics.key("d", "m", "r", device=device),
            ActivationQuantiles.key(
                "d", on_device("m", device), "r", levels=(0.5, 1.0), with_first=True, left_out=(2,)
            ),
            ErrorByPosition.key("d", "m", "r", first=0, context_size=4, device=device),
        )
        for device in (CPU, TORCH_CPU, CARD)
    }
    assert keys[CPU] == (
        "activation-block-v2-0df2c88476f14ea1",
        "activation-statistics-v2-d50a2565c3c9811c",
        "activation-quantiles-v2-d6d81e20505eb68d",
        "error-by-position-v2-d786c9d99b6506e1",
    )
    assert len(set().union(*keys.values())) == 12


def test_too_little_memory_for_a_whole_tile_is_said_before_it_starts(tmp_path, monkeypatch):
    encoder, model = Encoder(planted("standard"), device=TORCH_CPU), planted_model(tmp_path)
    monkeypatch.setattr(Device, "free_bytes", lambda self: 10**6)
    with pytest.raises(DeviceError, match=r"CPU has 1\.0 MB free, and 4,096 tokens of planted standard need about"):
        encoder.block(model, ROWS)


def test_memory_that_runs_out_in_a_tile_is_an_error_and_no_smaller_tile(tmp_path, monkeypatch):
    import torch

    def out_of_memory(*args):
        raise torch.OutOfMemoryError("planted")

    encoder, model = Encoder(planted("standard"), device=TORCH_CPU), planted_model(tmp_path)
    monkeypatch.setattr("core.activations.on_device.compress", out_of_memory)
    with pytest.raises(DeviceError, match="would change the last bits"):
        encoder.block(model, ROWS)
