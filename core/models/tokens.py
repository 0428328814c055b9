"""Tokens as a person can read them."""

from collections.abc import Sequence
from functools import cache


@cache
def byte_alphabet() -> dict[str, int]:
    """Map the stand-in characters of byte-level BPE (GPT-2) back to bytes.

    Printable bytes stand for themselves; the other 68 are shifted, in order, to code points from 256.
    """
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in own]
    return {chr(byte): byte for byte in own} | {chr(256 + i): byte for i, byte in enumerate(others)}


def decode_token(raw: str) -> str:
    """Turn a vocabulary entry into text: byte-level stand-ins into bytes, SentencePiece's bar into a space.

    A token that holds only part of a character shows its bytes as escapes (`\\xe2\\x80`).
    """
    alphabet = byte_alphabet()
    if all(character in alphabet for character in raw):
        return bytes(alphabet[character] for character in raw).decode("utf-8", errors="backslashreplace")
    return raw.replace("\u2581", " ")


def spaces_are_bars(raw: Sequence[str]) -> bool:
    """Whether a vocabulary writes a leading space as SentencePiece does (▁), not as byte-level BPE (Ġ)."""
    first = [text[:1] for text in raw]
    return first.count("\u2581") > first.count("\u0120")


def decode_vocabulary(raw: Sequence[str]) -> tuple[str, ...]:
    """Turn all entries of a vocabulary into text.

    The kind is judged from all entries: a single entry of a SentencePiece vocabulary, such as é, may look like bytes.
    """
    if spaces_are_bars(raw):
        return tuple(text.replace("\u2581", " ") for text in raw)
    return tuple(map(decode_token, raw))


def label(text: str) -> str:
    """Quote a token for an axis, a table or a tooltip, so that spaces and line breaks are visible."""
    return repr(text)
