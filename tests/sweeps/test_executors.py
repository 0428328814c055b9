"""Other processes make the very results of a run in this one, and lost workers lose nothing."""

import os

import pytest

from core.errors import SweepError
from core.sweeps import on_ray, on_submitit
from core.sweeps.__main__ import main
from core.sweeps.documents import read_record
from core.sweeps.elements import deal, do_element, most_needs, run_elements
from tests.doubles.planted_sweep import contents, dies_once, spoil, sweep_in, write_demo_sweep, write_sweep

WEIGHTS = '["logit_weights", "neighbors", "matching"]'
"""Analyses that need no running model, so that a worker starts in little time."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of a run in this process, by the analyses asked for."""
    found = {}
    for name, analyses in (("weights", WEIGHTS), ("all", '["activations", "neighbors"]')):
        root = tmp_path_factory.mktemp(name)
        sweep = sweep_in(write_sweep(root, analyses=analyses), root / "cache")
        sweep.worker().run(sweep.plan.tasks)
        found[name] = contents(root / "cache")
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The results of a sweep over the demo's dictionaries in this process."""
    root = tmp_path_factory.mktemp("demo")
    sweep = sweep_in(write_demo_sweep(root), root / "cache")
    assert not sweep.worker().run(sweep.plan.tasks)["failed"]
    return contents(root / "cache")


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers, for all tests of this file."""
    ray = pytest.importorskip("ray", reason="Ray is in requirements-sweep.txt")

    yield {"num_cpus": 2}
    ray.shutdown()


def silent(task, outcome, record) -> None:
    pass


def test_elements_hold_every_task_once_and_neighbours_together(tmp_path):
    sweep = sweep_in(write_sweep(tmp_path), tmp_path / "cache")
    for n in (None, 1, 4, 99):
        names = [name for element in deal(sweep, sweep.plan.tasks, n) for name in element[3]]
        assert names == [task.name for task in sweep.plan.tasks]
    assert len(deal(sweep, sweep.plan.tasks, None)) == 16
    assert most_needs(sweep.plan.tasks).memory_bytes == max(task.needs.memory_bytes for task in sweep.plan.tasks)


def test_ray_makes_the_results_of_one_process(tmp_path, whole, cluster):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["activations", "neighbors"]'), tmp_path / "cache")
    submit = on_ray.submitted(sweep.plan, None, **cluster)
    assert run_elements(sweep, sweep.plan.tasks, submit, silent, n=1) == {"done": 7, "there": 0, "failed": 0}
    assert contents(tmp_path / "cache") == whole["all"]
    workers = {read_record(sweep.place.documents, task.name).where for task in sweep.plan.tasks}
    assert str(os.getpid()) not in " ".join(workers).split()


def test_a_worker_that_is_killed_loses_nothing(tmp_path, whole, cluster):
    sweep = sweep_in(write_sweep(tmp_path, analyses=WEIGHTS), tmp_path / "cache")
    submit = on_ray.submitted(sweep.plan, None, do=dies_once, **cluster)
    assert run_elements(sweep, sweep.plan.tasks, submit, silent, n=2)["failed"] == 0
    assert contents(tmp_path / "cache") == whole["weights"]
    assert len(list((tmp_path / "cache").glob("died-*"))) == 2


def test_a_task_whose_workers_always_die_fails_in_words_and_the_others_end_well(tmp_path):
    sweep, given = sweep_in(write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache"), []

    def submit(elements):
        given.append([len(names) for *_, names in elements])
        for element in elements:
            if sweep.plan.tasks[0].name not in element[3]:
                do_element(element)
        return ["WorkerCrashedError: killed" if sweep.plan.tasks[0].name in one[3] else "" for one in elements]

    assert run_elements(sweep, sweep.plan.tasks, submit, silent) == {"done": 2, "there": 0, "failed": 1}
    assert given == [[1, 1, 1], [1]]
    words = read_record(sweep.place.documents, sweep.plan.tasks[0].name).words
    assert words == "The worker that did this was lost 2 times: WorkerCrashedError: killed Resume the sweep."


def test_submitit_makes_the_results_of_one_process_and_a_failure_is_said(tmp_path, whole, capsys):
    toml = write_sweep(tmp_path, analyses=WEIGHTS)
    cache = ["--cache", str(tmp_path / "cache")]
    sweep = sweep_in(toml, tmp_path / "cache")
    name = sweep.plan.name
    mend = spoil(tmp_path / "saes" / "c")
    assert main(["run", name, *cache, "--submitit", "local", "--elements", "2"]) == 1
    assert capsys.readouterr().err.count("sae_weights.safetensors") == 4
    mend()
    assert main(["resume", name, *cache, "--submitit", "local", "--elements", "1"]) == 0
    assert "4 done, 5 there, 0 failed" in capsys.readouterr().out
    assert contents(tmp_path / "cache") == whole["weights"]


def by_ray(sweep, cluster):
    return on_ray.submitted(sweep.plan, None, **cluster)


def by_submitit(sweep, _):
    pytest.importorskip("submitit", reason="submitit is in requirements-sweep.txt")
    return on_submitit.submitted(sweep.plan, sweep.place.cache / "submitit", "local", {})


@pytest.mark.parametrize("submitted", [by_ray, by_submitit])
def test_two_workers_make_of_the_demo_what_one_process_makes(tmp_path, demo, cluster, submitted):
    sweep = sweep_in(write_demo_sweep(tmp_path), tmp_path / "cache")
    counts = run_elements(sweep, sweep.plan.tasks, submitted(sweep, cluster), silent, n=2)
    assert counts == {"done": len(sweep.plan.tasks), "there": 0, "failed": 0}
    assert contents(tmp_path / "cache") == demo
    workers = {read_record(sweep.place.documents, task.name).where for task in sweep.plan.tasks}
    assert str(os.getpid()) not in " ".join(workers).split()


def test_slurm_is_asked_for_what_suffices(tmp_path):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache")
    assert on_submitit.needed(sweep.plan) == {"cpus_per_task": 1, "mem_gb": 3, "timeout_min": 30}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--submitit", "moon"], "submitit cannot be used so"),
        (["--submitit", "local", "--option", "colour=red"], "submitit cannot be used so"),
        (["--submitit", "local", "--option", "colour"], "is no NAME=VALUE"),
        (["--submitit", "local", "--ray", "local"], "expected one of them"),
        (["--ray", "local", "--elements", "0"], "expected a whole number from 1"),
    ],
)
def test_options_that_cannot_be_used_are_said_before_anything_starts(tmp_path, capsys, options, words):
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    assert main(["run", str(toml), "--cache", str(tmp_path / "cache"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not contents(tmp_path / "cache")


@pytest.mark.parametrize("library", ["ray", "submitit"])
def test_a_library_that_is_not_installed_is_named(tmp_path, capsys, monkeypatch, library):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    toml = write_sweep(tmp_path, analyses='["neighbors"]')
    assert main(["run", str(toml), "--cache", str(tmp_path / "cache"), f"--{library}", "local"]) == 2
    assert f"{library} is not installed" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_said(tmp_path):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache")
    with pytest.raises(SweepError, match="No Ray cluster answers at no-such-address"):
        on_ray.submitted(sweep.plan, "no-such-address")
