"""Train dictionaries from the command line:   python -m core.training settings.toml"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from core.amounts import of_bytes, of_seconds
from core.errors import LoupeError
from core.installation import importable
from core.training import log
from core.training.printed import Printed
from core.training.runs import Run, absolute, create, find_run
from core.training.settings import read_settings
from core.workspace import Workspace, parse_arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and return the exit code: 0 at the end or when stopped, 2 after an error that a person can fix."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = _parser().parse_known_args(given)
    try:
        workspace = parse_arguments(rest)
        run = find_run(options.resume, workspace) if options.resume else _new(options.settings, workspace)
        with run.held():
            ended = _train(run, workspace)
    except LoupeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if ended == log.STOPPED:
        print(f"Stopped; go on with: python -m {importable('core.training')} --resume {run.name}")
    else:
        print("\n".join(f"Finished: {folder}" for folder in run.results().values()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {importable('core.training')}",
        description="Train dictionaries (sparse autoencoders, SAEs) with sae-lens' trainer.",
        epilog="Options of the app hold as well: --runs, --model, --cache, --device, --dtype (docs/dictionaries.md).",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("settings", nargs="?", type=Path, help="TOML file of core.training.settings.TrainingSettings")
    what.add_argument("--resume", metavar="NAME", help="go on with a run that was stopped or killed")
    return parser


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


def _train(run: Run, workspace: Workspace) -> str:
    asked: list[int] = []
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda number, frame: asked.append(number))
    from core.work.torch_library import import_model_library, keep_freed_memory

    keep_freed_memory()
    import_model_library()
    from core.training.loop import train

    return train(run, workspace, should_stop=lambda: bool(asked), progress=Printed(run.name))


if __name__ == "__main__":
    raise SystemExit(main())
