"""Text from outside is shown letter by letter."""

import ast
import re
from pathlib import Path

import pandas as pd
import pytest

from core.installation import started_with
from ui.shared.escape import BREAK, plain, signs_in_table

ROOT = Path(__file__).parents[2]
ODD = [
    "**bold**",
    "[a](http://x)",
    "<img src=x onerror=alert(1)>",
    "$x^2$",
    ":red[x]",
    "# title",
    "`code`",
    "a_b_c",
    "~~x~~",
    "https://example.com, HTTP://example.com, www.example.com, me@example.com",
    ":material/home: :streamlit: :smile:",
    "app.py -- --root FOLDER -> <- <-> >= <= ~= ---",
]


@pytest.mark.parametrize("text", ODD)
def test_every_character_with_a_meaning_in_markdown_is_escaped(text):
    escaped = plain(text).replace(BREAK, "")
    assert re.sub(r"\\(.)", r"\1", escaped) == text
    assert not re.search(r"(?<!\\)[*_\[\]()<>#`~$:]", escaped)


@pytest.mark.parametrize("text", ODD)
def test_no_part_of_a_text_holds_what_streamlit_looks_for_in_finished_text(text):
    for part in plain(text).split(BREAK):
        part = part.replace("\\", "")
        assert not re.search(r"https?://|www\.|\w@|:material/|:streamlit:|--|->|<-|[<>~]=", part, re.IGNORECASE)


def test_what_turns_the_direction_of_writing_is_shown_as_a_number():
    assert plain("a\u202eb\u2066").replace("\\", "") == "a‹U+202E›b‹U+2066›"


def test_control_characters_and_half_characters_are_shown_as_one_sign_each():
    assert plain("\x00\x1b\x7f\ud800\t\n") == "␀␛␡\ufffd\t  \n"


@pytest.mark.parametrize("command", ["`streamlit run app.py -- --root FOLDER`", "`sae-loupe --root FOLDER`"])
def test_a_command_between_backticks_stands_in_code_and_all_else_is_escaped(command):
    assert plain(f"Do *not*: {command}.") == plain("Do *not*: ") + command + plain(".")
    for odd in ("`", "a`b`c`d", "a``b", "a`\n`b", "`<b>`", "`streamlit run $x$`", "`streamlit run a\nb`"):
        assert plain(odd).replace(BREAK, "").replace("\\", "") == odd.replace("\n", "  \n")


COMMAND = re.compile(r"(?<![\w-])--[a-z]+|streamlit run|sae-loupe --|hf auth|pip install|python -m ")


def texts() -> list[tuple[str, str]]:
    """Return file and text of every sentence in our code that names a command; values put into it are an X."""
    found = []
    for path in [path for folder in ("core", "ui", "pages") for path in (ROOT / folder).rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        unseen = {part for node in ast.walk(tree) for part in ast.walk(node) if not shows(node)}
        for node in ast.walk(tree):
            if node not in unseen and isinstance(node, ast.JoinedStr):
                unseen.update(node.values)
                found.append((path.name, "".join(map(said_by, node.values))))
            elif node not in unseen and isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append((path.name, node.value))
    toml = [path for path in (ROOT / "core").rglob("*.toml") if path.parent.name != "lists"]
    found += [(path.name, line) for path in toml for line in path.read_text(encoding="utf-8").splitlines()]
    return [(name, text) for name, text in found if COMMAND.search(text) and " " in text]


def said_by(part: ast.expr) -> str:
    """Return what a part of an f-string says: its text, the command of `started_with`, or an X."""
    if isinstance(part, ast.Constant):
        return part.value
    call = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "started_with":
        return started_with(ast.literal_eval(call.args[0]))
    return "X"


def shows(node: ast.AST) -> bool:
    """Say whether a box may show what a part of the code says: no docstring, pattern, or text of a terminal."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
    return called not in {"add_argument", "ArgumentParser", "compile", "started_with", "print"}


def test_every_command_in_our_texts_stands_in_code_in_any_box():
    said = texts()
    assert len(said) > 9
    outside = [(name, re.sub("`[^`]*`", "", plain(text).replace(BREAK, "").replace("\\", ""))) for name, text in said]
    assert [(name, text) for name, text in outside if COMMAND.search(text)] == []


def test_tables_show_a_sign_for_what_is_not_seen_and_leave_other_columns_in_place():
    table = pd.DataFrame({"n": [1.0, 2.0], "fine": ["a\tb\n", "é"], "odd": ["\x00a", "\u202eb"]})
    table["kind"] = pd.Categorical(["\x1b", "x"])
    shown = signs_in_table(table.rename(columns={"n": "\u202en"}))
    assert shown["odd"].tolist() == ["␀a", "‹U+202E›b"]
    assert shown["kind"].tolist() == ["␛", "x"]
    assert shown["fine"].tolist() == table["fine"].tolist()
    assert list(shown) == ["‹U+202E›n", "fine", "odd", "kind"]
    plain_table = table[["n", "fine"]]
    assert signs_in_table(plain_table) is plain_table
