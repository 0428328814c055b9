"""Controls and what is shown beside them: bands with a stated rate, lengths, doses, and seeded continuations."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from core.errors import BadSettingError, CancelledError, DoesNotFitError
from core.interventions.continuations import Sampling, continuations
from core.interventions.controls import (
    FEATURE,
    OPPOSITE,
    RANDOM,
    ControlSettings,
    band,
    draw_controls,
    most_alike,
    signed_lengths,
)
from core.interventions.doses import dose_response
from core.interventions.edits import Edit
from core.interventions.impact import impact, most_changed
from core.interventions.runs import EditedRuns
from tests.doubles.activation_rows import ROWS, planted
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.watched import Watched
from tests.interventions.test_runs import HOOK, OUTPUT, TEXT, reading_model

W_DEC = np.random.default_rng(3).normal(size=(12, 8))


@pytest.mark.parametrize(("n", "rate"), [(20, 19 / 21), (39, 36 / 40), (2, 1 / 3)])
def test_a_control_like_the_others_stays_inside_their_band_at_the_stated_rate(n, rate):
    drawn = np.random.default_rng(0).standard_cauchy(size=(n + 1, 20_000))
    found = band(drawn[:n])
    assert found.rate == pytest.approx(rate)
    assert 1 - found.outside(drawn[n]).mean() == pytest.approx(rate, abs=0.012)


def test_a_band_needs_two_controls_and_all_of_them():
    with pytest.raises(BadSettingError, match="1 controls make no band"):
        band(np.zeros((1, 3)))
    with pytest.raises(BadSettingError, match="1 controls make no band"):
        ControlSettings(n=1)
    found = band(np.array([[0, np.nan], [1, 1.0]]))
    assert np.isnan(found.low[1])
    assert not found.outside(np.array([0.5, 9.0])).any()


def test_controls_are_as_long_as_the_edit_at_each_token_and_turn_where_it_turns():
    written = np.zeros((1, 4, 8), np.float32)
    written[0, 0, 2], written[0, 1, 2], written[0, 3, 2] = 3, -1, 2
    assert signed_lengths(written).tolist() == [[3, -1, 0, 2]]
    like = pd.DataFrame({"density": np.linspace(0, 0.1, 12), "mean_active": np.ones(12)})
    controls = draw_controls(W_DEC, [4], ControlSettings(n=3, seed=1), like=like)
    changes = controls.changes(written)
    assert controls.kinds == [RANDOM] * 3 + [FEATURE] * 3 + [OPPOSITE]
    for push in changes:
        lengths = np.linalg.norm(push.sizes[..., None] * push.direction, axis=-1)
        np.testing.assert_allclose(lengths, [[3, 1, 0, 2]])
    np.testing.assert_array_equal(changes[-1].direction, -written)
    assert 4 not in controls.features
    assert 0 not in controls.features
    again = draw_controls(W_DEC, [4], ControlSettings(n=3, seed=1), like=like)
    np.testing.assert_array_equal(again.random, controls.random)
    assert not np.allclose(draw_controls(W_DEC, [4], ControlSettings(n=3, seed=2)).random, controls.random)


def test_features_most_alike_are_near_in_density_and_in_mean():
    density, mean = np.array([0.01, 0.01, 0.01, 0.1, 0, 0.011]), np.array([1, 1.1, 9, 1, 1, 1.3])
    like = pd.DataFrame({"density": density, "mean_active": mean})
    assert most_alike(like, [0], 2, among=np.ones(6, bool)).tolist() == [1, 5]
    assert most_alike(like, [4], 6, among=np.ones(6, bool)).tolist() == [0, 1, 2, 3, 5]


def test_a_planted_cause_leaves_its_band_and_a_feature_without_effect_does_not(tmp_path):
    W_dec = np.tile(np.eye(8)[[5]], (12, 1))
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, hook_name=OUTPUT, fold_decoder_norms=False)
    runs = EditedRuns(dictionary, reading_model(tmp_path), TEXT)
    controls = draw_controls(dictionary.W_dec, [3], ControlSettings(20))
    found = impact(runs, Edit((3,), "add", 4.0, positions=(2,)), controls, place=(0, 2), tokens=[7], top=3)
    assert found.same_without_edit
    strings = [str(i) for i in range(257)]
    first = found.next_table(strings).iloc[0]
    assert first["token"] == 5
    assert first["next_log_p_change"] > first["next_log_p_change_high"]
    base, change, of_controls = found.difference(5, 7)
    assert change == pytest.approx(4, abs=1e-5)  # it raises the logit of token 5 by 4, and that of 7 not at all
    assert len(of_controls) == 21
    assert of_controls[-1] == pytest.approx(-4, abs=1e-5)
    assert base == pytest.approx(float(runs._x[0, 2, 5] - runs._x[0, 2, 7]), abs=1e-5)
    table = found.token_table(TEXT, strings)
    assert table.loc[table["is_edited"], "position"].tolist() == [2, 2]
    assert (table.loc[table["position"] != 2, ["next_log_p_change", "token_kl"]] == 0).all(axis=None)
    assert not table.loc[table["position"] != 2, "outside_band"].any()


def test_doses_are_single_edits_and_say_where_the_response_leaves_the_band(tmp_path):
    W_dec = np.tile(np.eye(8)[[5]], (12, 1))
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, hook_name=OUTPUT, fold_decoder_norms=False)
    runs, watched = EditedRuns(dictionary, reading_model(tmp_path), TEXT), Watched()
    controls = draw_controls(dictionary.W_dec, [3], ControlSettings(20))
    doses = np.array([-2, -1, 0, 1, 2, 4, 1e30])
    found = dose_response(runs, Edit((3,), "add"), doses, controls, place=(0, 4), tokens=[5, 7], progress=watched)
    assert found.overflows.tolist() == [False] * 6 + [True]
    table = found.table("difference")
    assert table["dose"].tolist() == [-2, -1, 0, 1, 2, 4]
    np.testing.assert_allclose(table["response"], table["dose"], atol=1e-5)
    np.testing.assert_allclose(table["response_opposite"], -table["dose"], atol=1e-5)
    assert found.leaves("difference") == (-1, 1)
    alone = runs.effects([Edit((3,), "add", 2.0)])
    at = found.table("log_likelihood").set_index("dose")["response"][2.0]
    assert at == pytest.approx(np.nanmean(alone.log_p_change[0]))
    assert found.table("divergence").set_index("dose")["response"][0.0] == 0
    assert watched.told[-1][1] == 7 * 22


def test_continuations_are_the_models_own_and_those_of_edited_runs(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard", hook_name=HOOK)
    controls = draw_controls(dictionary.W_dec, [2], ControlSettings(2))
    edit, prompt = Edit((2,), "add", 6.0), ROWS[0, :4]
    found = continuations(dictionary, model, prompt, edit, controls, Sampling(5), first=1)
    assert found.tokens.shape == (5, 5)
    import torch

    for run, pushed in ((0, False), (1, True)):
        row = prompt.tolist()
        for step in range(5):
            may_change = np.ones((1, len(row)), bool)
            may_change[:, 0] = False
            runs = EditedRuns(dictionary, model, np.array([row]), may_change=may_change)
            at = [(0, len(row) - 1)]
            last = runs.effects([edit if pushed else Edit(())], at=at).last[0]
            log_p = torch.from_numpy(runs.logits(last)).double().log_softmax(-1)[0].numpy()
            assert found.tokens[run, step] == log_p.argmax()
            assert found.log_p[run, step] == pytest.approx(log_p.max(), abs=1e-5)
            row.append(int(found.tokens[run, step]))
    np.testing.assert_allclose(found.log_p[0], found.log_p_plain[0], atol=1e-5)
    assert found.first_difference(0) is None


def test_continuations_are_seeded_and_share_their_random_numbers(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard", hook_name=HOOK)
    controls = draw_controls(dictionary.W_dec, [2], ControlSettings(2))
    how = dictionary, model, ROWS[0, :4], Edit(()), controls
    first, again, other = (continuations(*how, Sampling(6, 1.0, seed)).tokens for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    assert (first == first[0]).all()  # nothing is changed, so all runs draw the same tokens


def test_the_model_is_free_for_others_between_the_steps_of_a_continuation(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard", hook_name=HOOK)
    controls, free = draw_controls(dictionary.W_dec, [2], ControlSettings(2)), []

    def take_and_give_back() -> bool:
        taken = model.lock.acquire(blocking=False)
        if taken:
            model.lock.release()
        return taken

    class Asking(Watched):
        def update(self, done: int, total: int) -> None:
            with ThreadPoolExecutor(1) as other:
                free.append(other.submit(take_and_give_back).result())

    continuations(dictionary, model, ROWS[0, :4], Edit((2,)), controls, Sampling(3), progress=Asking())
    assert free == [True] * 4


def test_what_cannot_be_continued_is_said_and_continuing_stops_when_asked(tmp_path):
    model, dictionary = planted_model(tmp_path), planted("standard", hook_name=HOOK)
    controls = draw_controls(dictionary.W_dec, [2], ControlSettings(2))
    with pytest.raises(DoesNotFitError, match=r"its context is 12\. Shorten the prompt"):
        continuations(dictionary, model, ROWS[0, :7], Edit((2,)), controls, Sampling(7))
    with pytest.raises(BadSettingError, match="expected at least 1 token and a temperature of 0 or more"):
        Sampling(0)
    with pytest.raises(CancelledError):
        continuations(dictionary, model, ROWS[0], Edit((2,)), controls, Sampling(4), progress=Watched(stop_at_report=2))
    found = continuations(dictionary, model, ROWS[0], Edit((2,), "add", 1e38), controls, Sampling(4))
    assert found.overflowed
    assert found.tokens.shape == (5, 0)


def test_what_gains_and_loses_are_tokens_that_are_ever_likely():
    log_p = np.log(np.array([0.5, 0.4, 0.0999, 1e-9, 1e-9]))
    change = np.array([-1, 0.5, 0.1, 5, 18])
    assert most_changed(log_p, change, 2).tolist() == [0, 2, 4, 1]
