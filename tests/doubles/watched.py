"""A progress that tests watch and stop."""

from core.errors import CancelledError


class Watched:
    """A Progress that keeps what it is told, and cancels once `stop_at` units are done or at report `stop_at_report`.

    `told` holds done and total of every update, `notes` every note. Reports are counted from 1.
    """

    def __init__(self, *, stop_at: int | None = None, stop_at_report: int | None = None):
        self.told: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.stop_at, self.stop_at_report = stop_at, stop_at_report

    def update(self, done: int, total: int) -> None:
        self.told.append((done, total))
        if len(self.told) == self.stop_at_report or (self.stop_at is not None and done >= self.stop_at):
            raise CancelledError("stopped")

    def note(self, text: str) -> None:
        self.notes.append(text)
