"""Text from outside on its way to the screen."""

import re

BREAK = ":small[]"
"""Draws nothing and copies nothing, but parts a text in two for whatever looks through it later."""
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=])")
_LOOKED_FOR = re.compile(
    r"(?<=http)(?=s?://)|(?<=www)(?=\.)|(?=@)"  # addresses become links
    r"|(?<=:)(?=material/|streamlit:)"  # icons
    r"|(?<=[-<])(?=-)|(?<=[-<>~])(?=[>=])",  # dashes, arrows and signs of comparison
    re.IGNORECASE,
)
_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
_HALF = re.compile("[\ud800-\udfff]")
_COMMAND = re.compile(r"(`(?:streamlit run|python -m|pip install|hf auth) [\w./=& -]*\w`)", re.ASCII)
"""A command that our texts advise. They mark it by backticks, which a terminal or notebook shows as they are."""


def plain(text: str) -> str:
    """Escape text for Streamlit's Markdown, so that it is shown letter by letter.

    Covers links, emphasis, headings, maths, HTML and Streamlit's `:directive[...]` syntax. Streamlit also looks for
    addresses, icons and signs such as -- in the finished text, where no escape is left: there it is parted. Characters
    that turn the direction of what follows are shown as their numbers, control characters as their pictures.
    Commands that we advise stand in code, where they keep every sign and can be copied.
    """
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(_COMMAND.split(text)))


def _escaped(text: str) -> str:
    text = _TURNING.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)
    text = _HALF.sub("\ufffd", _UNSEEN.sub(_picture, text))
    parts = (_MARKDOWN.sub(r"\\\1", part) for part in _LOOKED_FOR.split(text))
    return BREAK.join(parts).replace("\n", "  \n")


def _picture(match: re.Match) -> str:
    code = ord(match[0])
    return "\u2421" if code == 0x7F else chr(0x2400 + code)
