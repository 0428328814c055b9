"""Runs: killed and resumed they equal runs that were never killed; what fails leaves what was saved."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import BadSettingError, CorpusError, DoesNotFitError, LoupeError, OutOfSpaceError, UnknownNameError
from core.policy import ClosedInPublicError, of_visitors
from core.training import __main__ as command_line
from core.training import checkpoints, log
from core.training import runs as runs_module
from core.training.log import Log, read_log
from core.training.loop import DivergedError, Training, train
from core.training.runs import FINISHED, NEW, STOPPED, Run, TrainingError, create, find_run
from core.training.settings import from_toml, read_settings, to_toml
from core.training.types import TYPES
from core.workspace import Workspace
from tests.doubles.planted import planted_model
from tests.doubles.planted_training import PlantedStream, settings

STEPS, HALF = 40, 17
OPTIONS = {"topk": {"k": 2}, "batchtopk": {"k": 2.0}, "matryoshka_batchtopk": {"k": 2.0}}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def workspace(tmp_path):
    return Workspace(
        runs=tmp_path / "runs", cache=tmp_path / "cache", models=(tmp_path / "planted",), roots=(tmp_path,)
    )


def new_run(tmp_path, type="standard", name="tiny", steps=STEPS, **more):
    made = settings(type, steps=steps, name=name, **OPTIONS.get(type, {}), **more)
    return create(made, workspace(tmp_path))


def training(run, stream=None):
    return Training(run, run.settings, stream or PlantedStream())


def weights(run, seed=0):
    return load_file(run.result(seed) / "sae_weights.safetensors")


def stop_at(step):
    calls = iter(range(10**6))
    return lambda: next(calls) == step


def without_time(run):
    return [point | {"time": 0} for points in run.curves().points.values() for point in points.values()]


@pytest.mark.parametrize("type", TYPES)
def test_a_run_that_was_stopped_and_resumed_equals_one_that_never_was_bit_for_bit(type, tmp_path):
    whole, parted = (new_run(tmp_path, type, name, seeds=[0, 3], dead_after=5) for name in ("whole", "parted"))
    assert training(whole).run() == log.FINISHED
    assert training(parted).run(stop_at(HALF)) == log.STOPPED
    torch.rand(5)  # a new process has other random numbers
    assert training(parted).run() == log.FINISHED
    for seed in (0, 3):
        expected, found = weights(whole, seed), weights(parted, seed)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        assert load_file(whole.result(seed) / "sparsity.safetensors")["sparsity"].equal(
            load_file(parted.result(seed) / "sparsity.safetensors")["sparsity"]
        )
    assert without_time(whole) == without_time(parted)


def test_a_killed_run_goes_on_from_its_last_checkpoint_to_the_same_end(tmp_path):
    class Killed(BaseException):
        pass

    def kill_at_30():
        if next(calls) == 30:
            raise Killed
        return False

    whole, killed = (new_run(tmp_path, "batchtopk", name, checkpoint_steps=8) for name in ("whole", "killed"))
    training(whole).run()
    calls = iter(range(100))
    with pytest.raises(Killed):
        training(killed).run(kill_at_30)
    assert checkpoints.steps_of(killed.folder) == [24]
    assert killed.state() == STOPPED
    assert training(killed).run() == log.FINISHED
    assert all(torch.equal(value, weights(killed)[name]) for name, value in weights(whole).items())
    assert killed.state() == FINISHED
    assert checkpoints.steps_of(killed.folder) == []


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_last_good_checkpoint(tmp_path):
    class Broken(PlantedStream):
        def batch(self, seed, step):
            seen.append(step)  # each is read once before, for the scale of the inputs
            return super().batch(seed, step) * (float("nan") if step == 21 and seen.count(21) > 1 else 1)

    seen = []
    run = new_run(tmp_path, checkpoint_steps=8)
    with pytest.raises(DivergedError, match=r"no number.*checkpoint of step 16.*smaller lr"):
        training(run, Broken()).run()
    assert checkpoints.steps_of(run.folder) == [16]
    kept = load_file(run.folder / "checkpoint-16" / "seed0" / "sae_weights.safetensors")
    assert all(value.isfinite().all() for value in kept.values())
    assert run.results() == {}


def test_weights_that_are_no_numbers_are_never_saved(tmp_path):
    run = new_run(tmp_path, checkpoint_steps=8)
    made = training(run)

    def break_weights():
        if made.step == 7:
            made.trainers[0].sae.W_dec.data[0, 0] = float("nan")
            made._unsound.zero_()
        return False

    with pytest.raises(DivergedError):
        made.run(break_weights)
    assert checkpoints.steps_of(run.folder) == []


def full_disk(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_at_a_checkpoint_loses_nothing(tmp_path, monkeypatch):
    whole, full = (new_run(tmp_path, name=name, checkpoint_steps=8) for name in ("whole", "full"))
    training(whole).run()
    made = training(full)

    def fill_at_10():
        if made.step == 10:
            monkeypatch.setattr(torch, "save", full_disk)
        if made.step == 27:
            assert checkpoints.steps_of(full.folder) == [8]
            monkeypatch.undo()
        return False

    assert made.run(fill_at_10) == log.FINISHED
    assert [event.step for event in full.curves().events if event.event == log.NOT_SAVED] == [16, 24]
    assert all(torch.equal(value, weights(full)[name]) for name, value in weights(whole).items())
    assert sorted(path.name for path in full.folder.iterdir()) == ["log.jsonl", "seed0", "settings.toml"]


def test_a_full_disk_at_the_end_keeps_the_checkpoint_to_go_on_from(tmp_path, monkeypatch):
    run = new_run(tmp_path, checkpoint_steps=16)
    monkeypatch.setattr("core.training.trainer.save_file", full_disk)
    with pytest.raises(OutOfSpaceError, match=r"Make room and resume.*at step 32"):
        training(run).run()
    assert checkpoints.steps_of(run.folder) == [32]
    monkeypatch.undo()
    assert training(run).run() == log.FINISHED


def test_a_log_can_be_read_at_any_byte_and_its_later_lines_count(tmp_path):
    path = tmp_path / "log.jsonl"
    point = {"seed": 0, "step": 1, "tokens": 5, "time": 1.0, "loss": 2.0, "l0": 3.0, "fve": 0.5, "dead_share": 0.0}
    written = Log(path)
    written.event(log.STARTED, 0)
    written.add(point)
    written.add(point | {"loss": 1.0})
    data = path.read_bytes()
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        points = read_log(path).points.get(0, {})
        assert [p["loss"] for p in points.values()] in ([], [2.0], [1.0])
    path.write_bytes(data[:-5])
    Log(path).add(point | {"step": 2})  # a process that goes on ends the half line of a killed one
    assert list(read_log(path).points[0]) == [1, 2]
    assert read_log(path).points[0][1]["loss"] == 2.0


def test_lines_that_a_full_disk_refused_are_written_later(tmp_path, monkeypatch):
    written = Log(tmp_path / "log.jsonl")
    monkeypatch.setattr("core.training.log.os.write", full_disk)
    written.event(log.STARTED, 0)
    monkeypatch.undo()
    written.event(log.STOPPED, 4)
    assert [event.event for event in read_log(tmp_path / "log.jsonl").events] == [log.STARTED, log.STOPPED]


@pytest.mark.parametrize("type", TYPES)
def test_settings_survive_their_file(type, tmp_path):
    made = settings(type, steps=5, seeds=[3, 1], wandb_project='a "quoted" \\ name\x7f', **OPTIONS.get(type, {}))
    (tmp_path / "s.toml").write_text(to_toml(made))
    assert read_settings(tmp_path / "s.toml") == made


START = 'name = "a"\nmodel = "m"\nhook_name = "h"\nd_sae = 8\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (START + "learning_rate = 1", "no setting called 'learning_rate'"),
        (START + "[options]\nk = 3", "no setting called 'options.k'"),
        (START + "[text]\ncontxt = 3", "Did you mean text.context"),
        (START + 'type = "topk"\n[options]\nk = 9', "k is 9 with 8 features"),
        (START + 'type = "tpk"', "Did you mean topk"),
        (START + "lr = true", "lr is True; expected a number"),
        (START + "seeds = [1, 1]", "different whole numbers"),
        (START + "seeds = 1", "expected a list"),
        (START + "batch_tokens = 4000000", "expected a whole number from 1 to"),
        (START + "training_tokens = 10", "batch_tokens is 1,024; expected at most training_tokens"),
        (START.replace('"a"', '"../a"'), "it names a folder"),
        (START + '[text]\nsource = "files"', "text.name is empty"),
        ('name = "a"', "model and hook_name and d_sae is not set"),
        ("d_sae = [", "is no TOML"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(text, said):
    with pytest.raises((BadSettingError, UnknownNameError)) as caught:
        from_toml(text)
    assert said in str(caught.value)


def test_a_folder_that_exists_is_not_touched(tmp_path):
    run = new_run(tmp_path)
    before = (run.folder / "settings.toml").read_text()
    with pytest.raises(TrainingError, match=r"called tiny already.*--resume tiny"):
        new_run(tmp_path, "topk")
    assert (run.folder / "settings.toml").read_text() == before
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny"]


def test_two_processes_cannot_hold_one_run(tmp_path):
    run = new_run(tmp_path)
    assert run.state() == NEW
    with run.held():
        assert run.is_running()
        with pytest.raises(TrainingError, match="running already"), Run(run.folder).held():
            pass
    assert not run.is_running()


def test_a_public_app_starts_stops_and_removes_nothing(tmp_path):
    run, public = new_run(tmp_path), replace(workspace(tmp_path), policy=of_visitors())
    for act in (runs_module.launch, runs_module.stop, runs_module.remove):
        with pytest.raises(ClosedInPublicError, match="'tiny': this public app trains nothing"):
            act(run, public)
    with pytest.raises(ClosedInPublicError):
        create(settings(name="other"), public)
    assert run.state() == NEW


def model_run(tmp_path, **more):
    """A run on a planted model and token ids from a file."""
    planted_model(tmp_path, n_ctx=12)
    ids = np.random.default_rng(0).integers(1, 257, size=3000)
    np.save(tmp_path / "ids.npy", ids)
    text = {"source": "files", "name": str(tmp_path / "ids.npy"), "context": 10} | more.pop("text", {})
    how = {"hook_name": "blocks.1.hook_resid_pre", "batch_tokens": 64, "training_tokens": 640, "buffer_tokens": 256}
    return new_run(tmp_path, text=text, **(how | more))


def test_a_model_s_activations_are_trained_on_and_the_result_is_in_the_pickers(tmp_path):
    from core.dictionaries.sources import entries, open_dictionary

    run = model_run(tmp_path, seeds=[0, 1])
    assert train(run, workspace(tmp_path)) == log.FINISHED
    listed = {entry.id: entry for entry in entries(workspace(tmp_path)) if entry.id.startswith("trained/")}
    assert list(listed) == ["trained/tiny/seed0", "trained/tiny/seed1"]
    assert [entry.labels["seed"] for entry in listed.values()] == [0, 1]
    opened = open_dictionary("trained/tiny/seed1", workspace(tmp_path))
    assert (opened.config.hook_name, opened.config.model_name) == ("blocks.1.hook_resid_pre", "planted")
    said = json.loads((run.result(1) / "cfg.json").read_text())
    assert "/" not in json.dumps(said)
    assert said["metadata"]["dataset_path"] == "ids.npy"
    assert find_run("tiny", workspace(tmp_path)).state() == FINISHED


def test_a_model_s_run_resumes_to_the_same_bits_in_the_middle_of_a_buffer(tmp_path):
    for name, stops in (("whole", []), ("parted", [3, 3])):
        run = model_run(tmp_path, name=name)
        for stop in stops:
            assert train(run, workspace(tmp_path), should_stop=stop_at(stop)) == log.STOPPED
        assert train(run, workspace(tmp_path)) == log.FINISHED
    whole, parted = (weights(find_run(name, workspace(tmp_path))) for name in ("whole", "parted"))
    assert all(torch.equal(whole[name], parted[name]) for name in whole)


def test_what_the_app_starts_and_what_a_person_types_do_the_same(tmp_path, monkeypatch, capsys):
    """The command that the page starts is run here, by the function that its process runs."""
    commands = []

    class Process:
        def __init__(self, command, **how):
            assert how["start_new_session"]  # else it would end with the app
            commands.append(command)

        def poll(self):
            return 0

        def wait(self):
            return 0

    monkeypatch.setattr(runs_module.subprocess, "Popen", Process)
    monkeypatch.setattr("core.work.torch_library.keep_freed_memory", lambda: None)  # it would hold for all tests
    started = model_run(tmp_path, name="started")
    runs_module.launch(started, workspace(tmp_path))
    assert commands[0][1:3] == ["-m", "core.training"]
    assert command_line.main(commands[0][3:]) == 0
    typed = tmp_path / "typed.toml"
    typed.write_text(to_toml(replace(started.settings, name="typed")))
    assert command_line.main([*runs_module.arguments(workspace(tmp_path)), str(typed)]) == 0
    assert "about" in capsys.readouterr().out  # the cost, before it began
    one, other = (weights(find_run(name, workspace(tmp_path))) for name in ("started", "typed"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "0 files of settings and no run"),
        (["a.toml", "--resume", "b"], "1 files of settings and a run"),
        (["no.toml"], "no.toml cannot be read"),
        (["--resume", "nobody"], "no training run called 'nobody'"),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_refused(words, said, tmp_path, capsys):
    assert command_line.main([*words, "--runs", str(tmp_path / "runs")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"training_tokens": 64_000}, CorpusError, r"gives 3,000 tokens.*text.repeats of at least 22"),
        ({"hook_name": "blocks.1.attn.hook_pattern"}, DoesNotFitError, "no hook"),
        ({"model": "another"}, LoupeError, "another"),
        ({"text": {"context": 99}}, DoesNotFitError, "Rows of 99 tokens"),
        ({"text": {"name": "/no/such/text"}}, LoupeError, "There is no text at"),
    ],
)
def test_what_cannot_be_trained_is_said_and_logged(more, error, said, tmp_path):
    run = model_run(tmp_path, **more)
    with pytest.raises(error, match=said):
        train(run, workspace(tmp_path))
    assert run.curves().last.event == log.FAILED
    assert run.state() == "failed"


def test_nothing_is_sent_to_weights_and_biases_unless_a_project_is_named(tmp_path, monkeypatch):
    import wandb

    sent = []

    class Sent:
        def log(self, numbers, step):
            sent.append((step, numbers))

        def finish(self):
            sent.append("end")

    monkeypatch.setattr(wandb, "init", lambda **how: sent.append(how["project"]) or Sent())
    monkeypatch.setattr(wandb, "log_artifact", lambda artifact, **how: sent.append(artifact.type))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    training(new_run(tmp_path, steps=2)).run()
    assert sent == []
    training(new_run(tmp_path, name="sent", steps=2, wandb_project="mine")).run()
    assert sent[0] == "mine"
    assert [one[0] for one in sent[1:3]] == [1, 2]
    assert "metrics/explained_variance" in sent[1][1]
    assert sent[3] == "model"
    assert sent[-1] == "end"
