"""The model's own loss on a chosen text: the right number, measured behind all other work, and a warning."""

import threading
from math import log
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from core.activations.own_loss import MOST_TOKENS, OwnLoss, can_read, few_rows, own_loss, said
from core.activations.spliced_loss import loss_by_position
from core.corpus.streams import Document
from core.devices.device import CPU, TORCH_CPU
from core.errors import CancelledError, CorpusError
from tests.doubles import pages, planted_card, planted_pages
from tests.doubles.pages import text_of
from tests.doubles.planted import planted_model
from ui.sidebar import own_loss as view
from ui.studies import compute

APP = Path(__file__).with_name("text_app.py")
ROWS = np.random.default_rng(0).integers(1, 257, (60, 12))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return planted_model(tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("left_out", [(), (int(ROWS[0, 3]), 7)])
def test_the_loss_is_the_mean_of_the_losses_by_position(model, left_out, device):
    found, slow = (
        own_loss(model, ROWS, left_out=left_out, device=device),
        loss_by_position(model, ROWS, left_out=left_out),
    )
    assert found.n == slow.position_rows.sum()
    assert found.ce == pytest.approx(np.nansum(slow.ce * slow.position_rows) / found.n, rel=1e-6)


def test_the_loss_of_a_device_has_a_name_of_its_own():
    names = {OwnLoss.key("m", "r", device=device) for device in (CPU, TORCH_CPU, planted_card.CARD)}
    assert len(names) == 3
    assert OwnLoss.key("m", "r") in names


def test_it_gives_way_between_a_few_rows_and_says_what_has_no_loss(model):
    asked = []
    own_loss(model, ROWS, give_way=lambda: asked.append(1))
    assert len(asked) == 3  # 21 rows of 12 at once

    def stop():
        raise CancelledError("other work waits")

    with pytest.raises(CancelledError):
        own_loss(model, ROWS, give_way=stop)
    with pytest.raises(CorpusError, match="no counted token with a next token"):
        own_loss(model, ROWS[:, :1])


@pytest.mark.parametrize("shape", [(300, 12), (5, 3000), (3, 5)])
def test_it_reads_the_first_rows_and_no_more_than_2048_tokens(shape):
    rows = np.arange(np.prod(shape)).reshape(shape)
    few = few_rows(rows)
    assert few.size <= MOST_TOKENS
    assert few.size + few.shape[1] > min(rows.size, MOST_TOKENS)
    np.testing.assert_array_equal(few, rows[: len(few), : few.shape[1]])


def test_a_text_is_read_if_its_loss_is_below_that_of_a_guess():
    assert can_read(5.54, 257)
    for ce in (log(257), 7.1, np.nan, np.inf):
        assert not can_read(ce, 257)
        assert said(ce, 257).startswith("The model cannot read this text: its own loss on this text is ")
    assert said(3.456, 257) == (
        "The model's own loss on this text is 3.46 nats a token; a guess among all 257 tokens has 5.55, ln(vocabulary)."
    )


@pytest.fixture
def open_app(tmp_path, monkeypatch):
    """Return a function that opens a page with the text picker on a short library."""
    planted_pages.write_workspace(tmp_path)
    documents = [Document("module.py", "def f(x):\n    return x\n" * 40)]
    monkeypatch.setattr("core.corpus.streams.standard_library", lambda: documents)
    monkeypatch.setattr("ui.studies.corpus.standard_library_sha256", lambda: "short")
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        yield lambda **query: pages.run(APP, query)


def measured(at):
    """Run the page until the measurement has ended, and return what the sidebar says."""
    at.run()  # the rows are at hand now
    at.run()  # the second time that the picker sees them
    assert compute.jobs().submit(uuid4().hex, "What comes last", lambda progress: None).finished_within(120)
    return text_of(at.run().sidebar, "caption", "warning")


@pytest.mark.parametrize(("ce", "says"), [(2.5, "own loss on this text is 2.50 nats"), (7.1, "cannot read this text")])
def test_the_picker_says_the_loss_and_warns_where_a_guess_is_no_worse(open_app, monkeypatch, ce, says):
    monkeypatch.setattr(view, "own_loss", lambda model, rows, **how: OwnLoss(ce, rows.size))
    at = open_app()
    assert "own loss" not in text_of(at.sidebar, "caption")
    assert says in measured(at)
    assert (says in text_of(at.sidebar, "warning")) == (ce > log(257))
    assert not at.exception


def test_the_measurement_neither_starts_with_a_page_nor_while_other_work_runs(open_app, monkeypatch):
    asked, free = [], threading.Event()
    monkeypatch.setattr(view, "own_loss", lambda *given, **how: asked.append(1) or OwnLoss(2.0, 9))
    at = open_app()
    at.run()
    assert asked == []
    busy = compute.jobs().submit("other work", "Other work", lambda progress: free.wait(60))
    at.run()
    assert not compute.jobs().awaited()
    assert "is being measured" in text_of(at.sidebar, "caption")
    free.set()
    assert busy.finished_within(60)
    assert "is 2.00 nats" in measured(at)
    assert asked == [1]


def test_a_model_that_is_not_here_whole_is_not_asked(open_app, monkeypatch):
    monkeypatch.setattr("core.models.language_model.LanguageModel.whole", False)
    assert "own loss" not in measured(open_app())


def test_a_large_model_is_run_when_a_person_asks(open_app, monkeypatch):
    monkeypatch.setattr(view, "ASK_BYTES", 0)
    monkeypatch.setattr(view, "own_loss", lambda *given, **how: OwnLoss(2.0, 9))
    at = open_app()
    assert "own loss" not in measured(at)
    at.button(key="own_loss_ask").click()
    assert "is 2.00 nats" in measured(at)


def test_a_loss_that_cannot_be_measured_says_why_once(open_app, monkeypatch):
    def fail(*given, **how):
        raise CorpusError("It has no unembedding.")

    monkeypatch.setattr(view, "own_loss", fail)
    at = open_app()
    measured(at)
    assert "own loss on this text is not known. It has no unembedding." in text_of(at.run().sidebar, "caption")
    assert not at.exception


def test_a_page_runs_once_more_when_its_rows_are_at_hand():
    def page():
        import streamlit as st

        from ui.sidebar import own_loss

        st.session_state["runs"] = st.session_state.get("runs", 0) + 1
        own_loss.expect(lambda: st.session_state["runs"] == 2)

    at = pages.run(page)
    assert at.session_state["runs"] == 1
    assert at.run().session_state["runs"] == 3
    assert at.run().session_state["runs"] == 4
