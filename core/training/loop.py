"""Train all dictionaries of a run side by side: each batch of activations is computed once, for all seeds.

Imports torch: import lazily.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from sae_lens.training.sae_trainer import SAETrainer

from core.devices.device import CPU, Device, chosen, named_failures
from core.errors import LoupeError, OutOfSpaceError
from core.models.language_model import LanguageModel
from core.models.search import find_model
from core.training import checkpoints, log
from core.training.log import Log
from core.training.runs import Run, TrainingError
from core.training.settings import TrainingSettings
from core.training.stream import ActivationStream, Stream
from core.training.text import plan, read_rows
from core.training.trainer import fit_to_inputs, make_trainer, save_result, take_step
from core.training.wandb_link import Link, link
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress
from core.workspace import Workspace

_SCALE_TOKENS = 100_000
"""Activations that decide the scale of the inputs and where the decoder starts."""


class DivergedError(TrainingError):
    """The loss is no number any more."""


def train(
    run: Run,
    workspace: Workspace,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    progress: Progress = SILENT,
) -> str:
    """Train from the start, or from the last checkpoint, and return how it ended: FINISHED or STOPPED of the log.

    The caller holds the run (Run.held). Raises a LoupeError that is also logged: of settings, text or model, and
    DivergedError; the last checkpoint then stays. `progress` counts tokens of each dictionary.
    """
    events, settings = Log(run.log_path), run.settings
    step = max(checkpoints.steps_of(run.folder), default=0)
    try:
        device = _device(workspace)
        model = find_model(settings.model, workspace)
        stream, title = _stream(settings, model, ArtifactStore(workspace.cache), device)
        settings = replace(settings, model=model.name)  # as the results will say it
        with named_failures(device):
            training = Training(run, settings, stream, title, device=device, events=events)
            return training.run(should_stop, progress)
    except LoupeError as error:
        events.event(log.FAILED, step, message=str(error))
        raise


def _device(workspace: Workspace) -> Device:
    device = chosen(workspace.device)
    return device if device.has_float64 else CPU  # thresholds of BatchTopK are float64


def _stream(
    settings: TrainingSettings, model: LanguageModel, store: ArtifactStore, device: Device
) -> tuple[Stream, str]:
    model.hook_width(settings.hook_name)  # before the text is read, which takes longer
    rows = read_rows(settings.text, model, store)
    how = {"batch_tokens": settings.batch_tokens, "device": device}
    return ActivationStream(model, settings.hook_name, rows, plan(rows, settings), **how), rows.title


class Training:
    """The state of a run in memory: a trainer for each seed, all at the same step."""

    def __init__(
        self,
        run: Run,
        settings: TrainingSettings,
        stream: Stream,
        title: str = "",
        *,
        device: Device = CPU,
        events: Log | None = None,
    ):
        self._run, self._settings, self._events = run, settings, events or Log(run.log_path)
        self.trainers: dict[int, SAETrainer] = {
            seed: make_trainer(settings, seed, stream, title=title, device=device) for seed in settings.seeds
        }
        self.step, self._saved = 0, -1
        self._unsound = torch.zeros((), dtype=torch.bool, device=device.torch)
        """Whether a loss was no number since this was last looked at. Looking costs a device's queue."""
        self._outputs: dict[int, Any] = {}
        self._link: Link = link(settings)

    def run(self, should_stop: Callable[[], bool] = lambda: False, progress: Progress = SILENT) -> str:
        """Train to the end or until asked to stop, save, and return the log's word for how it ended."""
        self._begin()
        batch = self._settings.batch_tokens
        while self.step < self._settings.steps:
            if should_stop() or self._run.is_asked_to_stop():
                self._check_weights()
                checkpoints.save(self._run.folder, self.step, self.trainers)
                self._events.event(log.STOPPED, self.step)
                return log.STOPPED
            self._advance()
            progress.update(self.step * batch, self._settings.steps * batch)
        self._check_weights()
        self._save_results()
        self._events.event(log.FINISHED, self.step)
        checkpoints.remove_all(self._run.folder)
        self._link.finish()
        return log.FINISHED

    def _begin(self) -> None:
        steps = checkpoints.steps_of(self._run.folder)
        if steps:
            checkpoints.restore(self._run.folder, steps[-1], self.trainers)
            self.step = self._saved = steps[-1]
            self._events.event(log.RESUMED, self.step)
            return
        self._events.event(log.STARTED, 0)
        few = -(-_SCALE_TOKENS // self._settings.batch_tokens)
        first = next(iter(self.trainers.values())).data_provider
        x = torch.cat([next(first) for _ in range(min(few, self._settings.steps))])
        first.step = 0
        for trainer in self.trainers.values():
            fit_to_inputs(trainer, x)

    def _advance(self) -> None:
        settings = self._settings
        for seed, trainer in self.trainers.items():
            output = self._outputs[seed] = take_step(trainer)
            self._unsound |= ~output.loss.detach().isfinite()
        self.step += 1
        if self.step % settings.log_steps == 0 or self.step == settings.steps:
            self._check()
            for seed, trainer in self.trainers.items():
                self._log(seed, trainer)
        if self.step % settings.checkpoint_steps == 0 and self.step < settings.steps:
            self._checkpoint()

    def _check(self) -> None:
        """Raise DivergedError if a loss since the last look was no number."""
        if not bool(self._unsound):
            return
        kept = f"the checkpoint of step {self._saved:,}" if self._saved > 0 else "no checkpoint"
        raise DivergedError(
            f"The loss became infinite or no number before step {self.step:,}, with a learning rate of "
            f"{self._settings.lr:g}. Expected a number. There is {kept}; start again under another name, with a "
            "smaller lr or a longer lr_warm_up."
        )

    def _check_weights(self) -> None:
        """Look at the weights as well before they are kept: a sound loss may have had a gradient that is not."""
        for trainer in self.trainers.values():
            for parameter in trainer.sae.parameters():
                self._unsound |= ~parameter.detach().isfinite().all()
        self._check()

    def _log(self, seed: int, trainer: SAETrainer) -> None:
        said = trainer.build_train_step_log_dict(self._outputs[seed], trainer.n_training_samples)
        self._link.log(seed, said, self.step)
        numbers = {
            "loss": said["losses/overall_loss"],
            "l0": said["metrics/l0"],
            "fve": said["metrics/explained_variance"],
            "dead_share": said["sparsity/dead_features"] / self._settings.d_sae,
        }
        where = {"seed": seed, "step": self.step, "tokens": self.step * self._settings.batch_tokens}
        self._events.add(where | {"time": round(time.time(), 1)} | {k: _digits(v) for k, v in numbers.items()})

    def _checkpoint(self) -> None:
        """Save a checkpoint. On a full disk the training goes on, and tries again at the next one."""
        self._check_weights()
        try:
            checkpoints.save(self._run.folder, self.step, self.trainers)
        except OutOfSpaceError as error:
            self._events.event(log.NOT_SAVED, self.step, message=str(error))
            return
        self._saved = self.step
        self._events.event(log.CHECKPOINT, self.step)

    def _save_results(self) -> None:
        try:
            for seed, trainer in self.trainers.items():
                if not self._run.result(seed).is_dir():
                    save_result(trainer, self._settings, self._run.result(seed))
                self._link.result(trainer, self._run.result(seed))
        except OSError as error:
            kept = f"at step {self._saved:,}" if self._saved > 0 else "at its start"
            raise OutOfSpaceError(
                f"The finished dictionaries cannot be written to {self._run.folder} ({error}). Expected room on the "
                f"disk. Make room and resume: the training then goes on {kept} and ends with the same weights."
            ) from error


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
