"""What ablating a feature does on its own rows: against runs one by one, and by name."""

import numpy as np

from core.interventions.controls import ControlSettings, draw_controls
from core.interventions.edits import Edit
from core.interventions.own_contexts import OwnContexts, ablated_on_own_contexts
from core.interventions.runs import EditedRuns
from core.work.artifacts import ArtifactStore
from tests.doubles.activation_rows import ROWS, planted
from tests.doubles.planted import planted_model

CONTROLS = ControlSettings(n=3, seed=1)


def test_the_effect_is_the_mean_from_the_first_edited_token_on_and_the_band_that_of_random_directions(tmp_path):
    dictionary, model, rows = (
        planted("jumprelu", hook_name="blocks.1.hook_resid_pre"),
        planted_model(tmp_path),
        ROWS[:2],
    )
    may = np.ones(rows.shape, bool)
    may[:, :2] = False
    runs = EditedRuns(dictionary, model, rows, may_change=may)
    feature = int((runs.acts * may[..., None]).sum(axis=(0, 1)).argmax())
    found = ablated_on_own_contexts(dictionary, model, rows, may, feature=feature, controls=CONTROLS)

    written = runs.written(Edit((feature,)))
    pushes = draw_controls(dictionary.W_dec, (feature,), CONTROLS).changes(written)[:3]
    means = []
    for change in [Edit((feature,)), *pushes]:
        log_p, counted = runs.effects([change]).log_p_change[0], []
        for row in range(len(rows)):
            edited = np.flatnonzero((written[row] != 0).any(axis=-1))
            counted += log_p[row, edited[0] : -1].tolist() if len(edited) else []
        means.append(np.mean(counted))
    np.testing.assert_allclose(found.effect, means[0], rtol=1e-5)
    np.testing.assert_allclose([found.low, found.high], [min(means[1:]), max(means[1:])], rtol=1e-5)
    assert found.outside == (not min(means[1:]) <= means[0] <= max(means[1:]))
    assert found.n == 3


def test_a_feature_that_may_change_nothing_has_no_effect(tmp_path):
    dictionary, model = planted("jumprelu", hook_name="blocks.1.hook_resid_pre"), planted_model(tmp_path)
    nothing = np.zeros(ROWS[:1].shape, bool)
    found = ablated_on_own_contexts(dictionary, model, ROWS[:1], nothing, feature=0, controls=CONTROLS)
    assert (found.effect, found.low, found.high, found.outside) == (0, 0, 0, False)


def test_it_is_stored_by_everything_that_changes_it(tmp_path):
    def key(**other) -> str:
        return OwnContexts.key("d", "m", "r", **{"feature": 1, "controls": CONTROLS} | other)

    keys = {key(), key(feature=2), key(controls=ControlSettings(n=4, seed=1)), key(controls=ControlSettings(n=3))}
    assert len(keys) == 4
    assert len({OwnContexts.key(*each, feature=1, controls=CONTROLS) for each in ("dmr", "Dmr", "dMr", "dmR")}) == 4
    store, found = ArtifactStore(tmp_path), OwnContexts(0.5, -1.0, 0.25, 3)
    store.save(found, key())
    assert store.load(OwnContexts, key()) == found
    assert found.outside
