"""Text that a person typed or uploaded: its documents, their tokens, and the line or sentence of each token."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from core.corpus.unread import Unread, lost_characters, unknown_tokens
from core.errors import BadSettingError, CorpusError
from core.models.encoding import encode
from core.models.language_model import LanguageModel

MAX_TOKENS = 100_000
MAX_BYTES = 5_000_000
"""Largest size of an uploaded file."""
MAX_CHARACTERS = 2_000_000
"""Most characters of all documents together. More would exceed MAX_TOKENS; this saves tokenising them."""
_ENDS = {
    "document": re.compile(r"(?!)"),
    "line": re.compile(r"\n"),
    # Marks before white space, Chinese or Japanese marks anywhere, or a blank line. Each run of marks is tried once, as
    # a whole, so that the time grows with the length of the text and not with its square.
    "sentence": re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s)|[。！？]++|\n(?=[^\S\n]*+\n)"),
}
UNITS = tuple(_ENDS)


@dataclass(frozen=True, eq=False)
class OwnText:
    """Documents and their tokens, one document after the other."""

    documents: tuple[str, ...]
    ids: Int[np.ndarray, " token"]
    document: Int[np.ndarray, " token"]
    """The number of the token's document."""
    start: Int[np.ndarray, " token"]
    """The index of the token's first character in its document."""
    unread: Unread
    """What of it the tokenizer does not read."""

    @property
    def sha256(self) -> str:
        """Hash of the ids and documents of the tokens."""
        return hashlib.sha256(np.stack([self.ids, self.document]).astype("<i8").tobytes()).hexdigest()


def split_documents(text: str, separator: str) -> tuple[str, ...]:
    """Split a text at lines that hold only `separator` (nowhere if that is empty); blank documents are dropped."""
    lines, parts, wanted = text.splitlines(keepends=True), [[]], separator.strip()
    for line in lines:
        if wanted and line.strip() == wanted:
            parts.append([])
        else:
            parts[-1].append(line)
    return tuple(part for part in map("".join, parts) if part.strip())


def read_upload(name: str, data: bytes) -> str:
    """Decode an uploaded file. Raises CorpusError for one that is too large or not text in UTF-8."""
    if len(data) > MAX_BYTES:
        raise CorpusError(
            f"{name[:100]!r} has {len(data):,} bytes, expected at most {MAX_BYTES:,}. Upload a part of it, or choose "
            "it as the text of the token pass."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{name[:100]!r} is not text in UTF-8: byte {error.start:,} is 0x{data[error.start]:02x}. Save it as UTF-8."
        ) from error
    return text.replace("\r\n", "\n")


def tokenise(model: LanguageModel, documents: Sequence[str]) -> OwnText:
    """Tokenise documents, without BOS. The names of special tokens in a text become these tokens.

    Raises CorpusError for text that is empty, blank, no Unicode, unknown to the tokenizer, or over MAX_TOKENS.
    """
    _check(documents)
    encodings = encode(model.tokenizer, documents)
    counts = [len(one.ids) for one in encodings]
    n_tokens = sum(counts)
    if n_tokens == 0:
        raise CorpusError(
            f"The tokenizer of {model.name} gives no token for these {sum(map(len, documents)):,} characters, because "
            "its vocabulary does not have them. Expected at least one token. Type other text."
        )
    if n_tokens > MAX_TOKENS:
        raise CorpusError(
            f"The text has {n_tokens:,} tokens, expected at most {MAX_TOKENS:,}. Shorten it, or choose it as the text "
            "of the token pass, which has no such limit."
        )
    ids = np.array([i for one in encodings for i in one.ids], np.int64)
    lost = lost_characters(model.tokenizer, documents, [one.ids for one in encodings])
    return OwnText(
        tuple(documents),
        ids,
        np.repeat(np.arange(len(encodings)), counts),
        np.array([start for one in encodings for start, _ in one.offsets], np.int64),
        Unread(unknown_tokens(ids, model), n_tokens, lost, sum(map(len, documents))),
    )


def _check(documents: Sequence[str]) -> None:
    n_characters = sum(map(len, documents))
    if n_characters > MAX_CHARACTERS:
        raise CorpusError(
            f"The text has {n_characters:,} characters, expected at most {MAX_CHARACTERS:,}. Shorten it, or choose it "
            "as the text of the token pass."
        )
    if not any(text.strip() for text in documents):
        held = f"{n_characters:,} characters of white space" if n_characters else "empty"
        raise CorpusError(f"The text is {held}, expected at least one letter. Type or upload some text.")
    for text in documents:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"Character {error.start + 1:,} of the text is half of a surrogate pair (U+{ord(text[error.start]):04X}"
                "), expected Unicode text. Remove it."
            ) from error


def units(text: OwnText, kind: str) -> Int[np.ndarray, " token"]:
    """Number the lines, sentences or documents (`kind`, of UNITS) of a text; return the one that each token begins in.

    Blank lines belong to the unit before them. A sentence ends at . ! ? or … before white space, at their Chinese and
    Japanese forms, and at a blank line; so "e.g. this" counts as two sentences.
    """
    unit, first = np.empty(len(text.ids), np.int64), 0
    for document, tokens in zip(text.documents, _tokens_of_documents(text), strict=True):
        starts = _starts(document, kind)
        unit[tokens] = first + np.maximum(np.searchsorted(starts, text.start[tokens], side="right") - 1, 0)
        first += len(starts)
    # Number anew, as a unit may have no token: a token that begins in the line before may span it.
    return np.unique(unit, return_inverse=True)[1]


def _tokens_of_documents(text: OwnText) -> Iterator[slice]:
    """Yield the tokens of each document, of which there may be as many as there are tokens."""
    ends = np.cumsum(np.bincount(text.document, minlength=len(text.documents))).tolist()
    return (slice(start, stop) for start, stop in pairwise([0, *ends]))


def _starts(document: str, kind: str) -> list[int]:
    ends = [0, *(match.end() for match in _ENDS[kind].finditer(document)), len(document)]
    starts = [start for start, stop in pairwise(ends) if document[start:stop].strip()]
    return starts or [0]


def cut_rows(text: OwnText, length: int, *, bos: bool) -> Iterator[slice]:
    """Yield the tokens of each row. Every document begins a new row; longer ones are cut every `length` tokens.

    With `bos`, a row has room for one token less. Raises BadSettingError if a row has no room for text.
    """
    room = length - bos
    if room < 1:
        raise BadSettingError(
            f"Rows of {length} tokens{' with BOS' if bos else ''} hold no text. Expected at least {1 + bos}."
        )
    for tokens in _tokens_of_documents(text):
        for first in range(tokens.start, tokens.stop, room):
            yield slice(first, min(first + room, tokens.stop))
