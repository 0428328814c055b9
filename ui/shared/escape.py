"""Text from outside on its way to the screen."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.characters import whole_table
from core.tables import is_text

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
_ODD = re.compile("|".join(kind.pattern for kind in (_TURNING, _UNSEEN, _HALF)))
_COMMAND = re.compile(r"(`(?:streamlit run|sae-loupe|python -m|pip install|hf auth) [\w./=& -]*\w`)", re.ASCII)
"""A command that our texts advise. They mark it by backticks, which a terminal or notebook shows as they are."""


_folders: tuple[tuple[re.Pattern[str], str], ...] = ()


def hide(folders: Iterable[Path]) -> None:
    """Show the names of these folders of the machine alone from now on, not where they lie. For the whole process."""
    global _folders
    there = {str(folder) for folder in folders if len(folder.parts) > 1}
    _folders = tuple(
        (re.compile(rf"{re.escape(folder)}(?![\w.-])"), f"…/{Path(folder).name}")
        for folder in sorted(there, key=len, reverse=True)
    )


def without_folders(value: Any) -> Any:
    """Return what a download says of where it is from, without the folders that `hide` named."""
    if isinstance(value, dict):
        return {name: without_folders(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(without_folders, value))
    if isinstance(value, str):
        for folder, shown in _folders:
            value = folder.sub(shown, value)
    return value


def plain(text: str) -> str:
    """Escape text for Streamlit's Markdown, so that it is shown letter by letter.

    Covers links, emphasis, headings, maths, HTML and Streamlit's `:directive[...]` syntax. Streamlit also looks for
    addresses, icons and signs such as -- in the finished text, where no escape is left: there it is parted. Characters
    that turn the direction of what follows are shown as their numbers, control characters as their pictures.
    Commands that we advise stand in code, where they keep every sign and can be copied.
    """
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(_COMMAND.split(text)))


def signs(text: str) -> str:
    """Put a sign for every character that is not seen or that turns what follows: a number, a picture or U+FFFD.

    Of the folders that `hide` named, the last part alone is shown.
    """
    text = without_folders(text)
    text = _TURNING.sub(lambda match: f"‹U+{ord(match[0]):04X}›", text)
    return _HALF.sub("\ufffd", _UNSEEN.sub(_picture, text))


def signs_in_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with `signs` in its titles and texts. Columns without such characters are not copied."""
    table = whole_table(table)
    texts = [i for i, dtype in enumerate(table.dtypes) if is_text(dtype)]
    odd = [i for i in texts if any(isinstance(cell, str) and _is_odd(cell) for cell in table.iloc[:, i])]
    if odd:
        columns = [
            table.iloc[:, i].astype(object).map(_signs_of) if i in odd else table.iloc[:, i]
            for i in range(table.shape[1])
        ]
        table = pd.concat(columns, axis=1)
    titles = [_signs_of(title) for title in table.columns]
    return table if titles == list(table.columns) else table.set_axis(titles, axis=1)


def signs_in(value: Any) -> Any:
    """Do as `signs` for every text inside lists, tuples and dicts; return other values as they are."""
    if isinstance(value, dict):
        return {signs_in(name): signs_in(inner) for name, inner in value.items()}
    return type(value)(map(signs_in, value)) if type(value) in (list, tuple) else _signs_of(value)


def as_expression(texts: Sequence[str] | dict[str, str]) -> str:
    """Return texts as a list or object of an expression in a chart, with `signs`.

    It is JSON in ASCII: no text can end it, whatever its letters.
    """
    return json.dumps(signs_in(dict(texts) if isinstance(texts, dict) else list(texts)))


def _is_odd(text: str) -> bool:
    return bool(_ODD.search(text)) or any(folder.search(text) for folder, _ in _folders)


def _signs_of(cell: Any) -> Any:
    return signs(cell) if isinstance(cell, str) else cell


def _escaped(text: str) -> str:
    text = signs(text)
    parts = (_MARKDOWN.sub(r"\\\1", part) for part in _LOOKED_FOR.split(text))
    return BREAK.join(parts).replace("\n", "  \n")


def _picture(match: re.Match) -> str:
    code = ord(match[0])
    return "\u2421" if code == 0x7F else chr(0x2400 + code)
