"""The choice of a device, blocks that fit, memory that runs out, drivers that fail, and flags that are put back."""

import gc
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from core.devices import device as devices
from core.devices.device import CPU, TORCH_CPU, WORTH, Device, DeviceError, chosen
from core.installation import PROJECT

CARD = Device("cuda", 1, "Planted card", 8 * 10**9)
APPLE = Device("mps", 0, "Planted GPU", 8 * 10**9)


@pytest.fixture
def planted(monkeypatch):
    """A machine with two cards."""
    cards = Device("cuda", 0, "First card", 10**9), CARD
    monkeypatch.setattr(devices, "available", lambda: (CPU, *cards))
    monkeypatch.setattr(devices, "_cuda", lambda: cards)
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: True)


def test_a_device_is_chosen_by_its_name(planted):
    assert [chosen(name).name for name in ("auto", "cpu", "cuda", "cuda:1", " CUDA:0 ")] == [
        "First card",
        "CPU",
        "First card",
        "Planted card",
        "First card",
    ]


def test_auto_is_the_cpu_where_there_is_no_card(monkeypatch):
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: False)
    assert chosen() == CPU


@pytest.mark.parametrize("name", ["cuda:2", "mps", "cuda:99999999999999999999"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(planted, name):
    with pytest.raises(DeviceError, match=f"{name} was chosen, but torch finds cpu, cuda:0, cuda:1"):
        chosen(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:x", "cuda:-1", "mps:0", "cuda:²", "tpu" * 50])
def test_a_word_that_is_no_device_is_refused(planted, name):
    with pytest.raises(DeviceError, match=r"is not a device\. Expected auto, cpu, cuda"):
        chosen(name)


def test_the_cpu_is_chosen_without_importing_torch():
    script = "from core.devices.device import chosen; import sys; chosen('cpu'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


def test_small_work_and_devices_without_float64_leave_it_to_the_cpu():
    assert CARD.for_work(WORTH) == CARD
    assert CARD.for_work(WORTH - 1) == CPU
    assert APPLE.for_work(WORTH * 10) == CPU
    assert CPU.for_work(WORTH * 10) == CPU
    assert TORCH_CPU.for_work(1) == TORCH_CPU


def test_only_what_was_not_computed_by_the_cpu_says_so_in_its_key():
    assert CPU.inputs == {}
    assert CARD.inputs == {"device": "Planted card"}
    assert CARD.label == "Planted card (8.00 GB)"


def test_blocks_take_a_share_of_the_free_memory_in_whole_multiples(monkeypatch):
    from core.devices.blocks import rows_that_fit

    monkeypatch.setattr(Device, "free_bytes", lambda self: 1_000_000)
    assert rows_that_fit(CARD, 10_000, bytes_per_row=1000, width=10) == 384
    assert rows_that_fit(CARD, 10_000, bytes_per_row=10_000, width=10) == 40
    assert rows_that_fit(CARD, 20, bytes_per_row=1000, width=10) == 20
    assert rows_that_fit(CARD, 10_000, bytes_per_row=1, width=2**28) == 4
    assert rows_that_fit(CARD, 10_000, bytes_per_row=1000, fixed=200_000, width=10) == 128
    with pytest.raises(DeviceError, match=r"card has 1\.0 MB free, and one row of this work needs at least 1\.5 MB"):
        rows_that_fit(CARD, 10, bytes_per_row=1_500_000, width=10)


def test_running_out_of_memory_halves_the_block_and_loses_no_row():
    import torch

    from core.devices.blocks import run_on_device

    tried, reports = [], []

    def work(part):
        tried.append((part.start, part.stop))
        if part.stop - part.start > 3:
            raise torch.OutOfMemoryError("planted")
        return list(range(part.start, part.stop))

    progress = SimpleNamespace(update=lambda done, total: reports.append((done, total)), note=str)
    results = run_on_device(work, 10, 8, TORCH_CPU, progress=progress)
    assert [row for part in results for row in part] == list(range(10))
    assert tried[:3] == [(0, 8), (0, 4), (0, 2)]
    assert reports[-1] == (10, 10)


def test_one_row_that_does_not_fit_is_an_error_to_read():
    import torch

    from core.devices.blocks import run_on_device

    def work(part):
        raise torch.OutOfMemoryError("planted")

    with pytest.raises(DeviceError, match=r"one row of this work needs more\. Close"):
        run_on_device(work, 10, 8, TORCH_CPU)


def test_a_driver_that_fails_in_the_middle_is_named_and_other_errors_are_not():
    with (
        pytest.raises(
            DeviceError, match=r"Planted card \(cuda:1\) failed: CUDA error: unspecified launch failure\. What"
        ),
        devices.named_failures(CARD),
    ):
        raise RuntimeError("CUDA error: unspecified launch failure\nmore lines")
    with pytest.raises(RuntimeError, match="shapes"), devices.named_failures(CARD):
        raise RuntimeError("shapes do not fit")


def test_products_are_ieee_while_anyone_computes_and_the_flag_is_put_back():
    import torch

    from core.devices.products import ieee_products

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        outer, inner = ieee_products(), ieee_products()
        outer.__enter__()
        inner.__enter__()
        outer.__exit__(None, None, None)  # in whatever order they leave
        assert torch.get_float32_matmul_precision() == "highest"
        inner.__exit__(None, None, None)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("before", [("tf32", "tf32"), ("ieee", "tf32"), ("none", "none")])
def test_convolutions_are_ieee_too_while_anyone_computes_and_their_flags_are_put_back(before):
    import torch

    from core.devices.products import ieee_products

    cudnn = torch.backends.cudnn
    own = cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision
    try:
        cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = before
        with ieee_products():
            assert not cudnn.allow_tf32
            assert {cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision} <= {"ieee", "none"}
        assert (cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision) == before
    finally:
        cudnn.conv.fp32_precision, cudnn.rnn.fp32_precision = own


def read_only(n):
    array = np.arange(n, dtype=np.float32)
    array.flags.writeable = False
    return array


def planted_shelf(budget, monkeypatch):
    from core.devices.placed import Shelf

    shelf = Shelf(CARD, budget)
    monkeypatch.setattr(Shelf, "_moved", lambda self, array: __import__("torch").tensor(array))
    return shelf


def test_weights_are_placed_once_and_the_least_recently_used_leave(monkeypatch):
    shelf = planted_shelf(100, monkeypatch)
    a, b, c = read_only(10), read_only(10), read_only(10)
    first, second = shelf.place(a), shelf.place(b)
    assert shelf.place(a) is first
    shelf.place(c)
    assert shelf.nbytes == 80
    assert shelf.place(a) is first
    assert shelf.place(b) is not second


def test_what_may_still_be_written_is_copied_each_time(monkeypatch):
    shelf = planted_shelf(100, monkeypatch)
    array = np.arange(3.0)
    shelf.place(array)
    array[0] = 7
    assert shelf.place(array)[0] == 7
    assert shelf.nbytes == 0


def test_what_no_session_holds_any_more_leaves_the_device(monkeypatch):
    shelf = planted_shelf(100, monkeypatch)
    array = read_only(10)
    shelf.place(array)
    del array
    gc.collect()
    assert shelf.nbytes == 0


def test_more_than_the_whole_budget_is_refused_before_it_is_copied(monkeypatch):
    shelf = planted_shelf(100, monkeypatch)
    with pytest.raises(
        DeviceError, match="An array of 400 bytes does not fit into the 100 bytes that Planted card has"
    ):
        shelf.place(read_only(100))


def test_of_equal_values_the_lower_numbers_are_kept_and_nan_never():
    import torch

    from core.devices.ordering import merge_keys, top_keys, unpack

    x = torch.tensor([[1.0, 3, 3, 3, 2, 3], [torch.nan, -0.0, 0.0, -1, 0.0, -2], [5.0, 5, 5, 5, 5, 5]])
    keys = top_keys(x, 3, first=10)
    values, ids = unpack(keys)
    assert ids.tolist() == [[11, 12, 13], [11, 12, 14], [10, 11, 12]]
    assert values.tolist() == [[3, 3, 3], [0, 0, 0], [5, 5, 5]]
    assert unpack(merge_keys(keys, top_keys(x, 2, first=0), 3))[1].tolist() == [[1, 2, 11], [1, 2, 11], [0, 1, 10]]


@pytest.mark.parametrize("columns", [128, 500, 4096 + 7])
def test_extremes_found_in_groups_are_those_of_whole_rows_ties_included(columns):
    import torch

    from core.devices.ordering import extreme_keys, top_keys

    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(-9, 10, (20, columns)).astype(np.float32))
    x[3], x[4, ::7] = 0, -0.0
    x[5:8] = torch.from_numpy(rng.standard_normal((3, columns), dtype=np.float32))
    for rows in (x, torch.where(x == 2, torch.nan, x)):
        for found, expected in zip(
            extreme_keys(rows, 6, 10), (top_keys(rows, 6, 10), top_keys(-rows, 6, 10)), strict=True
        ):
            assert found.tolist() == expected.tolist()


def test_sums_of_many_float32_values_are_right_to_float64():
    import torch

    from core.devices.ordering import sum64

    x = torch.from_numpy(np.random.default_rng(0).standard_normal((3, 100_003), dtype=np.float32) + 1)
    expected = x.double().sum(1)
    assert ((sum64(x) - expected).abs() / expected).max() < 1e-7
