"""The experiments: run once and no more, and the document says what the file of numbers holds."""

from dataclasses import replace

import numpy as np
import pytest

from core.errors import BadSettingError
from core.workspace import Workspace
from demo.experiments import answers, document, numbers
from demo.experiments import run as runner
from demo.experiments.answers import at_l0, estimate, jackknife, peaks
from demo.experiments.asked import PLAN, SHIPPED
from demo.experiments.measures import BINS, Ground
from demo.experiments.plan import Arm, Plan
from tests.doubles.planted import planted_model

L1 = Arm("l1", "L1", "standard", (0.1, 0.5), options={"warm_up_steps": 2})
TOPK = Arm("topk", "TopK", "topk", (2, 4), setting="k")
TINY = Plan(
    arms=(L1, TOPK),
    l0=3.0,
    changes=(("k", "topk-2", "topk-4"),),
    hook_name="blocks.1.hook_resid_pre",
    d_sae=12,
    seeds=(0, 4),
    training_tokens=640,
    batch_tokens=64,
    context=8,
    buffer_tokens=128,
    held_out_tokens=160,
    loss_tokens=80,
)


@pytest.fixture
def place(tmp_path):
    model = planted_model(tmp_path)
    rows = np.random.default_rng(0).integers(1, 257, size=(100, 8)).astype(np.uint16)
    np.save(tmp_path / "rows.npy", rows[:80])
    held_out = rows[80:].astype(np.int64)
    workspace = Workspace(
        runs=tmp_path / "runs",
        cache=tmp_path / "cache",
        models=(tmp_path / "planted",),
        roots=(tmp_path,),
        device="cpu",
    )
    ground = Ground(model, TINY.hook_name, held_out, held_out[:10])
    return runner.Place(workspace, model, lambda: tmp_path / "rows.npy", lambda: ground)


def test_what_was_run_is_not_run_again_and_a_killed_run_goes_on(place, tmp_path, monkeypatch):
    path = tmp_path / "numbers.json"
    once = runner.trained
    calls = []

    def killed_at_the_third(plan, training, place):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(training.name)
        return once(plan, training, place)

    monkeypatch.setattr(runner, "trained", killed_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        runner.run_missing(TINY, place, path)
    assert calls == ["l1-0.1", "l1-0.5"] == list(numbers.read(path).runs)
    before = numbers.read(path).runs["l1-0.1"]

    trainings = []
    monkeypatch.setattr(runner, "trained", lambda *said: trainings.append(said[1].name) or once(*said))
    found = runner.run_missing(TINY, place, path)
    assert trainings[:2] == ["topk-2", "topk-4"]
    assert found.runs["l1-0.1"] == before
    assert [one["l0"] for one in found.runs["topk-2"]["seeds"]] == [pytest.approx(2, abs=0.5)] * 2
    assert {pair["factor"] for pair in found.pairs["trained"]["pairs"]} == {"seed", "k"}

    monkeypatch.setattr(runner, "trained", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(runner, "measure", lambda *_: pytest.fail("measured again"))
    text = path.read_text()
    runner.run_missing(TINY, place, path)
    assert path.read_text() == text
    other = replace(TINY, training_tokens=1280)
    assert len(numbers.read(path).missing(other)) == 4, "numbers of other settings are none"


def test_the_document_says_what_the_numbers_are():
    held = numbers.read()
    assert held.missing(PLAN) == []
    assert document.DOCUMENT.read_text(encoding="utf-8") == document.text(held), "python -m demo.experiments --write"
    assert set(held.pairs["shipped"]["inputs"]["dictionaries"]) == set(SHIPPED)
    for stem in document.figures(held):
        assert f"({stem}.svg)" in document.text(held)


def test_another_number_changes_the_document():
    held = numbers.read()
    for one in held.runs["gated-2"]["seeds"]:
        one["fve"] += 0.05
    assert document.text(held) != document.text(numbers.read())


def test_numbers_at_one_l0_lie_between_those_of_both_sides_in_log_l0():
    measured = [{"seed": 1, "l0": l0, "fve": np.log(l0)} for l0 in (40.0, 10.0, 20.0)]
    assert at_l0(measured, 15.0)["fve"] == pytest.approx(np.log(15))
    with pytest.raises(BadSettingError, match=r"lies outside of those reached: 10\.0, 20\.0, 40\.0"):
        at_l0(measured, 50.0)


def test_an_interval_is_that_of_students_t():
    from scipy.stats import ttest_1samp

    values = [0.2, 0.5, 0.3, 0.45]
    found, theirs = estimate(values), ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert np.isnan(estimate([1.0]).low)


def test_the_jackknife_of_sums_of_seeds_is_the_interval_of_a_mean():
    seeds = {"a": 0.1, "b": 0.4, "c": 0.2, "d": 0.9}
    pairs = {(i, j): seeds[i] + seeds[j] for i in seeds for j in seeds if i < j}
    found, expected = jackknife(pairs), estimate([2 * value for value in seeds.values()])
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_peaks_are_found_where_they_are_planted_the_highest_first():
    draws = np.random.default_rng(0).normal([[0.31]] * 2 + [[0.07]], 0.02, (3, 2000))
    assert peaks(np.histogram(draws, BINS)[0]) == pytest.approx([0.31, 0.07], abs=0.01)


def test_a_dictionary_that_returns_half_of_its_input_has_relative_size_one_half(place):
    from demo.experiments.measures import measure
    from tests.doubles.planted import planted_dictionary

    ground = place.ground()
    mean = ground.x.mean(axis=0)
    eye = np.eye(8, dtype=np.float32)
    tensors = {
        "W_enc": np.concatenate([eye, -eye], axis=1),
        "W_dec": np.concatenate([eye, -eye]) / 2,
        "b_enc": np.concatenate([-mean, mean]),
        "b_dec": mean,
    }
    how = {"d_in": 8, "d_sae": 16, "tensors": tensors, "hook_name": TINY.hook_name, "apply_b_dec_to_input": False}
    found = measure(planted_dictionary(**how), ground)
    assert found["relative_size"] == pytest.approx(0.5, abs=1e-3)
    assert found["fve"] == pytest.approx(0.75, abs=1e-3)
    assert found["l0"] == pytest.approx(8, abs=0.01)
    assert found["nearest_cosine"] == pytest.approx(0, abs=1e-6)
    assert answers.of([found, found], "l0").n == 2
