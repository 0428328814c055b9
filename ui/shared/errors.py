"""Showing errors that a person can fix; all others are bugs and go to the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import LoupeError
from ui.shared.escape import plain


class StillRunningError(LoupeError):
    """The result is not there yet; its progress has been drawn. Never shown as an error."""


class NotStoredError(LoupeError):
    """A result was asked for only if it is stored, and it is not (see compute.only_stored)."""


@contextmanager
def shown(*, stop: bool = False) -> Iterator[None]:
    """Show a LoupeError raised inside and go on behind the block, or stop the page with `stop`."""
    try:
        yield
    except StillRunningError:
        if stop:
            st.stop()
    except LoupeError as error:
        st.error(plain(str(error)), icon=":material/error:")
        if stop:
            st.stop()
