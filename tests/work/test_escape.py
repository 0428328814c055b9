"""Text from outside is shown letter by letter."""

import re

import pytest

from ui.shared.escape import plain


@pytest.mark.parametrize(
    "text",
    [
        "**bold**",
        "[a](http://x)",
        "<img src=x onerror=alert(1)>",
        "$x^2$",
        ":red[x]",
        "# title",
        "`code`",
        "a_b_c",
        "~~x~~",
    ],
)
def test_every_character_with_a_meaning_in_markdown_is_escaped(text):
    escaped = plain(text)
    assert re.sub(r"\\(.)", r"\1", escaped) == text
    assert not re.search(r"(?<!\\)[*_\[\]()<>#`~$:]", escaped)
