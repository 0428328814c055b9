"""What the bare address shows."""

import pytest

from core.workspace import parse_arguments
from tests.doubles import planted_pages
from ui.shell.router import page_files

st = pytest.importorskip("streamlit")
from streamlit.testing.v1 import AppTest  # noqa: E402


def open_app(tmp_path, monkeypatch, *more: str) -> AppTest:
    planted_pages.write_workspace(tmp_path)
    monkeypatch.setattr("sys.argv", ["app.py", *planted_pages.arguments(tmp_path), *more])
    monkeypatch.setattr("ui.shared.progress.PATIENCE_S", 120)
    st.cache_resource.clear()
    return AppTest.from_file(planted_pages.SCRIPT, default_timeout=120).run()


def test_the_app_begins_with_the_page_that_the_command_line_names(tmp_path, monkeypatch):
    at = open_app(tmp_path, monkeypatch, "--page", "dashboards")
    assert not at.exception
    assert at.title[0].value == "Dashboards of other tools"


def test_without_a_name_it_begins_with_the_first_page(tmp_path, monkeypatch):
    at = open_app(tmp_path, monkeypatch)
    assert page_files()[0].path.stem == "positions"
    assert at.title[0].value == "Positional features"


def test_a_page_that_does_not_exist_is_named_with_those_that_do(tmp_path, monkeypatch):
    at = open_app(tmp_path, monkeypatch, "--page", "dashbords")
    assert not at.exception
    assert "no page called 'dashbords'. Did you mean dashboards" in at.error[0].value.replace("\\", "")


def test_the_command_line_says_what_may_be_held_in_memory():
    assert parse_arguments(["--memory", "1.5"]).memory_bytes == 1_500_000_000
    assert parse_arguments([]).memory_bytes is None
