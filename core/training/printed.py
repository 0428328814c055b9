"""Progress of a training as lines of text."""

import time

from core.amounts import of_seconds

_EVERY_S = 15.0


class Printed:
    """A Progress (core.work.progress) that prints tokens, rate and time left about every 15 seconds."""

    def __init__(self, name: str):
        self._name = name
        self._begun: tuple[float, int] | None = None
        self._said = time.monotonic()

    def update(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._begun = self._begun or (now, done)
        began, first = self._begun
        if now - self._said < _EVERY_S or done == first:
            return
        self._said = now
        rate = (done - first) / (now - began)
        left = of_seconds((total - done) / rate)
        print(f"  {self._name}: {done / 1e6:.2f} of {total / 1e6:.2f} M tokens, {rate:,.0f}/s, {left} left", flush=True)

    def note(self, text: str) -> None:
        print(f"  {self._name}: {text}", flush=True)
