"""Runs regular expressions that a person typed, in a process that can be stopped.

A short pattern such as (-+)+x keeps Python's `re` busy for years on a token of 64 dashes, and no other thread can run
meanwhile: every session would hang. So patterns run in a separate process, with a time limit. The package `regex` has
a time limit, but gives some patterns another meaning: f{i} is a fuzzy match, [[:alpha:]] a class, and its \\w and
\\s differ from Python's on 30,000 characters.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from core.errors import BadSettingError, LoupeError

SECONDS = 10.0
_SCRIPT = """
import json, re, sys
patterns, texts = json.load(sys.stdin)
for pattern in patterns:
    search = re.compile(pattern).search
    print(json.dumps([i for i, text in enumerate(texts) if search(text)]), flush=True)
"""
_SPANS_SCRIPT = """
import json, re, sys
pattern, texts = json.load(sys.stdin)
find = re.compile(pattern).finditer
print(json.dumps([[i, *m.span()] for i, text in enumerate(texts) for m in find(text) if m.end() > m.start()]))
"""


class TooSlowError(Exception):
    """Patterns did not finish in time; `done` says how many did. Callers turn it into a message."""

    def __init__(self, done: int):
        super().__init__(f"stopped after {done} patterns")
        self.done = done


def check_pattern(pattern: str, *, place: str = "", family: type[LoupeError] = BadSettingError) -> None:
    """Raise a LoupeError unless a pattern compiles. The message begins with `place`, such as a line's number."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position + 1} ({pattern[position : position + 10]!r})"
        raise family(
            f"{place}/{pattern}/ is no regular expression: {getattr(error, 'msg', error)}{where}. Expected Python's "
            "syntax. Correct it. To search for a symbol itself, put a backslash before it."
        ) from error


def search_all(patterns: Sequence[str], texts: Sequence[str], *, seconds: float = SECONDS) -> list[list[int]]:
    """Return, for every pattern, the numbers of the texts in which re.search finds it. The patterns must compile.

    Raises TooSlowError if all of them together take longer than `seconds`.
    """
    if not patterns:
        return []
    return [json.loads(line) for line in _run(_SCRIPT, [list(patterns), list(texts)], seconds).splitlines()]


def find_spans(pattern: str, texts: Sequence[str], *, seconds: float = SECONDS) -> Int[np.ndarray, "match 3"]:
    """Return every match of re.finditer that is not empty: the number of the text, start and end.

    Raises TooSlowError when that takes longer than `seconds`.
    """
    spans = json.loads(_run(_SPANS_SCRIPT, [pattern, list(texts)], seconds))
    return np.array(spans, np.int64).reshape(-1, 3)


def _run(script: str, question: list, seconds: float) -> bytes:
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", script]
    data = json.dumps(question).encode()
    try:
        return subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=True).stdout
    except subprocess.TimeoutExpired as error:
        raise TooSlowError((error.output or b"").count(b"\n")) from error
