"""What rests on a device's float32 products names the device in its key; docs/trust.md says how far it may be off."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import core
from core.devices.device import Device
from core.work.wanted import Wanted
from tests.house.test_imports import LATE

PAGE = (Path(__file__).parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")
EXACT = {
    "Neighbors": "float64 decides ids and cosines",
    "Between": "float64 decides ids and cosines",
    "LayerLinks": "made of neighbours",
    "ActivationMatch": "whole numbers in fixed point; the token pass that they count is in its key",
}
"""Results of a device that are equal to the bit on all of them."""
NAMES = [module.name for module in pkgutil.walk_packages(core.__path__, "core.")]
MODULES = [import_module(name) for name in NAMES if not LATE.search(name)]


def own(module, kind) -> list:
    return [some for some in vars(module).values() if kind(some) and some.__module__ == module.__name__]


def is_result(some) -> bool:
    return inspect.isclass(some) and {"key", "version"} <= vars(some).keys()


def results_of_devices() -> dict[str, type]:
    """Return the results of functions that are given a device, and those whose key is."""
    found = set()
    for module in MODULES:
        for function in own(module, inspect.isfunction):
            signature = inspect.signature(function)
            if "device" in signature.parameters and is_result(made := unwrapped(signature.return_annotation)):
                found.add(made)
        found |= {made for made in own(module, is_result) if "device" in inspect.signature(made.key).parameters}
    return {made.__name__: made for made in found}


def unwrapped(annotation):
    """Return T of Wanted[T], and any other annotation as it is."""
    return annotation.__args__[0] if getattr(annotation, "__origin__", None) is Wanted else annotation


RESULTS = results_of_devices()
ROUNDED = sorted(RESULTS.keys() - EXACT)


def bounds() -> dict[str, str]:
    """Return, from the table of devices in docs/trust.md, the bound of each result."""
    table = PAGE.partition("## On a device")[2].partition("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| `")
    ]
    return {name: row[1] for row in rows for name in re.findall(r"`(\w+)`", row[0])}


def test_the_walk_finds_what_devices_compute():
    assert {"PositionStatistics", "LogitStatistics", "Enrichment", "SplicedLoss", "ActivationBlock"} <= set(ROUNDED)
    assert RESULTS.keys() >= EXACT.keys()


@pytest.mark.parametrize("name", ROUNDED)
def test_what_is_not_equal_to_the_bit_names_its_device_in_its_key(name):
    parameter = inspect.signature(RESULTS[name].key).parameters.get("device")
    assert parameter is not None, f"{name} is neither among EXACT nor named by its device"
    assert parameter.annotation is Device
    assert re.search(r"device_inputs\(device\)|device\.inputs", inspect.getsource(RESULTS[name].key))


@pytest.mark.parametrize("name", EXACT)
def test_what_is_equal_to_the_bit_is_found_whichever_device_computed_it(name):
    assert "device" not in inspect.signature(RESULTS[name].key).parameters


def test_the_page_on_trust_says_for_each_how_far_devices_may_differ():
    assert sorted(bounds()) == ROUNDED
    assert all(re.search(r"\d", bound) for bound in bounds().values())
