"""Searching with regular expressions that somebody typed, in a process that can be stopped.

A few characters such as (-+)+x keep Python's `re` busy for years on a token of 64 dashes, and it lets no other
thread run meanwhile: every session would hang. So they run in a process of their own, with a time limit.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

SECONDS = 10.0
_SCRIPT = """
import json, re, sys
patterns, texts = json.load(sys.stdin)
for pattern in patterns:
    search = re.compile(pattern).search
    print(json.dumps([i for i, text in enumerate(texts) if search(text)]), flush=True)
"""


class TooSlowError(Exception):
    """Patterns did not finish in time; `done` says how many did. Callers turn it into a message."""

    def __init__(self, done: int):
        super().__init__(f"stopped after {done} patterns")
        self.done = done


def search_all(patterns: Sequence[str], texts: Sequence[str], *, seconds: float = SECONDS) -> list[list[int]]:
    """Return, for every pattern (already known to compile), where re.search finds it in the texts.

    Raises TooSlowError when all of them together take longer than `seconds`.
    """
    if not patterns:
        return []
    question = json.dumps([list(patterns), list(texts)]).encode()
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _SCRIPT]
    try:
        done = subprocess.run(command, input=question, capture_output=True, timeout=seconds, check=True)
    except subprocess.TimeoutExpired as error:
        raise TooSlowError((error.output or b"").count(b"\n")) from error
    return [json.loads(line) for line in done.stdout.splitlines()]
