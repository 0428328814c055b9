"""A run makes every result once, goes on after failures, says them, and continues where it stopped."""

import errno
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from core.sweeps.__main__ import main
from core.sweeps.documents import read_record
from core.sweeps.plan import choose
from core.sweeps.state import progress_of, summary
from core.sweeps.tables import task_table
from core.work import artifacts
from tests.doubles.planted_sweep import (
    DIES_AFTER_TWO,
    another,
    contents,
    counted_saves,
    small_blocks,
    spoil,
    sweep_in,
    write_sweep,
)

ROOT = Path(__file__).parents[2]


def states(sweep) -> Counter:
    return Counter(one.state for one in progress_of(sweep.plan, sweep.place.store, sweep.place.documents))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished sweep: its file, and its results."""
    root = tmp_path_factory.mktemp("whole")
    toml = write_sweep(root)
    sweep = sweep_in(toml, root / "cache")
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 16, "there": 0, "failed": 0}
    return toml, sweep


def test_all_results_that_the_plan_names_are_there(whole):
    _, sweep = whole
    made = contents(sweep.place.store.root)
    assert {key for task in sweep.plan.tasks for key in task.keys} <= made.keys()
    assert states(sweep) == {"done": 16}


def test_a_second_run_makes_nothing(whole, monkeypatch):
    _, sweep = whole
    saved = counted_saves(monkeypatch)
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 0, "there": 16, "failed": 0}
    assert saved == []


def test_elements_on_several_machines_make_what_one_run_makes(whole, tmp_path):
    toml, sweep = whole
    other = sweep_in(toml, tmp_path / "cache")
    for i in (3, 1, 2):
        other.worker().run(choose(other.plan, f"{i}/3"))
    assert contents(other.place.store.root) == contents(sweep.place.store.root)


def test_passes_in_parts_and_from_one_run_make_the_results_of_passes_alone(whole, tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    results = []
    for gb, tokens in ((0, 10**6), (0, 60), (16, 10**6), (16, 60)):
        root = tmp_path / f"{gb} {tokens}"
        more = f"tokens_per_task = {tokens}\ntogether_gb = {gb}"
        sweep = sweep_in(write_sweep(root, analyses='["activations"]', more=more), root / "cache")
        assert not sweep.worker().run(sweep.plan.tasks)["failed"]
        results.append(contents(sweep.place.store.root))
    parts = [{key: made[key] for key in made if key.startswith("pass-part")} for made in results]
    assert [len(some) for some in parts] == [0, 12, 3, 12]
    assert parts[1] == parts[3]
    for made, some in zip(results, parts, strict=True):
        assert {key: value for key, value in made.items() if key not in some} == results[0]


def test_a_merge_alone_does_the_parts_that_it_needs(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    toml = write_sweep(tmp_path, analyses='["activations"]', more="tokens_per_task = 60")
    sweep = sweep_in(toml, tmp_path / "cache")
    merge = next(task for task in sweep.plan.tasks if task.after)
    assert sweep.worker().run([merge]) == {"done": 1, "there": 0, "failed": 0}
    parts = [sweep.plan.by_name[name] for name in merge.after]
    assert all(sweep.place.store.holds(key) for part in parts for key in part.keys)


@pytest.mark.parametrize("gb", [0, 16], ids=["alone", "merged"])
def test_quantiles_that_were_lost_with_the_activations_are_made_again(tmp_path, monkeypatch, gb):
    small_blocks(monkeypatch)
    toml = write_sweep(tmp_path, analyses='["activations"]', more=f"together_gb = {gb}")
    sweep = sweep_in(toml, tmp_path / "cache")
    sweep.worker().run(sweep.plan.tasks)
    made = contents(tmp_path / "cache")
    for kind in ("activation-block", "activation-quantiles"):
        for path in (tmp_path / "cache").glob(f"{kind}-*"):
            path.unlink()
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 3, "there": len(sweep.plan.tasks) - 3, "failed": 0}
    assert contents(tmp_path / "cache") == made


def test_a_dictionary_that_fails_in_a_shared_run_fails_alone(tmp_path):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["activations"]'), tmp_path / "cache")
    mend = spoil(tmp_path / "saes" / "b")
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 2, "there": 0, "failed": 2}
    failed = [one for one in progress_of(sweep.plan, sweep.place.store, sweep.place.documents) if one.state == "failed"]
    assert [one.task.ids for one in failed] == [sweep.plan.tasks[0].ids, (sweep.plan.dictionaries[1].id,)]
    assert all(one.record.words.count("sae_weights.safetensors") == 1 for one in failed)
    mend()
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 2, "there": 2, "failed": 0}
    assert states(sweep) == {"done": 4}


def test_a_corrupt_dictionary_fails_alone_and_is_named(tmp_path, capsys):
    toml = write_sweep(tmp_path, analyses='["neighbors", "matching"]')
    spoil(tmp_path / "saes" / "b")
    assert main(["run", str(toml), "--cache", str(tmp_path / "cache")]) == 1
    assert "3 done, 0 there, 0 failed" in capsys.readouterr().out
    assert main(["plan", str(toml), "--cache", str(tmp_path / "cache")]) == 0
    assert f"refused: folder/{tmp_path / 'saes' / 'b'}" in capsys.readouterr().out


def test_weights_that_changed_after_the_plan_fail_and_resume_ends_well(tmp_path):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    sweep = sweep_in(toml, tmp_path / "cache")
    mend = spoil(tmp_path / "saes" / "c")
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 2, "there": 0, "failed": 1}
    table = task_table(sweep.plan, progress_of(sweep.plan, sweep.place.store, sweep.place.documents))
    assert list(table["sweep_state"]) == ["done", "done", "failed"]
    assert "sae_weights.safetensors" in table["sweep_words"].iloc[2]
    mend()
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 1, "there": 2, "failed": 0}
    assert states(sweep) == {"done": 3}


def test_other_weights_in_the_same_place_are_not_taken_for_those_of_the_plan(tmp_path):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    sweep = sweep_in(toml, tmp_path / "cache")
    another(tmp_path / "saes" / "a")
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 2, "there": 0, "failed": 1}
    assert "when the plan was made" in read_record(sweep.place.documents, sweep.plan.tasks[0].name).words


@pytest.mark.parametrize("analyses", ['["activations"]', '["neighbors", "matching"]'])
def test_a_full_disk_is_said_and_resume_goes_on(tmp_path, monkeypatch, analyses):
    toml = write_sweep(tmp_path, analyses=analyses)
    sweep = sweep_in(toml, tmp_path / "cache")
    room, write = 3, artifacts._write

    def fill(path, arrays, header):
        nonlocal room
        room -= 1
        if room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, arrays, header)

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "_write", fill)
        counts = sweep.worker().run(sweep.plan.tasks)
    assert counts["failed"] == len(sweep.plan.tasks) - counts["done"] > 0
    failed = next(
        one for one in progress_of(sweep.plan, sweep.place.store, sweep.place.documents) if one.state == "failed"
    )
    assert "Make room" in failed.record.words or "make room" in failed.record.words
    assert sweep.worker().run(sweep.plan.tasks)["failed"] == 0
    assert states(sweep) == {"done": len(sweep.plan.tasks)}


def test_a_bug_in_one_task_does_not_end_the_others(tmp_path, monkeypatch):
    from core.sweeps import analyses

    toml = write_sweep(tmp_path, analyses='["neighbors", "matching"]')
    sweep = sweep_in(toml, tmp_path / "cache")
    monkeypatch.setitem(
        analyses.ANALYSES, "matching", analyses.Analysis("Pairs", "splitting", "pair", lambda subject: 1 / 0)
    )
    assert sweep.worker().run(sweep.plan.tasks) == {"done": 3, "there": 0, "failed": 3}
    words = read_record(sweep.place.documents, sweep.plan.tasks[-1].name).words
    assert words.startswith("An error in SAE Loupe.")
    assert "ZeroDivisionError" in words


def test_two_sweeps_at_once_make_each_result_once(tmp_path, monkeypatch):
    toml = write_sweep(tmp_path, analyses='["activations", "neighbors", "matching"]')
    saved = counted_saves(monkeypatch)
    sweeps = [sweep_in(toml, tmp_path / "cache") for _ in range(2)]
    before, counts = len(saved), []
    threads = [
        threading.Thread(target=lambda sweep=sweep: counts.append(sweep.worker().run(sweep.plan.tasks)))
        for sweep in sweeps
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one["done"] for one in counts) == 10
    assert all(sum(one.values()) == 10 and not one["failed"] for one in counts)
    assert max(Counter(saved[before:]).values()) == 1


def test_a_task_that_another_process_does_is_seen_as_running(whole, tmp_path):
    toml, _ = whole
    sweep = sweep_in(toml, tmp_path / "cache")
    worker, task = sweep.worker(), sweep.plan.tasks[0]
    from core.sweeps.documents import record, write_record

    write_record(sweep.place.documents, record(task.name, "started"))
    with sweep.place.documents.claim(task.name) as mine:
        assert mine
        assert worker.attempt(task) is None
        assert states(sweep) == {"running": 1, "waiting": 15}
    assert states(sweep) == {"waiting": 16}


def test_a_run_that_is_killed_in_the_middle_is_resumed(tmp_path):
    toml = write_sweep(tmp_path, analyses='["logit_weights", "neighbors", "matching"]')
    whole, sweep = (sweep_in(toml, tmp_path / name) for name in ("whole", "cache"))
    whole.worker().run(whole.plan.tasks)
    command = [sys.executable, "-c", DIES_AFTER_TWO, "run", sweep.plan.name, "--cache", str(tmp_path / "cache")]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert states(sweep) == {"done": 2, "waiting": 7}
    assert main(["resume", sweep.plan.name, "--cache", str(tmp_path / "cache")]) == 0
    assert contents(tmp_path / "cache") == contents(tmp_path / "whole")
    assert summary(progress_of(sweep.plan, sweep.place.store, sweep.place.documents)) == "9 done"


def test_status_tells_failures_in_their_words(tmp_path, capsys):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    sweep = sweep_in(toml, tmp_path / "cache")
    spoil(tmp_path / "saes" / "a")
    sweep.worker().run(sweep.plan.tasks)
    assert main(["status", sweep.plan.name, "--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().out
    assert f"{sweep.plan.name}: 2 done, 1 failed" in said
    assert "failed: Neighbours of" in said
    assert main(["status", "--cache", str(tmp_path / "cache")]) == 0
    assert sweep.plan.name in capsys.readouterr().out
