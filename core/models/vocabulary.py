"""A vocabulary as text, in which rules can search and words can be looked up."""

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from core.models.tokens import byte_alphabet, spaces_are_bars

STRAY = "\ufffd"
"""Stands for bytes that do not form a whole character. It is no letter, no digit and no white space."""
_ESCAPES = re.compile(r"(?:\\x[89a-f][0-9a-f])+")
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


class Vocabulary:
    """Tokens by id, from decoded strings, or from the raw strings where they are known.

    Decoded strings show stray bytes as escapes (`\\xe2\\x80`); here these become STRAY. A SentencePiece vocabulary
    names single bytes (`<0x0A>`); here these become the character, or STRAY. Raw strings are the better source: in
    decoded strings, an escape that stands in the text of a program looks like a byte.
    """

    def __init__(self, strings: Sequence[str], raw: Sequence[str] | None = None):
        self._strings = strings
        if raw is None:
            self.texts = tuple(_ESCAPES.sub(STRAY, _one_byte(text)) for text in strings)
        elif spaces_are_bars(raw):
            self.texts = tuple(_one_byte(text).replace("\u2581", " ") for text in raw)
        else:
            self.texts = tuple(_from_bytes(text) for text in raw)

    def word(self, word: str, *, any_case: bool = False) -> list[int]:
        """Return the tokens that are this word alone, with or without one leading space."""
        index = self._by_lower if any_case else self._by_text
        word = word.lower() if any_case else word
        return index.get(word, []) + index.get(" " + word, [])

    def exactly(self, text: str) -> list[int]:
        """Return the tokens with this text: usually one, more where a byte token repeats a character."""
        return self._by_text.get(text, [])

    def can_write(self, word: str) -> bool:
        """Whether tokens, joined, can give the word, with or without a leading space."""
        return any(self._is_chain(text.encode("utf-8", "replace")) for text in (word, " " + word))

    def _is_chain(self, text: bytes) -> bool:
        reached = [True] + [False] * len(text)
        for end in range(1, len(text) + 1):
            reached[end] = any(reached[start] and text[start:end] in self._bytes for start in range(end))
        return reached[-1]

    @cached_property
    def _by_text(self) -> dict[str, list[int]]:
        return _positions(self.texts)

    @cached_property
    def _by_lower(self) -> dict[str, list[int]]:
        return _positions(text.lower() for text in self.texts)

    @cached_property
    def _bytes(self) -> set[bytes]:
        whole = {text.encode("utf-8", "replace") for text in self.texts if STRAY not in text}
        return whole | {_bytes_of(self._strings[i]) for i, text in enumerate(self.texts) if STRAY in text}


def _from_bytes(raw: str) -> str:
    alphabet = byte_alphabet()
    if all(character in alphabet for character in raw):
        return bytes(alphabet[character] for character in raw).decode("utf-8", errors="replace")
    return raw


def _bytes_of(text: str) -> bytes:
    """Return the bytes of a decoded token that is not text: named one by one (SentencePiece), or as escapes."""
    named = _BYTE_TOKEN.fullmatch(text)
    if named:
        return bytes([int(named[1], 16)])
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))


def _one_byte(text: str) -> str:
    match = _BYTE_TOKEN.fullmatch(text)
    if not match:
        return text
    byte = int(match[1], 16)
    return chr(byte) if byte < 128 else STRAY


def _positions(texts) -> dict[str, list[int]]:
    positions = defaultdict(list)
    for i, text in enumerate(texts):
        positions[text].append(i)
    return dict(positions)
