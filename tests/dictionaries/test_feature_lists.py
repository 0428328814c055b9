"""Lists of features as typed: what is read, and what is named as wrong."""

import numpy as np
import pytest

from core.dictionaries.feature_lists import format_features, parse_explanations, parse_features
from core.errors import LoupeError


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("", []),
        (" ,; \n", []),
        ("12", [12]),
        ("12, 45-47", [12, 45, 46, 47]),
        ("45 - 47;3\n3 45", [45, 46, 47, 3]),  # as written, each once
        ("[0, 99]", [0, 99]),
        ("7\u20139", [7, 8, 9]),  # an en dash
        ("5-5", [5]),
        (" " * 200_000 + "7 -" + " " * 200_000 + "9", [7, 8, 9]),  # the square of which would take an hour
    ],
)
def test_numbers_and_ranges_are_read_in_the_order_written(text, features):
    assert parse_features(text, 100) == features


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("12, x", "'x' is no feature"),
        ("-3", "'-3' is no feature"),
        ("1.5", "'1.5' is no feature"),
        ("1-2-3", "'1-2-3' is no feature"),
        ("\u0663", "is no feature"),  # a digit of another script
        ("9" * 5000, "is no feature"),
        ("47-45", "runs backwards. Expected the smaller end first: 45-47"),
        ("100", "Feature 100 does not exist: expected a whole number from 0 to 99"),
        ("90-999999999999", "Feature 999999999999 does not exist"),
        ("90-" + "9" * 13, "'9999999999999' is no feature"),
    ],
)
def test_what_is_no_list_is_named(text, says):
    with pytest.raises(LoupeError) as error:
        parse_features(text, 100)
    assert says in str(error.value)


def test_what_is_written_is_read_back():
    assert format_features([12, 45, 46, 47, 3]) == "12, 45-47, 3"
    assert format_features([]) == ""
    rng = np.random.default_rng(0)
    for n in range(1, 40):
        features = rng.permutation(60)[:n].tolist()
        assert parse_features(format_features(features), 60) == features


def test_explanations_are_read_line_by_line_and_a_feature_may_have_several():
    said = parse_explanations("12: names: of months \n\n 45 :\n12: spring", [12, 45], longest=20)
    assert said == {12: ("names: of months", "spring")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("12: a\nmonths", "Line 2 of the explanations, 'months', does not begin with a feature"),
        ("x: months", "does not begin with a feature"),
        ("13: months", "explains feature 13, which is not among those chosen. Expected one of 12, 45"),
        ("12: " + "m" * 21, "has 21 characters, expected at most 20"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text, says):
    with pytest.raises(LoupeError) as error:
        parse_explanations(text, [12, 45], longest=20)
    assert says in str(error.value)
