"""Edits of activations: each kind by hand, where they apply, and what cannot be an edit."""

import numpy as np
import pytest

from core.errors import BadSettingError, OutOfRangeError
from core.interventions.edits import KINDS, Edit, allowed, edited

ACTS = np.array([[[1, 0, 3], [0, 2, 0], [4, 5, 0]], [[0, 0, 0], [6, 0, 7], [0, 8, 9]]], np.float32)
BY_HAND = {
    "ablate": [[0, 0, 0], [0, 0, 0]],
    "mean": [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]],
    "clamp": [[2, 2, 2], [2, 2, 2]],
    "scale": [[2, 0, 8], [0, 12, 0]],
    "add": [[3, 2, 6], [2, 8, 2]],
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_edit_is_that_by_hand_and_leaves_other_features(kind):
    new = edited(ACTS, Edit((0,), kind, 0.0 if kind in ("ablate", "mean") else 2.0, means=(0.5,)))
    assert new[..., 0].tolist() == BY_HAND[kind]
    np.testing.assert_array_equal(new[..., 1:], ACTS[..., 1:])


def test_several_features_have_a_mean_each():
    new = edited(ACTS, Edit((2, 0), "mean", means=(5.0, 7.0)))
    assert (new[..., 2] == 5).all()
    assert (new[..., 0] == 7).all()
    np.testing.assert_array_equal(new[..., 1], ACTS[..., 1])


def test_an_edit_is_made_only_at_its_positions_and_where_the_other_feature_fires():
    edit = Edit((0,), "clamp", 9.0, positions=(1, 2), only_where=1)
    assert allowed(ACTS, edit).tolist() == [[False, True, True], [False, False, True]]
    assert edited(ACTS, edit)[..., 0].tolist() == [[1, 9, 9], [0, 6, 9]]


@pytest.mark.parametrize("edit", [Edit((3,)), Edit((-1,)), Edit((0, 3)), Edit((0,), only_where=3)])
def test_features_that_there_are_not_are_named(edit):
    with pytest.raises(OutOfRangeError, match=r"Feature (3|-1) does not exist: expected a whole number from 0 to 2"):
        edited(ACTS, edit)


@pytest.mark.parametrize("amount", [np.nan, np.inf, -np.inf])
def test_an_amount_that_is_no_number_is_refused(amount):
    with pytest.raises(BadSettingError, match=r"cannot add by (nan|-?inf): expected a finite number"):
        Edit((0,), "add", amount)
