"""Training for the page: what can be trained on, what a run costs, and the runs of this app."""

from contextlib import suppress
from dataclasses import replace

from core.devices.device import CPU
from core.errors import LoupeError
from core.models import names
from core.models.language_model import LanguageModel
from core.training import runs as core_runs
from core.training.cost import Cost, estimate
from core.training.runs import Run
from core.training.settings import TrainingSettings
from ui.studies import compute, opened


def check_allowed() -> None:
    """Raise ClosedInPublicError where visitors may train nothing."""
    compute.workspace().policy.check_training("Training")


def models() -> list[str]:
    """Return the names of models whose text can be run: that of the open dictionary first, then the app's folders."""
    folders = [folder for folder in compute.workspace().models if (folder / "config.json").is_file()]
    known = [names.own_names(folder)[0] for folder in folders]
    with suppress(LoupeError):  # the open dictionary's model may not be here
        known.insert(0, opened.model_of(opened.dictionary()).name)
    return list(dict.fromkeys(known))


def model(name: str) -> LanguageModel:
    """Open a model by name (raises LoupeError)."""
    return opened.model_called(name)


def usual_hook(hooks: list[str]) -> str:
    """Return the hook that the form begins with: that of the open dictionary, if the model has it."""
    try:
        hook = opened.dictionary().config.hook_name
    except LoupeError:
        hook = ""
    return hook if hook in hooks else hooks[0]


def cost(settings: TrainingSettings) -> Cost:
    """Estimate what a run costs. Raises DoesNotFitError for a hook that cannot be trained on."""
    device = compute.device()
    return estimate(settings, model(settings.model), device if device.has_float64 else CPU)


def runs() -> list[Run]:
    """Return the runs of this app, the newest first."""
    return core_runs.runs(compute.workspace())


def start(settings: TrainingSettings) -> Run:
    """Make a new run and start its process. Raises TrainingError, OutOfSpaceError, ClosedInPublicError."""
    run = core_runs.create(settings, compute.workspace())
    resume(run)
    return run


def resume(run: Run) -> None:
    """Let a run go on from its last checkpoint."""
    core_runs.launch(run, replace(compute.workspace(), device=compute.device().setting))


def stop(run: Run) -> None:
    """Ask a run to save a checkpoint and end."""
    core_runs.stop(run, compute.workspace())


def remove(run: Run) -> None:
    """Delete a run and its dictionaries."""
    core_runs.remove(run, compute.workspace())


def free_name(wanted: str) -> str:
    """Return a name that no run has: the wanted one, or with a number behind it."""
    taken = {run.name for run in runs()}
    return next(name for name in (wanted, *(f"{wanted}-{i}" for i in range(2, 10_000))) if name not in taken)
