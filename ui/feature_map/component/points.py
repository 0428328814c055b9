"""What a feature map draws, apart from colours: places, names, steps and links."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ui.shared.escape import signs


@dataclass(frozen=True)
class Step:
    """One stage of an animation: it shows rows start to stop - 1 of the points, under a title."""

    title: str
    start: int
    stop: int


@dataclass(frozen=True)
class MapPoints:
    """The points of a map, n rows. Make them once for each layout and keep them, because they hold the packed bytes."""

    x: np.ndarray
    """A row with NaN in x or y is not drawn."""
    y: np.ndarray
    feature: np.ndarray
    """The feature number of each row (in a joint map, of its own dictionary)."""
    labels: Sequence[str] = ()
    """A short text for each row, shown in the tooltip. It may hold any characters."""
    links: np.ndarray | None = None
    """Pairs of rows (m, 2) with a line between them."""
    to_x: np.ndarray | None = None
    """Where each row moves during its step of an animation. A row with NaN stays and fades."""
    to_y: np.ndarray | None = None
    steps: tuple[Step, ...] = ()
    """Stages of an animation; each row belongs to one stage. A still map has none."""

    def __post_init__(self):
        n = len(self.x)
        assert len(self.y) == len(self.feature) == n, "x, y and feature differ in length"
        assert len(self.labels) in (0, n), f"{len(self.labels)} labels for {n} points"
        assert not self.steps or (self.to_x is not None and self.to_y is not None), "steps without aims"
        ends = [step.stop for step in self.steps]
        assert not ends or ([step.start for step in self.steps] == [0, *ends[:-1]] and ends[-1] == n), "gaps in steps"

    @classmethod
    def series(
        cls,
        titles: Sequence[str],
        x: Sequence[np.ndarray],
        y: Sequence[np.ndarray],
        to_x: Sequence[np.ndarray],
        to_y: Sequence[np.ndarray],
        features: Sequence[np.ndarray] | None = None,
        labels: Sequence[Sequence[str]] = (),
    ) -> "MapPoints":
        """Make an animation of several layers: one array for each layer, with NaN aims for points without a match.

        Features are numbered within their layer unless given. The last layer's aims are not used.
        """
        ends = np.cumsum([len(part) for part in x])
        numbers = features if features is not None else [np.arange(len(part)) for part in x]
        return cls(
            np.concatenate(x),
            np.concatenate(y),
            np.concatenate(numbers),
            labels=tuple(text for part in labels for text in part),
            to_x=np.concatenate(to_x),
            to_y=np.concatenate(to_y),
            steps=tuple(
                Step(title, int(end) - len(part), int(end)) for title, end, part in zip(titles, ends, x, strict=True)
            ),
        )

    @cached_property
    def shown(self) -> np.ndarray:
        """The rows that are drawn, step by step. The browser counts these: its point i is row shown[i].

        Within a step their order is random (seed 0). Points drawn last lie on top, so the second of two dictionaries
        would hide the first; and the first points are a fair sample.
        """
        rows = np.flatnonzero(np.isfinite(self.x) & np.isfinite(self.y))
        step = np.searchsorted([step.stop for step in self.steps], rows, side="right")
        return rows[np.lexsort((np.random.default_rng(0).random(len(rows)), step))]

    @cached_property
    def sent(self) -> np.ndarray:
        """The browser's number of each row; -1 if it is not drawn."""
        numbers = np.full(len(self.x), -1, np.int32)
        numbers[self.shown] = np.arange(len(self.shown), dtype=np.int32)
        return numbers

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """What the browser gets; it holds drawn rows only."""
        rows = self.shown
        arrays = {name: getattr(self, name)[rows].astype(np.float32) for name in ("x", "y")}
        arrays["feature"] = self.feature[rows].astype(np.int32)
        if self.to_x is not None and self.to_y is not None:
            to_x, to_y = self.to_x[rows].astype(np.float32), self.to_y[rows].astype(np.float32)
            alone = ~(np.isfinite(to_x) & np.isfinite(to_y))
            arrays["to_x"], arrays["to_y"] = np.where(alone, arrays["x"], to_x), np.where(alone, arrays["y"], to_y)
            arrays["fades"] = alone.astype(np.uint8)
        if self.links is not None:
            ends = self.sent[np.asarray(self.links, dtype=int).reshape(-1, 2)]
            arrays["links"] = ends[(ends >= 0).all(axis=1)].ravel()
        if len(self.labels):
            text = json.dumps([signs(self.labels[row]) for row in rows], ensure_ascii=False)
            arrays["labels"] = np.frombuffer(text.encode("utf-8"), np.uint8)
        return arrays

    @cached_property
    def digest(self) -> str:
        """A hash of this content. It tells an outline on this layout from one on another."""
        digest = hashlib.sha256(repr(self.steps).encode())
        for name, array in self.arrays.items():
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.data)
        return digest.hexdigest()[:16]

    @cached_property
    def order(self) -> str:
        """A hash of `shown`: colours and marks with the same order fit."""
        return hashlib.sha256(self.shown.astype(np.int64).tobytes()).hexdigest()[:16]

    def sent_steps(self) -> list[dict]:
        """Steps in the browser's numbers."""
        rows = np.sort(self.shown)
        ends = [np.searchsorted(rows, [step.start, step.stop]).tolist() for step in self.steps]
        return [
            {"title": step.title, "start": start, "stop": stop}
            for step, (start, stop) in zip(self.steps, ends, strict=True)
        ]
