"""Show errors that a person can fix. All other errors are bugs and go to the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime.scriptrunner import StopException, get_script_run_ctx

from core.devices.device import CPU, DeviceError
from core.errors import LoupeError
from ui.shared.escape import plain

DEVICE = "device"
"""Where the session keeps which device it computes on, see ui.sidebar.device."""


_ON_CPU = "on_the_cpu"


class NotReady(Exception):  # noqa: N818, it is no error
    """A result is not there yet, and nothing is wrong. `except LoupeError` does not catch it."""


class StillRunning(NotReady):
    """A job computes the result and its progress is on the page. The page runs again when the job has ended."""


class NotStored(NotReady):
    """The caller wanted a result only if it is stored, and it is not (see compute.only_stored)."""


@contextmanager
def shown(*, stop: bool = False) -> Iterator[None]:
    """Show a LoupeError raised inside and go on after the block, or stop the page with `stop`.

    For StillRunning it shows nothing, because the progress bar is on the page already. Beside the error of a device
    stands a button that lets this session compute on the CPU.
    """
    try:
        yield
    except StillRunning:
        if stop:
            _stop()
    except (LoupeError, NotStored) as error:
        st.error(plain(str(error)), icon=":material/error:")
        if isinstance(error, DeviceError):
            _offer_the_cpu()
        if stop:
            _stop()


def _offer_the_cpu() -> None:
    """Draw a button that chooses the CPU, once on a page: what a failed pass has stored stays, and it goes on there."""
    context = get_script_run_ctx()
    if st.session_state.get(DEVICE) == CPU.setting or (context and _ON_CPU in context.shared.widget_user_keys_this_run):
        return
    st.button(
        "Go on on the CPU",
        key=_ON_CPU,
        icon=":material/memory:",
        help="This session computes on the CPU from now on. A token pass goes on behind its last stored part; other "
        "work begins again.",
        on_click=lambda: st.session_state.update({DEVICE: CPU.setting}),
    )


def _stop() -> None:
    """End the page's own part of the run. What the app draws around each page follows; `st.stop` would end that too."""
    if get_script_run_ctx():
        raise StopException
