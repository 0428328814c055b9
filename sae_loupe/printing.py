"""What subcommands for scripts share: JSON alone on the standard output, words on the standard error, exit codes."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pandas as pd

from core.errors import LoupeError
from core.installation import APP_VERSION
from core.tables import provenance as provenance_of
from sae_loupe.numbers import SERVER
from sae_loupe.opened import Opened
from sae_loupe.words import said


def run(work: Callable[[], str]) -> int:
    """Print what `work` returns, and nothing else; return 0, 2 after an error that a person can fix, 130 if stopped.

    Whatever the work prints itself goes to the standard error.
    """
    try:
        with redirect_stdout(sys.stderr):
            text = work()
    except LoupeError as error:
        print(f"{type(error).__name__}: {said(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    try:
        if text:
            print(text, flush=True)
    except BrokenPipeError:  # who reads has enough, such as `head`; what is left must not be written at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def parser(command: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with what all of these subcommands take."""
    made = argparse.ArgumentParser(prog=f"sae-loupe {command}", description=description, allow_abbrev=False)
    made.add_argument("--json", action="store_true", help="print JSON on the standard output, and nothing else there")
    made.add_argument("--model", metavar="FOLDER", help="folder of the language model")
    made.add_argument("--cache", metavar="FOLDER", help="where results are kept (default: that of the app)")
    made.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    return made


def with_numbers(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add what the subcommands take that compute all numbers."""
    made.add_argument("dictionary", help="id such as demo/layer0-standard-2048, or the path of a folder or file")
    made.add_argument("--text", metavar="PATH", help="text that the token pass reads (default: Python's library)")
    made.add_argument("--group", action="append", help="compute this group of numbers alone; may be given again")
    made.add_argument("--server", default=SERVER, help="address of the app, for the URLs (default: %(default)s)")
    return made


def to_json(content: Mapping[str, Any]) -> str:
    """Write JSON in ASCII; NaN, infinity and missing values are null."""
    return json.dumps(plain(content), allow_nan=False)


def plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if isinstance(value, pd.DataFrame):
        return [dict(zip(value.columns, row, strict=True)) for row in plain(value.astype(object).to_numpy().tolist())]
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float) else str(value)


def head(*opened: Opened) -> dict[str, Any]:
    """Return what every answer says first: the version of the app and the dictionaries, by content hash."""
    dictionaries = [sae.dictionary for sae in opened]
    source = provenance_of(dictionary=dictionaries, method="", settings={})
    return {"app": f"SAE Loupe {APP_VERSION}", "dictionaries": source["dictionaries"]}


def sources(groups: Mapping) -> dict[str, Any]:
    """Return by group where its numbers are from: hashes of dictionary and model, method, settings."""
    return {group.title: dict(found.provenance) for group, found in groups.items()}
