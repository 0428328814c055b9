"""What the bare address shows."""

import pytest
from streamlit.testing.v1 import AppTest

from core.workspace import parse_arguments
from tests.doubles import pages, planted_pages
from tests.doubles.pages import text_of
from ui.shell.router import page_files


@pytest.fixture
def open_app(tmp_path, monkeypatch):
    """Return a function that opens the bare address of an app that was started with some arguments."""
    planted_pages.write_workspace(tmp_path)

    def run(*more: str) -> AppTest:
        with pages.app(monkeypatch, *planted_pages.arguments(tmp_path), *more):
            return pages.run(pages.SCRIPT)

    return run


def test_the_app_begins_with_the_page_that_the_command_line_names(open_app):
    at = open_app("--page", "dashboards")
    assert not at.exception
    assert at.title[0].value == "Dashboards of other tools"


def test_without_a_name_it_begins_with_the_first_page(open_app):
    at = open_app()
    assert page_files()[0].path.stem == "home"
    assert at.title[0].value == "SAE Loupe"


def test_the_menu_has_every_page_once_and_each_group_in_one_piece():
    groups = [page.group for page in page_files()]
    assert list(dict.fromkeys(groups)) == ["Start", "One feature", "All features", "Compare", "Make", "Other tools"]
    assert groups == sorted(groups, key=list(dict.fromkeys(groups)).index)


def test_a_page_that_does_not_exist_is_named_with_those_that_do(open_app):
    at = open_app("--page", "dashbords")
    assert not at.exception
    assert "no page called 'dashbords'. Did you mean dashboards" in text_of(at, "error")


def test_the_command_line_says_what_may_be_held_in_memory():
    assert parse_arguments(["--memory", "1.5"]).memory_bytes == 1_500_000_000
    assert parse_arguments([]).memory_bytes is None
