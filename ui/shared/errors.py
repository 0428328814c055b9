"""Showing errors that a person can fix; all others are bugs and go to the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import LoupeError
from ui.shared.escape import plain


class NotReady(Exception):  # noqa: N818, it is no error
    """A result is not there now, and nothing is wrong: no LoupeError, so that whoever catches one lets it pass."""


class StillRunning(NotReady):
    """The result is on its way, and its progress has been drawn: the page is drawn again when it is there."""


class NotStored(NotReady):
    """A result was asked for only if it is at hand, and it is not (see compute.only_stored)."""


@contextmanager
def shown(*, stop: bool = False) -> Iterator[None]:
    """Show a LoupeError raised inside and go on after the block, or stop the page with `stop`.

    Of StillRunning nothing is shown: its progress stands there already.
    """
    try:
        yield
    except StillRunning:
        if stop:
            st.stop()
    except (LoupeError, NotStored) as error:
        st.error(plain(str(error)), icon=":material/error:")
        if stop:
            st.stop()
