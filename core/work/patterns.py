"""Searching with regular expressions that somebody typed, in a process that can be stopped.

A few characters such as (-+)+x keep Python's `re` busy for years on a token of 64 dashes, and it lets no other
thread run meanwhile: every session would hang. So they run in a process of their own, with a time limit.
The package `regex` has a time limit of its own, but reads patterns in another way: f{i} is a fuzzy match, [[:alpha:]]
a class, and \\w and \\s differ from Python's on 30,000 characters.
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
    """Raise an error of this family unless a pattern compiles; `place`, such as a line's number, goes before it."""
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position + 1} ({pattern[position : position + 10]!r})"
        raise family(
            f"{place}/{pattern}/ is no regular expression: {getattr(error, 'msg', error)}{where}. Expected Python's "
            "syntax. Correct it, or put a backslash before a symbol that is meant as itself."
        ) from error


def search_all(patterns: Sequence[str], texts: Sequence[str], *, seconds: float = SECONDS) -> list[list[int]]:
    """Return, for every pattern (already known to compile), where re.search finds it in the texts.

    Raises TooSlowError when all of them together take longer than `seconds`.
    """
    if not patterns:
        return []
    return [json.loads(line) for line in _run(_SCRIPT, [list(patterns), list(texts)], seconds).splitlines()]


def find_spans(pattern: str, texts: Sequence[str], *, seconds: float = SECONDS) -> Int[np.ndarray, "match 3"]:
    """Return number of the text, start and end of every match of re.finditer that is not empty.

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
