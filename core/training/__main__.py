"""Train dictionaries from the command line:   python -m core.training settings.toml"""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from core.amounts import of_bytes, of_seconds
from core.errors import BadSettingError, LoupeError
from core.installation import importable
from core.training import log
from core.training.printed import Printed
from core.training.runs import Run, absolute, create, find_run
from core.training.settings import read_settings
from core.workspace import Workspace, argument_parser, workspace_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit code: 0 at the end or when stopped, 2 after an error that a person can fix."""
    try:
        options = _read(arguments)
        workspace = workspace_of(options)
        run = find_run(options.resume, workspace) if options.resume else _new(Path(options.settings[0]), workspace)
        with run.held(), _signals() as asked:
            ended = _train(run, workspace, asked)
    except (LoupeError, argparse.ArgumentError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if ended == log.STOPPED:
        print(f"Stopped; go on with: python -m {importable('core.training')} --resume {run.name}")
    else:
        print("\n".join(f"Finished: {folder}" for folder in run.results().values()))
    return 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line: one file of settings or --resume, and the options of the app.

    The path is left out of what a workspace is made from, where it would stand for a dictionary. Raises
    BadSettingError and argparse.ArgumentError.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {importable('core.training')}",
        usage="%(prog)s (SETTINGS.toml | --resume NAME) [options of the app]",
        description="Train dictionaries (sparse autoencoders, SAEs) with sae-lens' trainer. SETTINGS.toml holds "
        "core.training.settings.TrainingSettings.",
        parents=[argument_parser()],
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--resume", metavar="NAME", help="go on with a run that was stopped or killed")
    options = parser.parse_intermixed_args(arguments)
    if len(options.path) + bool(options.resume) != 1:
        raise BadSettingError(
            f"{len(options.path)} files of settings and {'a' if options.resume else 'no'} run to resume are named. "
            "Expected one of both: a TOML file, or `--resume NAME`."
        )
    options.settings, options.path = options.path[:1], []
    return options


def _new(path: Path, workspace: Workspace) -> Run:
    """Make a new run, once its settings, its model and its text are known to go together."""
    settings = absolute(read_settings(path))
    _say_cost(settings, workspace)
    return create(settings, workspace)


def _say_cost(settings, workspace: Workspace) -> None:
    from core.devices.device import chosen
    from core.models.search import find_model
    from core.training.cost import estimate

    cost = estimate(settings, find_model(settings.model, workspace), chosen(workspace.device))
    print(
        f"{settings.name}: {len(settings.seeds)} of {settings.d_sae:,} features, {cost.steps:,} steps and "
        f"{cost.tokens:,} tokens each; about {of_seconds(cost.seconds)}, {of_bytes(cost.memory_bytes)} of memory and "
        f"{of_bytes(cost.disk_bytes)} of disk",
        flush=True,
    )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Yield a list that gets each signal to end: the training then saves a checkpoint first."""
    asked: list[int] = []
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    for one in before:
        signal.signal(one, lambda number, frame: asked.append(number))
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _train(run: Run, workspace: Workspace, asked: list[int]) -> str:
    from core.work.torch_library import import_model_library, keep_freed_memory

    keep_freed_memory()
    import_model_library()
    from core.training.loop import train

    return train(run, workspace, should_stop=lambda: bool(asked), progress=Printed(run.name))


if __name__ == "__main__":
    raise SystemExit(main())
