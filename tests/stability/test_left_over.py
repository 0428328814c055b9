"""What is left over: a shared subspace under rotated bases is found as one, a random one as chance."""

import numpy as np
import pytest

from core.errors import DoesNotFitError
from core.stability.left_over import FOUND, OTHERS, RANDOM, left_over, principal_cosines, span
from core.stability.returning import stability
from tests.stability.test_returning import dictionary

D, R = 40, 5


def basis(seed, d=D):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]


def rotated_in(subspace, seed, n=R):
    """So many orthonormal directions of a subspace, by another rotation for each seed."""
    return (basis(seed, subspace.shape[1])[:n]) @ subspace.T


def planted(seed):
    """A dictionary of 12 features that all seeds have, and of a basis of 5 dimensions that each has rotated."""
    axes = basis(0)
    return np.concatenate([axes[:, :12].T, rotated_in(axes[:, 20 : 20 + R], seed)])


def test_a_planted_subspace_whose_basis_is_rotated_is_found_as_one():
    a, b = dictionary(planted(1)), dictionary(planted(2))
    one, other = (stability(x, [y], threshold=0.95).returns[0] for x, y in ((a, b), (b, a)))
    assert np.flatnonzero(one.returned).tolist() == list(range(12))
    left = [np.flatnonzero(found.kept & ~found.returned) for found in (one, other)]
    assert left[0].tolist() == left[1].tolist() == list(range(12, 12 + R))
    found = left_over(a.W_dec, b.W_dec, *left)
    assert (found.rank_a, found.rank_b) == (R, R)
    assert found.cosines == pytest.approx(np.ones(R), abs=1e-6)
    assert found.overlap == pytest.approx(1, abs=1e-6)
    mean, std = found.expected
    assert mean == pytest.approx(R / D)
    assert found.overlap > mean + 10 * std
    assert found.overlap_others < 0.9


def test_spans_of_nothing_in_common_overlap_as_random_subspaces_do():
    rng = np.random.default_rng(3)
    overlaps, expected = [], None
    for _ in range(200):
        one, other = (np.linalg.qr(rng.standard_normal((D, r)))[0] for r in (R, 8))
        overlaps.append((principal_cosines(one, other) ** 2).mean())
        found = left_over(one.T, other.T, np.arange(R), np.arange(8), held=1.0, draws=1)
        assert found.overlap == pytest.approx(overlaps[-1])
        expected = found.expected
    mean, std = expected
    assert np.mean(overlaps) == pytest.approx(mean, abs=4 * std / np.sqrt(200))
    assert np.std(overlaps) == pytest.approx(std, rel=0.2)
    assert found.expected == pytest.approx((8 / D, std))


def test_angles_are_those_of_planes_at_a_known_angle():
    turn = 0.7
    one = np.eye(4)[:, :2]
    other = np.array([[1, 0], [0, np.cos(turn)], [0, np.sin(turn)], [0, 0]])
    assert principal_cosines(one, other) == pytest.approx([1, np.cos(turn)])


def test_a_span_holds_what_it_says_and_takes_equal_axes_together():
    rows = np.repeat(np.eye(6)[:3], [90, 8, 2], axis=0) * np.linspace(1, 2, 100)[:, None]  # as copies count once
    assert [span(rows, held=held).shape[1] for held in (0.5, 0.9, 0.95, 0.99, 1.0)] == [1, 1, 2, 3, 3]
    assert span(np.eye(6), held=0.1).shape[1] == 6
    twice = span(np.concatenate([rows, 3 * rows]), held=0.95)
    assert principal_cosines(twice, np.eye(6)[:, :2]) == pytest.approx([1, 1])


def test_permuted_features_have_the_same_angles():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((60, D)), rng.standard_normal((70, D))
    left_a, left_b = np.arange(20), np.arange(30)
    order = rng.permutation(len(b))
    turned = np.flatnonzero(np.isin(order, left_b))
    one, other = left_over(a, b, left_a, left_b), left_over(a, b[order], left_a, turned)
    assert other.cosines == pytest.approx(one.cosines)
    assert other.others == pytest.approx(one.others)
    assert other.random.tolist() == one.random.tolist()


def test_the_table_has_all_angles_of_all_three_and_the_range_of_draws():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((60, D)), rng.standard_normal((70, D))
    table = left_over(a, b, np.arange(5), np.arange(8), draws=50).table()
    assert set(table["span_series"]) == {FOUND, OTHERS, RANDOM}
    drawn = table[table["span_series"] == RANDOM]
    assert (drawn["principal_low"] <= drawn["principal_cosine"]).all()
    assert (drawn["principal_cosine"] <= drawn["principal_high"]).all()
    assert drawn["principal_cosine"].is_monotonic_decreasing


@pytest.mark.parametrize(("left", "which"), [(([], [1]), "the first"), (([1], []), "the second"), (([], []), "either")])
def test_where_nothing_is_left_over_that_is_said(left, which):
    rows = np.eye(4)
    with pytest.raises(DoesNotFitError, match=f"Nothing is left over in {which} of the two"):
        left_over(rows, rows, *(np.array(part, int) for part in left))
