"""Text from outside is shown letter by letter."""

import re

import pytest

from ui.shared.escape import BREAK, plain, with_commands

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


def test_commands_between_backticks_stand_in_code_and_all_else_is_escaped():
    assert with_commands("Do *not*: `run -- --root X`.") == plain("Do *not*: ") + "`run -- --root X`" + plain(".")
    for odd in ("`", "a`b`c`d", "a``b", "a`\n`b"):
        assert with_commands(odd).replace(BREAK, "").replace("\\", "") == odd.replace("\n", "  \n")
