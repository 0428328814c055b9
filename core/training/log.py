"""The log of a run: one JSON object a line, only ever added to. It can be read at any time, also from other processes.

A line is a point of a curve (it has `seed`) or an event (it has `event`). A killed run that goes on from a checkpoint
logs some steps again; the later line counts.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STARTED, RESUMED, CHECKPOINT, NOT_SAVED = "started", "resumed", "checkpoint", "not saved"
STOPPED, FAILED, FINISHED = "stopped", "failed", "finished"
CURVES = ("loss", "l0", "fve", "dead_share")
"""The numbers of a point, of one batch: training loss, mean active features, variance explained, share of dead ones."""
_MOST_BYTES = 2**28


class Log:
    """Adds lines to a file. On a full disk, lines wait in memory and are written with a later one."""

    def __init__(self, path: Path):
        self._path = path
        self._waiting: list[bytes] = []
        with suppress(OSError):
            if path.exists() and not path.read_bytes().endswith(b"\n"):
                self._waiting.append(b"")  # ends the line that a killed writer left

    def event(self, event: str, step: int, **more: Any) -> None:
        self.add({"event": event, "step": step, "time": round(time.time(), 1), **more})

    def add(self, line: Mapping[str, Any]) -> None:
        self._waiting.append(json.dumps(line).encode())
        data = b"".join(line + b"\n" for line in self._waiting)
        with suppress(OSError):
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(handle, data)
            finally:
                os.close(handle)
            # A part of a line cannot be taken back. It is ended, and all is written again.
            self._waiting = [] if written == len(data) else [b"", *self._waiting]


@dataclass(frozen=True)
class Event:
    """Something that happened in a run."""

    event: str
    step: int
    time: float
    """Seconds since 1970."""
    message: str = ""


@dataclass(frozen=True)
class Curves:
    """What a log holds."""

    points: Mapping[int, Mapping[int, Mapping[str, float]]]
    """By seed and step, in order: `tokens` and the numbers of CURVES."""
    events: tuple[Event, ...] = field(default=())

    @property
    def step(self) -> int:
        """The last step that is known to be done."""
        return max((max(points) for points in self.points.values() if points), default=0)

    @property
    def last(self) -> Event | None:
        return self.events[-1] if self.events else None

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens a second of one dictionary since the run began or went on last; None if nothing is known."""
        begun = [event for event in self.events if event.event in (STARTED, RESUMED)]
        points = next(iter(self.points.values()), {})
        if not begun or not points:
            return None
        step, point = next(reversed(points.items()))
        first = points.get(begun[-1].step, {}).get("tokens", 0.0)
        seconds = point["time"] - begun[-1].time
        return (point["tokens"] - first) / seconds if step > begun[-1].step and seconds > 0 else None


def read_log(path: Path) -> Curves:
    """Read a log that may be written to now. A last line without an end, and lines of no such form, are left out."""
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except OSError:
        data = b""
    points: dict[int, dict[int, dict[str, float]]] = {}
    events = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            said = json.loads(line)
            if "event" in said:
                events.append(_event(said))
            else:
                point = {name: float(said[name]) for name in ("tokens", "time", *CURVES)}
                points.setdefault(int(said["seed"]), {})[int(said["step"])] = point
    return Curves({seed: dict(sorted(points[seed].items())) for seed in sorted(points)}, tuple(events))


def _event(said: Mapping[str, Any]) -> Event:
    seconds = float(said["time"])
    if not math.isfinite(seconds):
        raise ValueError
    return Event(str(said["event"])[:100], int(said["step"]), seconds, str(said.get("message", ""))[:2000])
