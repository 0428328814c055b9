"""Signals that a result is not there yet, beside errors that a person can fix."""

import pytest

from core.errors import BadSettingError, LoupeError
from ui.shared import errors
from ui.shared.errors import NotReady, NotStored, StillRunning


@pytest.fixture
def screen(monkeypatch):
    """Return what is shown as an error."""
    shown = []
    monkeypatch.setattr("streamlit.error", lambda text, **how: shown.append(text))
    return shown


@pytest.mark.parametrize("signal", [NotReady, StillRunning, NotStored])
def test_whoever_catches_errors_lets_a_signal_pass(signal):
    assert not issubclass(signal, LoupeError)


def test_work_under_way_shows_no_error(screen):
    with errors.shown():
        raise StillRunning("counting")
    assert screen == []


@pytest.mark.parametrize("error", [NotStored, BadSettingError])
def test_what_is_missing_or_wrong_is_said(screen, error):
    with errors.shown():
        raise error("Two is too few")
    assert screen == ["Two is too few"]
