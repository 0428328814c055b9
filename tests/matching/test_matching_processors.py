"""Pairs, similarities and numbers of a matching are the same on every processor, with any number of workers."""

import numpy as np
import pytest

from tests.doubles.processors import by_kernel


@pytest.fixture(scope="module")
def found() -> dict[str, dict]:
    return by_kernel("matching_kernels")


def test_matchings_have_the_same_bits_on_every_processor(found):
    one, *others = found.values()
    assert len(one["exact"]) > 70
    for other in others:
        assert other["exact"] == one["exact"]


def test_matchings_have_the_same_bits_with_any_number_of_workers(found):
    for numbers in found.values():
        for name, bits in numbers["exact"].items():
            assert bits == numbers["exact"][f"{name.rpartition(', ')[0]}, 1 workers"], name


@pytest.mark.parametrize("name", ["units", "two features"])
def test_what_is_summed_in_float64_differs_by_its_rounding_alone(found, name):
    one, *others = (np.concatenate(numbers["near"][name]) for numbers in found.values())
    for other in others:
        np.testing.assert_allclose(other, one, rtol=0, atol=2e-7)
