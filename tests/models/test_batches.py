"""Rows of text through a model, a few at a time."""

import numpy as np
import pytest

from core.errors import CancelledError
from core.models.batches import batches, rows_per_run
from tests.doubles.planted import planted_model
from tests.doubles.watched import Watched

HOOK = "blocks.0.hook_resid_post"
ROWS = np.random.default_rng(0).integers(0, 257, (7, 6))


@pytest.mark.parametrize("step", [1, 3, 7, None])
def test_batches_give_what_one_run_over_all_rows_gives(tmp_path, step):
    model, watched = planted_model(tmp_path), Watched()
    parts, x = zip(*batches(model, ROWS, HOOK, step=step, progress=watched), strict=True)
    assert [row for part in parts for row in range(7)[part]] == list(range(7))
    np.testing.assert_allclose(np.concatenate(x), model.activations(ROWS, HOOK), atol=1e-5)
    assert watched.told == [(part.stop, 7) for part in parts]
    assert watched.told[-1] == (7, 7)


def test_cancelled_work_stops_once_its_batch_is_used(tmp_path):
    found = batches(planted_model(tmp_path), ROWS, HOOK, step=2, progress=Watched(stop_at=4))
    assert [next(found)[0].stop for _ in range(2)] == [2, 4]
    with pytest.raises(CancelledError):
        next(found)


def test_a_run_holds_about_so_many_tokens_and_at_least_one_row():
    assert rows_per_run(128) == 32
    assert rows_per_run(6, 14) == 2
    assert rows_per_run(10_000) == 1
