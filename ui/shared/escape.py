"""Text from outside on its way to the screen."""

import re

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=])")


def plain(text: str) -> str:
    """Escape text for Streamlit's Markdown, so that it is shown letter by letter.

    Covers links, emphasis, headings, maths, HTML and Streamlit's `:directive[...]` syntax.
    """
    return _MARKDOWN.sub(r"\\\1", text).replace("\n", "  \n")
