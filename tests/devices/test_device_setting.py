"""The setting in the sidebar, and how it reaches the analyses."""

import pytest

from core.devices import device as devices
from core.devices.device import CPU, Device
from core.workspace import parse_arguments
from tests.doubles import pages
from tests.doubles.pages import text_of

CARD = Device("cuda", 0, "Planted card", 8 * 10**9)


def picker():
    import streamlit as st

    from ui.shared import errors
    from ui.sidebar import device
    from ui.studies import compute

    with st.sidebar:
        device.pick()
    with errors.shown():
        st.text(compute.device().name)
        st.text(compute.device(10).name)
        st.text(compute.device(2**40).name)


@pytest.fixture
def card(monkeypatch):
    """A machine with a card, torch imported."""
    monkeypatch.setattr(devices, "available", lambda: (CPU, CARD))
    monkeypatch.setattr(devices, "_cuda", lambda: (CARD,))
    monkeypatch.setattr(devices, "_may_have_cuda", lambda: True)
    monkeypatch.setattr(devices, "_torch_is_here", lambda: True)


def texts(app):
    assert not app.exception
    return [text.value for text in app.text]


def test_a_card_is_offered_with_its_memory_and_takes_large_work_only(card):
    app = pages.run(picker)
    assert app.selectbox[0].options == ["auto", "cpu", "cuda:0"]
    assert app.sidebar.caption[0].value.replace("\\", "") == "Planted card (8.00 GB)"
    assert texts(app) == ["Planted card", "CPU", "Planted card"]
    app.selectbox[0].set_value("cpu").run()
    assert texts(app) == ["CPU", "CPU", "CPU"]


def test_nothing_is_drawn_where_there_is_nothing_to_choose(monkeypatch):
    monkeypatch.setattr(devices, "may_have_more", lambda: False)
    app = pages.run(picker)
    assert not app.selectbox
    assert texts(app) == ["CPU", "CPU", "CPU"]


def test_a_device_in_the_url_that_is_not_there_is_named_on_the_page(card):
    app = pages.run(picker, {"device": "cuda:7"})
    assert not app.exception
    assert "cuda:7 was chosen, but torch finds cpu, cuda:0" in text_of(app, "error")


def test_the_command_line_names_the_device_that_sessions_begin_with():
    assert parse_arguments(["--device", "cuda:1"]).device == "cuda:1"
    assert parse_arguments([]).device == "auto"


def test_a_result_of_a_device_has_a_key_of_its_own_and_one_of_the_cpu_keeps_its_old_one():
    from core.enrichment.enrichment import Enrichment
    from core.logit_weights.statistics import LogitStatistics
    from core.logit_weights.unembedding import LogitSettings
    from core.positions.statistics import PositionSettings, PositionStatistics

    keys = {
        "positions": lambda **how: PositionStatistics.key("a", "b", settings=PositionSettings(), **how),
        "logits": lambda **how: LogitStatistics.key("a", "b", LogitSettings(), **how),
        "enrichment": lambda **how: Enrichment.key("a", "b", LogitSettings(), "c", **how),
    }
    for key in keys.values():
        assert key() == key(device=CPU)
        assert len({key(), key(device=CARD), key(device=Device("cuda", 0, "Another card"))}) == 3
