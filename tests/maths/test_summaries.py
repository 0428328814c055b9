"""What a box plot says of values, with known answers."""

import numpy as np

from core.maths.summaries import box


def test_whiskers_end_at_the_last_values_within_one_and_a_half_boxes():
    # The box goes from 1 to 3, so whiskers reach as far as -2 and 6.
    values = np.array([0, 1, 2, 3, 4] * 20 + [-2, 6, -2.001, 6.001, 100])
    assert box(values) == (-2, 1, 2, 3, 6, 105, 3)


def test_of_no_values_nothing_is_known():
    assert np.isnan(box(np.zeros(0))[:5]).all()
    assert box(np.zeros(0))[5:] == (0, 0)
