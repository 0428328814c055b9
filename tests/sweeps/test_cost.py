"""The cost model counts what the analyses multiply, and docs/scale.md says what it says."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import sweeps
from core.sweeps.cost import COSTS, Sizes, needs, together

SCALE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
SMALL = Sizes(d_in=2, d_sae=3, d_model=5, n_params=7, d_vocab=11, n_ctx=13, tokens=17, l0=1.0, other=19, rows=23)


@pytest.mark.parametrize(
    ("analysis", "products"),
    {
        "activations": 17 * (2 * 2 * 3 + 7),
        "positions": 23 * 13 * (2 * 3 + 7),
        "logit_weights": 3 * 5 * 11,
        "neighbors": 3 * 3 * 2,
        "matching": 3 * 19 * 2,
    }.items(),
)
def test_products_are_those_of_the_formula(analysis, products):
    assert needs(analysis, SMALL).multiply_adds == products


@pytest.mark.parametrize("analysis", COSTS)
def test_more_of_anything_never_needs_less(analysis):
    base = needs(analysis, SMALL)
    for name in vars(SMALL):
        more = needs(analysis, Sizes(**(vars(SMALL) | {name: 2 * getattr(SMALL, name)})))
        assert more.multiply_adds >= base.multiply_adds
        assert more.memory_bytes >= base.memory_bytes
        assert more.stored_bytes >= base.stored_bytes


def test_the_model_counts_once_for_passes_that_one_run_feeds():
    alone, wide = needs("activations", SMALL), replace(SMALL, d_sae=30)
    both = together([SMALL, wide])
    assert both.multiply_adds == 17 * (2 * 2 * 3 + 2 * 2 * 30 + 7)
    assert both.stored_bytes == alone.stored_bytes + needs("activations", wide).stored_bytes
    assert together([SMALL]) == alone
    assert alone.memory_bytes < both.memory_bytes


def test_the_rates_that_plans_reckon_with_are_near_those_measured():
    for name, device, features, _, rate in sweeps.measured_rates():
        if features == 24_576:
            reckoned = 5e12 if "NVIDIA" in device else 16 * 3e10
            assert 0.5 < rate / reckoned < 2.5, (name, device)


def test_the_tables_of_the_document_are_those_of_the_model():
    assert sweeps.rates_table() in SCALE, "python -m benchmarks.sweeps --tables prints them"
    assert sweeps.worked_table() in SCALE


def test_a_simulation_of_one_worker_is_the_sum_and_more_are_never_slower():
    seconds = [3.0, 1.0, 4.0, 1.0, 5.0]
    assert sweeps.makespan(seconds, 1) == 14
    assert sweeps.makespan(seconds, 2) == 7
    assert sweeps.makespan(seconds, 9) == 5
    walls = [row["seconds"] for row in sweeps.scaling(2.0, seconds, seconds, 0.0)]
    assert walls == sorted(walls, reverse=True)
    assert walls[0] == 30
    assert walls[-1] == 12
