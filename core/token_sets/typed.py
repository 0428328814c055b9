"""Token sets that a person types or uploads, with one token, word or regular expression on each line."""

import re
from collections.abc import Sequence

import numpy as np

from core.errors import TokenSetError
from core.models.vocabulary import Vocabulary
from core.token_sets.sets import TokenSet
from core.work.patterns import SECONDS, TooSlowError, check_pattern, search_all

GROUP = "Your own"
MAX_NAME, MAX_LINE, MAX_LINES, MAX_BYTES = 60, 200, 10_000, 1_000_000
SYNTAX = (
    "One entry a line. /…/ is a regular expression, searched in each token as it is shown here (a leading space is a "
    r"space). A line that begins with a space or has an escape (\s for a space, \n, \t, \r, \\, \xNN, \uNNNN) is one "
    "exact token. Anything else is a word: the tokens that are this word alone, as written, with or without one "
    "leading space. A word of several tokens adds none of them; it is listed instead."
)
"""The rules for lines, shown as help of a text field."""
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.?))", re.DOTALL)
_PLAIN_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}


def set_from_text(name: str, text: str, strings: Sequence[str], *, raw: Sequence[str] | None = None) -> TokenSet:
    """Make a set of the tokens that the lines of a text name; see SYNTAX. `strings` are decoded tokens by id.

    Words that are no single token are listed in `missing` and `several`; their pieces are never added. Raises
    TokenSetError, which names the line, for a line or name that is too long, an unknown escape, a regular expression
    that does not compile or takes too long, and for a set of no tokens or of all.
    """
    name = _checked_name(name)
    lines = _lines(text)
    vocabulary = Vocabulary(strings, raw)
    patterns = {number: line[1:-1] for number, line in lines.items() if _is_pattern(line)}
    by_line = _search(patterns, vocabulary)
    missing, several = [], []
    for number, line in lines.items():
        if number in patterns:
            if not by_line[number]:
                missing.append(line)
            continue
        exact = line[0] == " " or "\\" in line
        word = _unescaped(line, number) if exact else line
        by_line[number] = vocabulary.exactly(word) if exact else vocabulary.word(word)
        if not by_line[number]:
            (several if vocabulary.can_write(word) else missing).append(line)
    tokens = np.unique(np.array([token for ids in by_line.values() for token in ids], dtype=np.int64))
    _check_size(name, tokens, lines, len(strings))
    return TokenSet(name, GROUP, _rule(list(lines.values())), tokens, tuple(missing), tuple(several))


def set_from_upload(name: str, data: bytes, strings: Sequence[str], *, raw: Sequence[str] | None = None) -> TokenSet:
    """Make a set from an uploaded text file in UTF-8, as `set_from_text` does. Raises TokenSetError."""
    if len(data) > MAX_BYTES:
        raise TokenSetError(
            f"The file for {name[:MAX_NAME]!r} has {len(data):,} bytes, expected at most {MAX_BYTES:,}. "
            "Upload a shorter list, or use regular expressions."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TokenSetError(
            f"The file for {name[:MAX_NAME]!r} is not text in UTF-8: byte 0x{data[error.start]:02x} in line {line}. "
            "Save it as plain text in UTF-8."
        ) from error
    return set_from_text(name, text, strings, raw=raw)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise TokenSetError(
            f"A token set cannot be called {name[:MAX_NAME]!r} ({len(name)} characters): expected 1 to {MAX_NAME} "
            "printable characters. Choose another name."
        )
    return name


def _lines(text: str) -> dict[int, str]:
    """Number the lines from 1, without the empty ones and without spaces at the end."""
    if len(text) > MAX_BYTES:
        raise TokenSetError(
            f"The text has {len(text):,} characters, expected at most {MAX_BYTES:,}. Shorten it, or use regular "
            "expressions."
        )
    lines = {number: line.rstrip() for number, line in enumerate(text.split("\n"), start=1)}
    lines = {number: line for number, line in lines.items() if line}
    if len(lines) > MAX_LINES:
        raise TokenSetError(
            f"The text has {len(lines):,} lines, expected at most {MAX_LINES:,}. Use regular expressions instead."
        )
    for number, line in lines.items():
        if len(line) > MAX_LINE:
            raise TokenSetError(
                f"Line {number} ({line[:30]!r}…) has {len(line):,} characters, expected at most {MAX_LINE}. Shorten it."
            )
    return lines


def _is_pattern(line: str) -> bool:
    return len(line) > 2 and line[0] == line[-1] == "/"


def _search(patterns: dict[int, str], vocabulary: Vocabulary) -> dict[int, list[int]]:
    """Return, for each line, the tokens in which its pattern is found."""
    for number, pattern in patterns.items():
        check_pattern(pattern, place=f"Line {number}: ", family=TokenSetError)
    try:
        matches = search_all(list(patterns.values()), vocabulary.texts)
    except TooSlowError as error:
        number = list(patterns)[min(error.done, len(patterns) - 1)]
        raise TokenSetError(
            f"Line {number}: /{patterns[number]}/ took more than {SECONDS:.0f} s for all lines together, expected "
            "less. Avoid repeats inside repeats such as (a+)+, or use fewer regular expressions."
        ) from error
    return dict(zip(patterns, matches, strict=True))


def _unescaped(line: str, number: int) -> str:
    def character(match: re.Match) -> str:
        code, letter = match[1] or match[2], match[3]
        if code:
            return chr(int(code, 16))
        if letter not in _PLAIN_ESCAPES:
            raise TokenSetError(
                f"Line {number}: {line!r} has {match[0]!r} at character {match.start() + 1}, expected one of "
                r"\s \n \t \r \\ \xNN \uNNNN. Write \\ for a backslash."
            )
        return _PLAIN_ESCAPES[letter]

    return _ESCAPE.sub(character, line)


def _check_size(name: str, tokens: np.ndarray, lines: dict[int, str], n_tokens: int) -> None:
    if not lines:
        raise TokenSetError(f"The token set {name!r} is empty: no line has text. Type one token or /pattern/ a line.")
    if not len(tokens):
        first = next(iter(lines.values()))
        raise TokenSetError(
            f"The token set {name!r} is empty: none of its {len(lines):,} lines names a token of this vocabulary "
            f"(the first is {first[:50]!r}). Expected words that are single tokens; check spelling and case, or use a "
            "regular expression."
        )
    if len(tokens) == n_tokens:
        raise TokenSetError(
            f"The token set {name!r} holds all {n_tokens:,} tokens, so there is nothing to compare it with. Expected "
            "a part of the vocabulary; make its lines narrower."
        )


def _rule(lines: list[str], longest: int = 500) -> str:
    """Join the lines for a table, up to `longest` characters."""
    kept, length = [], 0
    for line in lines:
        length += len(line) + 2
        if length > longest:
            return f"{', '.join(kept)} and {len(lines) - len(kept):,} more lines"
        kept.append(line)
    return ", ".join(kept)
