"""Numbers are the same on every processor, with any number of workers, or differ by a rounding that is known.

Each processor has matrix products of its own, which a setting of OpenBLAS stands for.
"""

import numpy as np
import pytest

from tests.doubles.processors import by_kernel


@pytest.fixture(scope="module")
def found() -> dict[str, dict]:
    return by_kernel("kernel_numbers")


def test_what_float64_decides_has_the_same_bits_on_every_processor(found):
    for name, bits in found["Haswell"]["exact"].items():
        if "workers" not in name:
            assert {kernel: numbers["exact"][name] for kernel, numbers in found.items()} == dict.fromkeys(found, bits)


def test_the_number_of_workers_changes_no_bit(found):
    for numbers in found.values():
        for name, bits in numbers["exact"].items():
            if "workers" in name:
                assert bits == numbers["exact"][name[: name.index(",")] + ", 1 workers"], name


def test_tokens_with_equal_rows_tie_exactly_and_come_by_id(found):
    for numbers in found.values():
        for name, value in numbers["ties"].items():
            assert value == (0 if "difference" in name else True), name


@pytest.mark.parametrize(
    ("name", "field", "within"),
    [
        *[(f"moments {off}", field, within) for off in (0, 3000) for field, within in ((0, 1e-9), (1, 1e-5))],
        *[(f"moments {off}", field, 1e-4) for off in (0, 3000) for field in (2, 3)],
        *[("positions", field, 1e-5) for field in (0, 1, 2, 3)],
        *[("enrichment", field, 1e-3) for field in (0, 1, 2)],
    ],
)
def test_other_numbers_differ_by_rounding_alone(found, name, field, within):
    """Relative to the largest; a rank of a set of 100 is 1e-3 of its score here, where V is small."""
    values = np.array([numbers["near"][name][field] for numbers in found.values()])
    assert np.nanmax(np.abs(values - values[0])) <= within * np.nanmax(np.abs(values))
