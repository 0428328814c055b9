"""What code put into widgets in a run that was cut off: it is put there once more, so that the browser hears of it.

A pick by code takes two steps: its value in the session, and a message that gives it to the field and to the address.
Streamlit sends that message in the very run that put it there. If a click elsewhere, or a rerun of ours, ends this run
before, the field and the address keep what they had, and the next run takes what the field has, or neither agrees.
A run may also end between a widget's callbacks and the app's first line: what callbacks pick is noted as they end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from streamlit.runtime.scriptrunner import RerunException, get_script_run_ctx

_UNTOLD = "_untold"


@contextmanager
def told() -> Iterator[None]:
    """Draw a run of the app in this: it gives widgets what a run that was cut off had for them.

    What a person typed meanwhile stays.
    """
    # Past Streamlit's wrapper, as each access to that may end the run.
    state = get_script_run_ctx().session_state._state
    for key, (before, value) in _left(state).items():
        if key in state and state[key] in (before, value):
            state[key] = value
    state[_UNTOLD] = {}
    try:
        yield
    except RerunException:
        state[_UNTOLD] = _assigned(state)
        raise
    finally:
        _watch_callbacks(state)


class _Noting:
    """A callback that notes what it put into widgets."""

    def __init__(self, callback: Callable[..., Any]):
        self._callback = callback

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        try:
            return self._callback(*arguments, **options)
        finally:
            state = get_script_run_ctx().session_state._state
            state[_UNTOLD] = _left(state) | _assigned(state)


def _watch_callbacks(state: Any) -> None:
    """Let every callback of this run's widgets note what it picks."""
    held = state._new_widget_state.widget_metadata
    for id, metadata in list(held.items()):
        many = {event: _noting(callback) for event, callback in (metadata.callbacks or {}).items()}
        if metadata.callback is not None or many:
            held[id] = replace(metadata, callback=_noting(metadata.callback), callbacks=many or None)


def _noting(callback: Callable[..., Any] | None) -> Callable[..., Any] | None:
    return callback if callback is None or isinstance(callback, _Noting) else _Noting(callback)


def _left(state: Any) -> dict[str, tuple[Any, Any]]:
    return state[_UNTOLD] if _UNTOLD in state else {}  # noqa: SIM401, as it has no `get`


def _assigned(state: Any) -> dict[str, tuple[Any, Any]]:
    """Return what was put into widgets in this run: by key what the browser has, and what it should have."""
    ids = state._key_id_mapper
    widgets = {key: ids.get_id_from_key(key) for key in state._new_session_state if key in ids}
    return {key: (_held(state, id), state[key]) for key, id in widgets.items()}


def _held(state: Any, id: str) -> Any:
    sent = state._new_widget_state
    return sent[id] if id in sent else state._old_state.get(id)
