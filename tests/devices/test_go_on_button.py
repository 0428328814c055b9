"""The button beside a device's error: the session computes on the CPU, and a pass goes on behind its last part."""

import pytest

from tests.doubles import pages, planted_card, planted_pages
from tests.doubles.pages import fine, text_of

LABEL = "Go on on the CPU"


def failing():
    import streamlit as st

    from core.devices.device import DeviceError
    from ui.shared import errors
    from ui.studies import compute

    for _ in range(2):
        with errors.shown():
            if st.session_state.get(errors.DEVICE) != "cpu":
                raise DeviceError("Planted card failed.")
            st.text(compute.device().name)


def buttons(app):
    return [button for button in app.button if button.label == LABEL]


def test_two_errors_of_a_device_have_one_button_and_it_chooses_the_cpu():
    app = pages.run(failing)
    assert len(app.error) == 2
    (button,) = buttons(app)
    button.click().run()
    assert [text.value for text in app.text] == ["CPU"] * 2
    assert not app.error
    assert not buttons(app)


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """The page Activations on a machine with a card, and parts of 40 rows of 6 tokens."""
    planted_pages.read_little_text(monkeypatch)
    planted_pages.write_workspace(tmp_path)
    planted_card.put_in(monkeypatch)
    monkeypatch.setattr("core.activations.store.rows_per_block", lambda n_pos: 40)
    with pages.page(tmp_path, monkeypatch, "activations") as run:
        yield run


def test_a_pass_whose_card_fails_goes_on_on_the_cpu_when_the_person_says_so(open_page, monkeypatch):
    planted_card.fail_after(monkeypatch, 2)
    app = open_page()
    assert "Planted card (cuda:0) failed: CUDA error: unspecified launch failure" in text_of(app, "error")
    (button,) = buttons(app)
    button.click().run()
    fine(app)
    assert not app.error
    assert app.query_params["device"] == "cpu"
    assert "Planted card, from row 80 on CPU" in text_of(app, "caption")


def test_a_card_that_is_not_there_is_named_beside_the_button(open_page):
    app = open_page({"device": "cuda:7"})
    assert "cuda:7 was chosen, but torch finds cpu, cuda:0" in text_of(app, "error")
    buttons(app)[0].click().run()
    fine(app)
    assert not app.error


def test_losses_of_a_card_name_it_below_their_figure(open_page):
    app = open_page({"tab": "Loss by position"})
    app.button(key="act_run_losses").click().run()
    fine(app)
    assert "guesses of the next token" in text_of(app, "caption")
    assert "blocks.0.hook_resid_pre · Planted card" in text_of(app, "caption")
