"""Bars by factor: pairs that differ in one label, both ways, with the share that returns."""

import numpy as np
import pytest

from core.stability.factors import factor_table
from core.stability.returning import stability
from tests.stability.test_returning import dictionary, noisy, random_rows

LABELS = [
    {"seed": 0, "type": "standard", "width": 60},
    {"seed": 1, "type": "standard", "width": 60},
    {"seed": 0, "type": "standard", "width": 20},
    {"seed": 1, "type": "topk", "width": 60, "k": 8},
]


def test_pairs_that_differ_in_one_label_have_the_shares_that_return():
    rows = random_rows(0)
    members = [
        dictionary(rows),
        dictionary(np.concatenate([noisy(rows[:45], 0.1, 1), random_rows(2, 15)])),
        dictionary(noisy(rows[:20], 0.1, 3)),
        dictionary(random_rows(4)),
    ]
    table = factor_table(members, list("abcd"), LABELS, threshold=0.9)
    assert table["match_factor"].tolist() == ["seed", "seed", "type", "type", "width", "width"]
    found = table.set_index(["matched_from", "matched_to"])
    assert found["returned_share"]["a", "b"] == pytest.approx(45 / 60)
    assert found["returned_share"]["a", "c"] == pytest.approx(20 / 60)
    assert found["returned_share"]["c", "a"] == 1
    assert found["factor_change"]["c", "a"] == "20 → 60"
    assert found["returned_share"]["b", "d"] < 0.05
    assert (table["random_share"] <= 0.011).all()
    assert found["returned_share"]["b", "a"] == stability(members[1], [members[0]], threshold=0.9).returns[0].share


def test_without_labels_there_is_no_pair():
    members = [dictionary(random_rows(0)), dictionary(random_rows(1))]
    assert factor_table(members, ["a", "b"], [{}, {}]).empty
