"""What comes after the answer of a figure: its baselines, nulls and further matchings, each as it is ready.

chance = Later(lambda: studies.random_baseline(study))
figure(..., note=study.note("100 bins", *chance.said))  # with chance.value, if it is there
chance.draw()
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import streamlit as st

from core.errors import LoupeError
from ui.shared import errors, progress
from ui.shared.errors import NotReady

T = TypeVar("T")
NOT_YET = "not yet compared with chance"
AT_ONCE_S = 0.3
"""How long an answer waits for its control, so that a quick one makes no page draw twice."""


class Later(Generic[T]):
    """Something that a figure can do without until it is there. It holds back neither the figure nor other answers."""

    def __init__(self, find: Callable[[], T], *, missing: str = NOT_YET):
        """Start to look for it. `find` may raise what `ui.studies.compute.result` raises.

        `missing` says what the figure lacks until then.
        """
        self._find, self._missing, self._error = find, missing, None
        self.value: T | None = None
        """None until it is there."""
        self.there = False
        try:
            with progress.in_background(patience_s=AT_ONCE_S):
                self.value, self.there = find(), True
        except NotReady:
            pass
        except LoupeError as error:
            self._error = error

    @property
    def said(self) -> list[str]:
        """What the note of the figure says: nothing once it is there."""
        return [] if self.there else [self._missing]

    def draw(self) -> None:
        """Draw how far it is, in the place where this is called; or why it will not come. Nothing once it is there."""
        if self.there:
            return
        with errors.shown():
            if self._error:
                raise self._error
            with progress.as_control():
                self._find()
            st.rerun()  # it came since
