"""Where long computations report how far they are.

Core functions take `progress: Progress = SILENT` and call `progress.update(done, total)` as they go;
that is also where a cancelled computation stops.
"""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Where a long computation reports its progress. Both methods raise CancelledError after it was cancelled."""

    def update(self, done: int, total: int) -> None:
        """Report how many of how many units are done."""

    def note(self, text: str) -> None:
        """Say in a few words what the computation is doing."""


class SilentProgress:
    """A Progress that shows nothing and never cancels."""

    def update(self, done: int, total: int) -> None:
        pass

    def note(self, text: str) -> None:
        pass


SILENT: Progress = SilentProgress()
"""The default Progress of core functions."""


class Part:
    """Progress of one of several equal parts."""

    def __init__(self, whole: Progress, part: int, parts: int):
        self._whole, self._part, self._parts = whole, part, parts

    def update(self, done: int, total: int) -> None:
        self._whole.update(self._part * total + done, self._parts * total)

    def note(self, text: str) -> None:
        self._whole.note(text)


class Stage:
    """Progress of one stage of a longer count, which stood at `before` of `total` units when the stage began."""

    def __init__(self, whole: Progress, before: int, total: int):
        self._whole, self._before, self._total = whole, before, total

    def update(self, done: int, total: int) -> None:
        self._whole.update(self._before + done, self._total)

    def note(self, text: str) -> None:
        self._whole.note(text)
