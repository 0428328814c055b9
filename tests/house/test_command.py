"""The console command: what it says, what it starts, and where installed code reads and writes."""

import argparse
import sys

import pytest

from core import installation
from core.workspace import Workspace, argument_parser, parse_arguments
from sae_loupe import command, commands


@pytest.fixture
def started(monkeypatch):
    """Keep the words that would start the server."""
    calls = []
    monkeypatch.setattr(command, "serve", lambda theirs, ours: calls.append((theirs, ours)) or 0)
    return calls


def test_paths_and_options_reach_the_app_as_they_were_typed(started, tmp_path):
    words = [str(tmp_path), "--page", "positions", "--sae", f"{tmp_path}#k=3", "--memory", "2"]
    assert command.main(words) == 0
    assert started == [([], words)]
    workspace = parse_arguments(started[0][1])
    assert workspace.offered == (str(tmp_path), f"{tmp_path}#k=3")
    assert (workspace.start_page, workspace.memory_bytes) == ("positions", 2_000_000_000)


def test_paths_may_stand_before_between_and_after_options(tmp_path):
    (a, b) = (tmp_path / "a", tmp_path / "b")
    for words in ([str(a), str(b), "--page", "x"], [str(a), "--page", "x", str(b)], ["--page", "x", str(a), str(b)]):
        assert parse_arguments(words).pinned == (a, b)


def test_port_and_host_and_options_with_a_dot_go_to_streamlit(started):
    assert command.main(["--server.baseUrlPath=loupe", "--page", "text", "--server.headless", "true"]) == 0
    assert command.main(["--port", "8600", "--host", "0.0.0.0", "--page", "text"]) == 0
    assert started == [
        (["--server.baseUrlPath=loupe", "--server.headless", "true"], ["--page", "text"]),
        (["--server.port", "8600", "--server.address", "0.0.0.0"], ["--page", "text"]),
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["no/such/folder"], "There is nothing at 'no/such/folder'"),
        (["--sae", "no/such/folder"], "There is nothing at 'no/such/folder'"),
        (["--model", "no/model"], "Expected the folder of a model"),
        (["--bogus"], "unrecognized arguments: --bogus"),
        (["--pag", "text"], "unrecognized arguments: --pag"),
        (["--dtype", "float8"], "invalid choice: 'float8'"),
        (["--port", "http"], "invalid int value: 'http'"),
    ],
)
def test_what_cannot_be_started_is_said_before_anything_starts(started, capsys, words, says):
    try:
        code = command.main(words)
    except SystemExit as ended:
        code = ended.code
    assert (code, started) == (2, [])
    assert says in capsys.readouterr().err


def test_streamlit_gets_the_app_and_what_follows_two_dashes(monkeypatch):
    import streamlit.web.cli

    called = []

    def streamlit_main(words, prog_name):
        called.append((words, sys.argv))
        raise SystemExit(3)

    monkeypatch.setattr(streamlit.web.cli, "main", streamlit_main)
    monkeypatch.setattr(sys, "argv", ["sae-loupe"])
    assert command.serve(["--server.port", "1"], ["--page", "text"]) == 3
    words = ["run", str(installation.PROJECT / "app.py"), "--server.port", "1", "--", "--page", "text"]
    assert called == [(words, ["streamlit", *words])]


def test_the_help_names_every_option_and_every_subcommand(capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main(["--help"])
    said = capsys.readouterr().out
    options = [option for action in argument_parser()._actions for option in action.option_strings]
    assert [option for option in options if option not in said] == []
    assert commands.names()
    for name in commands.names():
        assert commands.title(name).endswith(".")
        assert f"  {name} " in said


@pytest.mark.parametrize("name", commands.names())
def test_a_subcommand_is_asked_by_its_name_and_explains_itself(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        command.main([name, "--help"])
    assert f"sae-loupe {name}" in capsys.readouterr().out


def test_a_subcommand_gets_what_follows_it_and_its_code_is_handed_on(monkeypatch):
    monkeypatch.setattr(commands, "command", lambda name: lambda words: {"match": len(words)}[name])
    assert command.main(["match", "a", "b"]) == 2


def test_a_checkout_keeps_its_results_and_notes_and_says_how_it_is_started():
    assert installation.CHECKOUT
    assert Workspace() == Workspace(cache=installation.PROJECT / "cache", notes=installation.PROJECT / "notes")
    assert parse_arguments([]).roots == (installation.PROJECT,)
    assert installation.started_with("--memory GB") == "`streamlit run app.py -- --memory GB`"


def test_installed_code_writes_to_the_folders_of_the_person_and_reads_below_the_present_one(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "CHECKOUT", False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cached"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    workspace = parse_arguments([])
    for folder in (workspace.cache, workspace.notes):
        assert not folder.is_relative_to(installation.PROJECT)
        assert "sae-loupe" in folder.parts
    assert workspace.cache != workspace.notes
    assert workspace.roots == (tmp_path,)
    assert installation.started_with("--memory GB") == "`sae-loupe --memory GB`"
    monkeypatch.chdir("/")
    assert parse_arguments([]).roots == (installation.PROJECT,), "a service must not offer every file of its machine"


def test_a_checkout_that_cannot_be_written_uses_the_folders_of_the_person(monkeypatch, tmp_path):
    monkeypatch.setattr(installation, "PROJECT", tmp_path)
    monkeypatch.setattr(installation.os, "access", lambda path, mode: False)
    assert not installation.cache_folder().is_relative_to(tmp_path)
    assert not installation.notes_folder().is_relative_to(tmp_path)


def test_no_option_of_the_server_is_one_of_the_app():
    def names(parser: argparse.ArgumentParser) -> set[str]:
        return {option for action in parser._actions for option in action.option_strings}

    assert not names(argument_parser()) & names(command._serving())


def test_the_document_of_options_has_a_line_for_each():
    text = (installation.PROJECT / "docs" / "dictionaries.md").read_text(encoding="utf-8")
    table = text[text.index("| option | meaning |") :].partition("\n\n")[0]
    parsers = (argument_parser(), command._serving())
    options = [option for parser in parsers for action in parser._actions for option in action.option_strings]
    assert [option for option in options if f"`{option} " not in table and f"`{option}`" not in table] == []
