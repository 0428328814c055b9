"""Rows of tokens as the characters that they make together, and the tokens that hold a piece of each character.

Byte-level tokens may begin or end inside a character, so that only their neighbours show which character it is. Tokens
without text (special ones, and ids that the tokenizer does not know) end one piece of text and begin another.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from core.models.tokens import byte_alphabet, spaces_are_bars
from core.models.vocabulary import STRAY

_TOKENS_AT_ONCE = 2**16
LONGEST = 4
"""Most bytes of a character in UTF-8."""
_LEAST = np.array([0, 0, 0x80, 0x800, 0x10000])
"""The lowest code point that UTF-8 writes with this number of bytes."""


def token_bytes(raw: Sequence[str]) -> tuple[bytes, ...]:
    """Return the bytes that each vocabulary entry adds to a text. `raw` are entries as the tokenizer stores them."""
    if spaces_are_bars(raw):
        return tuple(_from_bars(text) for text in raw)
    alphabet = byte_alphabet()
    return tuple(
        bytes(alphabet[c] for c in text) if all(c in alphabet for c in text) else text.encode("utf-8", "replace")
        for text in raw
    )


def _from_bars(text: str) -> bytes:
    if len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        try:
            return bytes([int(text[3:5], 16)])
        except ValueError:
            pass
    return text.replace("\u2581", " ").encode("utf-8", "replace")


@dataclass(frozen=True, eq=False)
class ProxyText:
    """Rows of token ids and their characters in order. Token t stands in row t // n_pos at position t % n_pos."""

    rows: Int[np.ndarray, "row pos"]
    vocabulary: tuple[bytes, ...]
    """The bytes that each token id adds to the text; none for special tokens."""
    silent: Bool[np.ndarray, " token"]
    """True for tokens without text. They cut the text: no string of tokens crosses them."""
    codes: Int[np.ndarray, " character"]
    """Code points; 0xFFFD for a byte that belongs to no whole character."""
    first: Int[np.ndarray, " character"]
    last: Int[np.ndarray, " character"]
    """The tokens that hold a character's first and last byte."""

    @property
    def tokens(self) -> Int[np.ndarray, " token"]:
        return self.rows.ravel()

    @cached_property
    def opens(self) -> Bool[np.ndarray, " token"]:
        """True for tokens that end the text before them: the first of each row, and silent ones."""
        return _opens(self.silent, self.rows.shape[1])

    def held(self, wanted: Bool[np.ndarray, " character"]) -> Bool[np.ndarray, " token"]:
        """Return True for tokens that hold at least one byte of any of the wanted characters."""
        holds = np.zeros(self.rows.size, bool)
        first, last = self.first[wanted], self.last[wanted]
        for step in range(LONGEST):
            holds[first[first + step <= last] + step] = True
        return holds

    def strings(self) -> tuple[list[str], Int[np.ndarray, " string"]]:
        """Return the pieces of text, none of them empty, and the index of each one's first character."""
        piece = self.opens.cumsum()[self.first]
        starts = np.flatnonzero(np.diff(piece, prepend=-1))
        whole = self.codes.astype("<u4").tobytes().decode("utf-32-le")
        ends = np.append(starts[1:], len(whole))[: len(starts)]
        return [whole[start:end] for start, end in zip(starts, ends, strict=True)], starts


def proxy_text(rows: Int[np.ndarray, "row pos"], raw: Sequence[str], *, special: Collection[int] = ()) -> ProxyText:
    """Read rows of token ids as text. `raw` is the vocabulary as stored; the ids in `special` have no text."""
    special = frozenset(special)
    vocabulary = tuple(b"" if i in special else text for i, text in enumerate(token_bytes(raw)))
    lengths = np.array([len(text) for text in vocabulary])
    starts = lengths.cumsum() - lengths
    data = np.frombuffer(b"".join(vocabulary) + b"\0", np.uint8)
    silent = (lengths == 0)[rows.ravel()]
    pieces = _opens(silent, rows.shape[1]).cumsum()
    parts = []
    step = max(1, _TOKENS_AT_ONCE // max(1, rows.shape[1])) * rows.shape[1]  # whole rows: no character crosses them
    for begin in range(0, rows.size, max(1, step)):
        ids = rows.ravel()[begin : begin + step]
        token = np.repeat(np.arange(len(ids)), lengths[ids])
        offset = np.arange(len(token)) - (lengths[ids].cumsum() - lengths[ids])[token]
        codes, first, last = characters(data[starts[ids][token] + offset], pieces[begin : begin + step][token])
        parts.append((codes, begin + token[first], begin + token[last]))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0, np.int64)] * 3
    return ProxyText(rows, vocabulary, silent, *joined)


def characters(
    data: np.ndarray, piece: Int[np.ndarray, " byte"]
) -> tuple[Int[np.ndarray, " character"], Int[np.ndarray, " character"], Int[np.ndarray, " character"]]:
    """Decode UTF-8; return code points and the indices of each one's first and last byte.

    data: uint8. `piece` is the number of each byte's piece of text; no character crosses pieces. A byte that belongs to
    no whole character becomes a character of its own, U+FFFD.
    """
    n = len(data)
    whole = np.concatenate([data.astype(np.int64), np.zeros(LONGEST, np.int64)])
    of = np.concatenate([piece, np.full(LONGEST, -1, piece.dtype)])
    length = np.select([data < 0x80, data < 0xC2, data < 0xE0, data < 0xF0, data < 0xF5], [1, 0, 2, 3, 4], 0)
    start = np.flatnonzero(length)
    length = length[start]
    code = whole[start] & np.array([0, 0x7F, 0x1F, 0x0F, 0x07])[length]
    valid = np.ones(len(start), bool)
    for step in range(1, LONGEST):
        more, at = length > step, start + step
        valid &= ~more | ((whole[at] & 0xC0 == 0x80) & (of[at] == of[start]))
        code = np.where(more, code << 6 | whole[at] & 0x3F, code)
    valid &= (code >= _LEAST[length]) & (code <= 0x10FFFF) & ((code < 0xD800) | (code > 0xDFFF))
    start, length, code = start[valid], length[valid], code[valid]
    stray = np.ones(n, bool)
    for step in range(LONGEST):
        stray[(start + step)[length > step]] = False
    stray = np.flatnonzero(stray)
    order = np.argsort(np.concatenate([start, stray]), kind="stable")
    codes = np.concatenate([code, np.full(len(stray), ord(STRAY))])[order]
    return codes, np.concatenate([start, stray])[order], np.concatenate([start + length - 1, stray])[order]


def _opens(silent: Bool[np.ndarray, " token"], n_pos: int) -> Bool[np.ndarray, " token"]:
    return (np.arange(len(silent)) % max(1, n_pos) == 0) | silent
