"""A pass whose device fails in the middle goes on behind its last block on the CPU, and says so in every name."""

import numpy as np
import pytest

from core.activations.statistics import ActivationStatistics
from core.activations.token_pass import activation_pass, open_store
from core.devices.device import CPU, Continued, DeviceError
from core.work.artifacts import ArtifactStore
from tests.doubles import planted_card
from tests.doubles.activation_rows import ROWS, assert_same, planted
from tests.doubles.planted import planted_model
from tests.doubles.planted_card import CARD


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A dictionary, a model, a store, and a card whose driver fails behind the second of three blocks of four rows."""
    planted_card.put_in(monkeypatch)
    return planted("standard"), planted_model(tmp_path), ROWS, ArtifactStore(tmp_path / "cache")


def on(world, device, **more):
    return activation_pass(*world, device=device, block_rows=4, **more)


def store_of(world, device):
    return open_store(*world, device=device, block_rows=4)


def test_a_driver_that_fails_in_a_pass_is_named_and_what_was_stored_stays(world, monkeypatch):
    planted_card.fail_after(monkeypatch, 2)
    with pytest.raises(DeviceError, match=r"Planted card \(cuda:0\) failed: CUDA error: unspecified launch failure"):
        on(world, CARD)
    assert store_of(world, CARD).missing() == [2]
    names = [path.name for path in (world[3].root).iterdir()]
    assert not [name for name in names if name.startswith("activation-statistics")]  # nothing stored is half
    assert store_of(world, CARD).going_on() == Continued(first=CARD, rows=8)


def test_the_pass_goes_on_behind_its_last_block_on_the_cpu(world, monkeypatch):
    whole = {device: activation_pass(*world[:3], None, device=device, block_rows=4) for device in (CPU, CARD)}
    planted_card.fail_after(monkeypatch, 2)
    with pytest.raises(DeviceError):
        on(world, CARD)
    rest = store_of(world, CARD).going_on()
    found = on(world, rest)
    mixed, by_card, by_cpu = (store_of(world, device) for device in (rest, CARD, CPU))
    assert mixed.missing() == []
    assert mixed.keys == by_card.keys[:2] + by_cpu.keys[2:]
    assert by_card.missing() == [2]  # the card is given nothing that it did not compute
    assert by_cpu.missing() == [0, 1]
    assert found.count.tolist() == whole[CPU].count.tolist()
    np.testing.assert_allclose(found.total, whole[CARD].total, rtol=1e-5)
    assert_same(on(world, rest), found)


def test_a_pass_of_two_devices_has_a_name_that_says_where_the_second_began():
    rest = Continued(first=CARD, rows=8)
    assert rest.inputs == {"device": "Planted card, from row 8 on CPU"}
    keys = {ActivationStatistics.key("d", "m", "r", device=d) for d in (CPU, CARD, rest, Continued(first=CARD, rows=4))}
    assert len(keys) == 4
    assert [rest.at_row(row) for row in (0, 7, 8)] == [CARD, CARD, CPU]
    assert rest != CPU
    assert not rest.runs_kernels


def test_a_lost_block_of_the_card_is_asked_of_the_card_again_and_may_move_the_place(world, monkeypatch):
    with monkeypatch.context() as broken:
        planted_card.fail_after(broken, 2)
        with pytest.raises(DeviceError):
            on(world, CARD)
        rest = store_of(world, CARD).going_on()
        found = on(world, rest)
        next(world[3].root.glob(f"{store_of(world, CARD).keys[1]}*")).unlink()
        with pytest.raises(DeviceError):
            on(world, rest)
        assert store_of(world, rest).going_on() == Continued(first=CARD, rows=4)
    assert_same(on(world, rest), found)


def test_a_pass_that_fails_before_its_first_block_is_one_of_the_cpu(world, monkeypatch):
    planted_card.fail_after(monkeypatch, 0)
    with pytest.raises(DeviceError):
        on(world, CARD)
    assert store_of(world, CARD).going_on() == CPU
