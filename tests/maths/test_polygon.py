"""Points inside a lasso, against a test of one point and one edge at a time."""

import numpy as np
import pytest

from core.maths.polygon import MAX_VERTICES, BadPolygonError, inside

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]
CONCAVE = [[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]]
BOW_TIE = [[0, 0], [4, 4], [4, 0], [0, 4]]
STAR = [[np.cos(a) + 1.5, np.sin(a) + 1.5] for a in 4 * np.pi * np.arange(5) / 5]


def inside_by_hand(px: float, py: float, polygon: list) -> bool:
    """Count the edges that a ray to the right of one point crosses, with exact fractions."""
    from fractions import Fraction

    odd, px, py = False, Fraction(px), Fraction(py)
    for i in range(len(polygon)):
        (ax, ay), (bx, by) = ([Fraction(float(v)) for v in polygon[j]] for j in (i, (i + 1) % len(polygon)))
        if (ay <= py) != (by <= py) and px < ax + (py - ay) * (bx - ax) / (by - ay):
            odd = not odd
    return odd


def random_polygon(seed: int, n: int) -> list:
    return np.random.default_rng(seed).uniform(-1, 5, (n, 2)).tolist()


@pytest.mark.parametrize(
    "polygon", [SQUARE, CONCAVE, BOW_TIE, STAR, random_polygon(1, 7), random_polygon(2, 40), SQUARE[::-1]]
)
def test_membership_equals_the_count_of_crossed_edges(polygon):
    x, y = np.random.default_rng(0).uniform(-1, 5, (2, 300)).astype(np.float32)
    expected = [inside_by_hand(float(a), float(b), polygon) for a, b in zip(x, y, strict=True)]
    assert 0 < sum(expected) < 300
    assert inside(x, y, polygon).tolist() == expected


def test_points_on_corners_edges_and_level_with_vertices_are_decided_once():
    x, y = (part.ravel() for part in np.meshgrid(np.arange(-1.0, 6.0, 0.5), np.arange(-1.0, 6.0, 0.5)))
    for polygon in (SQUARE, CONCAVE, BOW_TIE):
        expected = [inside_by_hand(a, b, polygon) for a, b in zip(x, y, strict=True)]
        assert inside(x, y, polygon).tolist() == expected
    left, right = inside(x, y, [[0, 0], [2, 0], [2, 4], [0, 4]]), inside(x, y, [[2, 0], [4, 0], [4, 4], [2, 4]])
    assert not (left & right).any()
    assert (left | right).tolist() == inside(x, y, SQUARE).tolist()


def test_what_an_outline_goes_round_twice_is_outside():
    assert inside(np.array([1.5]), np.array([1.5]), STAR).tolist() == [False]  # the star's middle
    assert inside(np.array([2.0, 0.5]), np.array([3.0, 2.0]), CONCAVE).tolist() == [False, True]


def test_points_that_are_not_numbers_are_outside():
    x, y = np.array([1.0, np.nan, 1.0, np.inf]), np.array([1.0, 1.0, np.nan, 1.0])
    assert inside(x, y, SQUARE).tolist() == [True, False, False, False]


def test_no_points_and_flat_outlines_give_nothing():
    assert inside(np.empty(0), np.empty(0), SQUARE).shape == (0,)
    assert not inside(np.array([1.0]), np.array([0.0]), [[0, 0], [1, 0], [2, 0]]).any()


@pytest.mark.parametrize(
    "polygon",
    [
        None,
        "polygon",
        7,
        [],
        SQUARE[:2],
        SQUARE * 251,
        [[0, 0], [1, np.nan], [2, 2]],
        [[0, 0], [1, np.inf], [2, 2]],
        [[0, 0], [1, 1e300], [2, 2]],
        [[0, 0], [1, 10**400], [2, 2]],
        [[0, 0, 0], [1, 1, 1], [2, 2, 2]],
        [[0, 0], [1], [2, 2]],
        [["a", "b"], ["c", "d"], ["e", "f"]],
        [{"x": 0}, {"x": 1}, {"x": 2}],
        [None, None, None],
    ],
)
def test_what_is_no_polygon_is_refused_with_what_was_expected(polygon):
    with pytest.raises(BadPolygonError, match=f"3 to {MAX_VERTICES} pairs of finite numbers. Draw it again"):
        inside(np.array([1.0]), np.array([1.0]), polygon)
