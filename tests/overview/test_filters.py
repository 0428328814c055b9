"""Filters on the table of all features."""

import numpy as np
import pandas as pd

from core.overview.filters import Range, Words, filtered

TABLE = pd.DataFrame(
    {
        "feature": [0, 1, 2, 3],
        "density": [0.1, np.nan, 0.3, 0.0],
        "top_token": [" The", "(a", None, "the."],
    }
)


def passing(*filters) -> list[int]:
    return filtered(TABLE, filters)["feature"].tolist()


def test_a_range_holds_both_its_ends_and_no_missing_value():
    assert passing(Range("density", 0.1, 0.3)) == [0, 2]
    assert passing(Range("density", high=0.1)) == [0, 3]
    assert passing(Range("density")) == [0, 2, 3]


def test_features_without_a_value_pass_when_asked():
    assert passing(Range("density", 0.2, with_empty=True)) == [1, 2]


def test_words_are_looked_for_letter_by_letter_in_any_case():
    assert passing(Words("top_token", "the")) == [0, 3]
    assert passing(Words("top_token", "(A")) == [1]
    assert passing(Words("top_token", ".")) == [3]
    assert passing(Words("top_token", "")) == [0, 1, 2, 3]


def test_a_row_must_pass_all_filters():
    assert passing(Words("top_token", "the"), Range("density", low=0.05)) == [0]
    assert passing() == [0, 1, 2, 3]


def test_filters_say_themselves_in_words():
    assert Range("density", 0.1, 0.3).describe("Density") == "Density ≥ 0.1 and ≤ 0.3"
    assert Range("density", with_empty=True).describe("Density") == "Density has a value or none"
    assert Words("top_token", "the").describe("Token") == "Token contains 'the'"
