"""Amounts in words."""

import pytest

from core.amounts import of_bytes, of_seconds


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (0, "0 bytes"),
        (12_300, "12 kB"),
        (100_000, "0.1 MB"),
        (4_200_000, "4.2 MB"),
        (41_000_000, "41 MB"),
        (1_250_000_000, "1.25 GB"),
        (2.5e12, "2,500.00 GB"),
    ],
)
def test_bytes_are_said_in_the_unit_that_suits_them(n, said):
    assert of_bytes(n) == said


@pytest.mark.parametrize(("n", "said"), [(0.02, "1 s"), (8.4, "8 s"), (89, "89 s"), (90, "2 min"), (7200, "120 min")])
def test_times_are_said_in_seconds_or_minutes(n, said):
    assert of_seconds(n) == said
