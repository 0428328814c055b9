"""The page Training: from a form to a run in a process of its own, its curves, and its dictionaries in the pickers."""

import numpy as np
import pytest

from core.training import log, runs
from core.training.log import Log
from core.training.runs import Run, create
from core.training.settings import read_settings
from core.training.types import TYPES
from core.workspace import Workspace
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, text_of
from tests.doubles.planted_training import settings


@pytest.fixture
def launched(monkeypatch):
    """Runs that were launched; no process is started."""
    found = []
    monkeypatch.setattr(runs, "launch", lambda run, workspace: found.append((run.name, workspace.device)))
    return found


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "training", "--runs", str(tmp_path / "runs"), "--device", "cpu") as run:
        yield run


def old_run(root, name, *, finished=False, l0=5.0, **more) -> Run:
    """Write a run that logged two points, and a dictionary if it is finished."""
    run = create(settings(name=name, **more), Workspace(runs=root / "runs"))
    written = Log(run.log_path)
    written.event(log.STARTED, 0)
    for step in (100, 200):
        point = {"seed": 0, "step": step, "tokens": step * 256, "time": 0, "loss": 9.0, "l0": l0, "fve": 0.5}
        written.add(point | {"dead_share": 0.25})
    if finished:
        written.event(log.FINISHED, 500)
        from tests.doubles.planted import planted_dictionary

        planted_dictionary(d_in=8, d_sae=12).save(run.result(0))
    return run


def test_a_link_opens_the_form_as_it_was(open_page):
    said = {"tr_type": TYPES["orthogonal"].TITLE, "tr_orthogonal_nearest_weight": "7"}
    said |= {"tr_d_sae": "16", "tr_seeds": "0, 2"}
    said |= {"tr_name": "7e999", "tr_tokens": "20000", "tr_context": "32", "tr_bos": "false", "tr_lr": "0.01"}
    at = fine(open_page(said))
    assert at.selectbox(key="tr_type").value == "orthogonal"
    numbers = ("tr_orthogonal_nearest_weight", "tr_d_sae", "tr_tokens", "tr_context", "tr_lr")
    assert [at.number_input(key=key).value for key in numbers] == [7.0, 16, 20_000, 32, 0.01]
    assert [at.text_input(key=key).value for key in ("tr_seeds", "tr_name")] == ["0, 2", "7e999"]
    assert at.toggle(key="tr_bos").value is False


def test_a_form_makes_a_run_with_its_settings_and_shows_it(open_page, launched, tmp_path):
    at = fine(open_page())
    at.selectbox(key="tr_type").set_value("orthogonal").run()
    at.number_input(key="tr_orthogonal_nearest_weight").set_value(7.0)
    at.number_input(key="tr_d_sae").set_value(16)
    at.text_input(key="tr_seeds").set_value("0, 2")
    at.text_input(key="tr_name").set_value("mine").run()
    assert any(metric.label == "Time, about" for metric in at.metric)
    at.button(key="tr_start").click().run()
    fine(at)
    made = read_settings(tmp_path / "runs" / "mine" / "settings.toml")
    assert (made.type, made.options.nearest_weight, made.seeds, made.d_sae) == ("orthogonal", 7.0, (0, 2), 16)
    assert made.hook_name == "blocks.0.hook_resid_pre"
    assert launched == [("mine", "cpu")]
    assert at.session_state["tr_run"] == "mine"
    assert at.session_state["tab"] == "Runs"


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tr_seeds", "0, x", "seeds are '0, x'"),
        ("tr_name", "../x", "it names a folder"),
        ("tr_name", "taken", "called taken already"),
    ],
)
def test_what_cannot_be_is_said_and_starts_nothing(open_page, launched, tmp_path, key, value, said):
    old_run(tmp_path, "taken")
    at = open_page()
    at.text_input(key=key).set_value(value).run()
    if not at.error:
        at.button(key="tr_start").click().run()
    assert said in text_of(at)
    assert launched == []


def test_k_over_the_width_is_said(open_page, launched):
    at = open_page()
    at.selectbox(key="tr_type").set_value("topk").run()
    at.number_input(key="tr_d_sae").set_value(8).run()
    assert "k is 32 with 8 features" in text_of(at)


def test_a_killed_run_shows_its_curves_and_can_be_resumed(open_page, launched, tmp_path):
    old_run(tmp_path, "old", l0=3.0)
    old_run(tmp_path, "new")
    at = fine(open_page({"tab": "Runs", "tr_run": "new"}))
    assert "step 200 of 500" in text_of(at) + "".join(p.proto.text for p in at.get("progress"))
    assert "killed" in text_of(at)
    assert len(at.get("vega_lite_chart")) == 4
    at.button(key="tr_resume new").click().run()
    assert launched == [("new", "cpu")]


def test_a_failed_run_says_why(open_page, launched, tmp_path):
    run = old_run(tmp_path, "bad")
    Log(run.log_path).event(log.FAILED, 200, message="The loss became infinite.")
    at = open_page({"tab": "Runs", "tr_run": "bad"})
    assert "The loss became infinite" in text_of(at)


def test_a_finished_run_is_in_the_pickers_and_leads_to_matching(open_page, launched, tmp_path):
    old_run(tmp_path, "done", finished=True)
    at = fine(open_page({"tab": "Runs", "tr_run": "done"}))
    assert any("done" in option for option in at.selectbox(key="sae").options)
    links = {link.proto.label: str(link.proto) for link in at.get("page_link")}
    assert "seed0" in links["Open"]
    assert "matching" in links["Compare with the open dictionary"]


def test_a_public_app_trains_nothing(tmp_path, monkeypatch, launched):
    planted_pages.write_workspace(tmp_path)
    with pages.page(tmp_path, monkeypatch, "training", "--public", "--runs", str(tmp_path / "runs")) as run:
        at = run()
        assert "this public app trains nothing" in text_of(at)
        assert all(button.key != "tr_start" for button in at.button)


def test_curves_of_other_runs_lie_behind_in_grey(tmp_path):
    from core.training.tables import curve_table
    from ui.training.charts import curve

    mine, other = old_run(tmp_path, "mine"), old_run(tmp_path, "other", l0=2.0)
    table = curve_table({"mine": mine.curves(), "other": other.curves()})
    assert np.allclose(table.groupby("run")["training_l0"].mean(), [5.0, 2.0])
    behind, front = curve(table, "training_l0", "mine").to_dict()["layer"]
    assert "color" not in behind["encoding"]
    assert front["encoding"]["color"]["scale"]["domain"] == ["mine, seed 0"]
