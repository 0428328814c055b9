"""First-order effects on a text: exact on a linear model, and nearly on others where a change is small."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.errors import BadSettingError, CorpusError, DoesNotFitError, OutOfRangeError
from core.interventions.attribution import Asked, attribute, check_guess, chosen, fit, likeliest
from core.interventions.edits import Edit
from core.interventions.runs import EditedRuns
from tests.doubles.linear_model import linear_model
from tests.doubles.planted import planted_dictionary, planted_model

ROWS = np.random.default_rng(6).integers(0, 257, (2, 7))
KEEP = np.ones(ROWS.shape, bool)
KEEP[0, 2] = False
LOGIT, DIFFERENCE = Asked("logit", (6, 4), 5), Asked("difference", (6, 4), 5, 9)


def planted(**more):
    return planted_dictionary(d_sae=20, hook_name="blocks.1.hook_resid_pre", **more)


def ablated(dictionary, model, asked, feature, means=None) -> float:
    """The number as it is minus that with the feature ablated, by an edit."""
    kind = {"kind": "ablate"} if means is None else {"kind": "mean", "means": (float(means[feature]),)}
    runs = EditedRuns(dictionary, model, ROWS)
    effects = runs.effects([Edit((feature,), **kind)], at=asked.at)
    return -float(asked.changes(runs, effects, np.ones(ROWS.shape, bool))[0])


@pytest.mark.parametrize("asked", [LOGIT, DIFFERENCE])
@pytest.mark.parametrize("with_means", [False, True])
def test_the_guess_is_exact_on_a_linear_model(asked, with_means, tmp_path):
    dictionary, model = planted(), linear_model(tmp_path)
    means = np.linspace(0, 1, 20) if with_means else None
    found = attribute(dictionary, model, ROWS, asked, means=means)
    features, strongest = chosen(found.table, strongest=5, sampled=4)
    checked = check_guess(dictionary, model, found, asked, features, strongest)
    assert len(features) == 9
    assert np.abs(checked.guess).max() > 0.1
    np.testing.assert_allclose(checked.truth, checked.guess, atol=2e-4)
    np.testing.assert_allclose(checked.control_truth, checked.control_guess, atol=2e-4)
    slope, rank = fit(checked.guess, checked.truth)
    assert (slope, rank) == (pytest.approx(1, abs=1e-3), pytest.approx(1, abs=1e-9))
    for feature, guess in zip(features, checked.guess, strict=True):
        assert guess == pytest.approx(ablated(dictionary, model, asked, int(feature), means), abs=2e-4)


@pytest.mark.parametrize("asked", [Asked(), LOGIT, DIFFERENCE])
def test_truth_is_what_an_edit_does(asked, tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    found = attribute(dictionary, model, ROWS, asked)
    features, strongest = chosen(found.table, strongest=4, sampled=2)
    checked = check_guess(dictionary, model, found, asked, features, strongest)
    for feature, truth in zip(features, checked.truth, strict=True):
        assert truth == pytest.approx(ablated(dictionary, model, asked, int(feature)), abs=1e-4)


def test_the_guess_of_the_loss_is_the_slope_of_a_small_edit(tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    found, runs = attribute(dictionary, model, ROWS, Asked()), EditedRuns(dictionary, model, ROWS)
    for feature in found.table["feature"][:5]:
        effects = runs.effects([Edit((feature,), kind="scale", amount=1 - 2**-7)])
        change = float(Asked().changes(runs, effects, np.ones(ROWS.shape, bool))[0])
        assert -change * 2**7 == pytest.approx(found.of_feature(feature).sum(), rel=0.1, abs=0.02)


def test_the_table_adds_up_the_effects_of_each_feature(tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    found = attribute(dictionary, model, ROWS, Asked())
    table = found.table.set_index("feature")
    assert table["attribution"].abs().is_monotonic_decreasing
    assert len(table) > 10
    for feature, row in table.iterrows():
        each = found.of_feature(feature)
        assert row["attribution"] == pytest.approx(each.sum(), rel=1e-9, abs=1e-12)
        assert row["attribution_size"] == pytest.approx(np.abs(each).sum(), rel=1e-9)
        assert int(row["token_number"]) == np.abs(each).argmax()
        assert row["attribution_there"] == pytest.approx(each[np.abs(each).argmax()], rel=1e-9)
        assert row["text_tokens"] == np.count_nonzero(found.size(feature))
        assert row["text_max"] == pytest.approx(np.abs(found.size(feature)).max())


def test_against_means_silent_features_have_effects_too(tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    means = np.full(20, 0.3)
    found = attribute(dictionary, model, ROWS, Asked(), means=means, keep=KEEP)
    assert sorted(found.table["feature"]) == list(range(20))
    for row in found.table.itertuples():
        each = found.of_feature(row.feature)
        assert each[2] == 0
        assert row.attribution == pytest.approx(each.sum(), rel=1e-9)
        assert row.attribution_size == pytest.approx(np.abs(each).sum(), rel=1e-9)
        assert row.attribution_there == pytest.approx(each[row.token_number], rel=1e-9)


def test_tokens_that_are_left_out_get_nothing_and_their_guesses_do_not_count(tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    found = attribute(dictionary, model, ROWS, Asked(), keep=KEEP)
    assert not any(found.of_feature(feature)[2] for feature in range(20))
    whole = attribute(dictionary, model, ROWS, Asked())
    losses = EditedRuns(dictionary, model, ROWS)._runs.log_p
    assert whole.value - found.value == pytest.approx(-losses[0, 2], rel=1e-5)


def test_a_transcoder_is_attributed_at_what_it_writes(tmp_path):
    dictionary = planted_dictionary("transcoder", d_sae=20, hook_name="blocks.0.hook_resid_mid")
    model = linear_model(tmp_path)
    found = attribute(dictionary, model, ROWS, LOGIT)
    for feature in found.table["feature"][:4]:
        truth = ablated(dictionary, model, LOGIT, int(feature))
        assert found.of_feature(feature).sum() == pytest.approx(truth, abs=2e-4)


def test_the_strongest_are_checked_and_one_of_each_stratum_of_the_rest():
    table = pd.DataFrame({"feature": np.arange(100)[::-1]})
    features, strongest = chosen(table, strongest=10, sampled=9, seed=4)
    assert features[:10].tolist() == list(range(99, 89, -1))
    assert strongest.tolist() == [True] * 10 + [False] * 9
    assert ((89 - features[10:]) // 10).tolist() == list(range(9))
    assert chosen(table[:4], strongest=10, sampled=9)[0].tolist() == [99, 98, 97, 96]
    again = chosen(table, strongest=10, sampled=9, seed=4)[0]
    assert again.tolist() == features.tolist()


def test_slope_and_rank_correlation_have_known_answers():
    guess = np.array([1.0, 2.0, 3.0, np.nan])
    assert fit(guess, 2 * guess) == (pytest.approx(2), pytest.approx(1))
    assert fit(np.array([1.0, 2, 4]), np.array([3.0, 2, 1]))[1] == pytest.approx(-1)
    assert np.isnan(fit(np.zeros(3), np.ones(3))[0])
    assert np.isnan(fit(np.zeros(0), np.zeros(0))[1])


def test_the_rank_correlation_is_that_of_scipy_with_ties():
    from scipy.stats import spearmanr

    guess, truth = np.array([1.0, 2, 2, 5, 4, 3]), np.array([2.0, 2, 1, 6, 1, 3])
    assert fit(guess, truth)[1] == pytest.approx(spearmanr(guess, truth).statistic, abs=1e-12)


def test_the_likeliest_tokens_are_those_of_the_largest_logits(tmp_path, device):
    import torch

    model = planted_model(tmp_path)
    logits = model.hooked(torch.from_numpy(ROWS))[[0, 1], [6, 4]]
    expected = logits.argsort(dim=1, descending=True)[:, :3]
    assert likeliest(model, ROWS, (6, 4), n=3, device=device).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (Asked("logit", (7, 0), 5), OutOfRangeError, "Position 7 does not exist"),
        (Asked("logit", (1, 0), 257), OutOfRangeError, "Token 257 does not exist"),
        (Asked("difference", (1, 0), 5, -1), OutOfRangeError, "Token -1 does not exist"),
        (Asked("difference", (1, 0), 5, 5), BadSettingError, "Expected two tokens"),
    ],
)
def test_numbers_that_there_are_not_are_refused(asked, error, said, tmp_path):
    with pytest.raises(error, match=said):
        attribute(planted(), planted_model(tmp_path), ROWS, asked)


def test_texts_that_are_too_short_or_too_long_and_features_that_write_nothing_are_refused(tmp_path):
    dictionary, model = planted(), planted_model(tmp_path)
    with pytest.raises(CorpusError, match="at least 2 tokens"):
        attribute(dictionary, model, ROWS[:, :1], Asked())
    with pytest.raises(DoesNotFitError, match=r"2,200 tokens are too many .* at most 2,048"):
        attribute(dictionary, model, np.zeros((200, 11), np.int64), Asked())
    with pytest.raises(DoesNotFitError, match=r"planted has no hook 'blocks\.7\.hook_resid_pre'"):
        attribute(planted_dictionary(hook_name="blocks.7.hook_resid_pre"), model, ROWS, Asked())
    dictionary.config = replace(dictionary.config, reconstructs=False)
    with pytest.raises(DoesNotFitError, match="one layer of a cross-layer transcoder"):
        attribute(dictionary, model, ROWS, Asked())
    with pytest.raises(DoesNotFitError, match="can be read, and not replaced"):
        attribute(planted_dictionary(hook_name="blocks.1.ln1.hook_out"), model, ROWS, Asked())


def test_room_is_made_for_what_the_way_back_needs(tmp_path):
    model, asked_for = planted_model(tmp_path), []
    _ = model.running
    model.make_room = asked_for.append
    attribute(planted(), model, ROWS, Asked())
    attribute(planted_dictionary(d_sae=20, hook_name="blocks.0.hook_resid_pre"), model, ROWS, Asked())
    assert asked_for == [4 * 34 * 8 * ROWS.size, 2 * 4 * 34 * 8 * ROWS.size]
