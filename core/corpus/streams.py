"""Token streams: documents one after the other, cut into rows of equal length.

The demo model reads the Python standard library, which every user of the app has on disk, so that no text must be
downloaded or shipped. core.corpus.files reads a person's own text, core.corpus.datasets reads datasets of the hub.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int, Integer

from core.corpus.unread import Unread, lost_characters
from core.errors import CorpusError
from core.models.encoding import encode
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Not read: tests of the library differ between distributions (Debian ships none) and are mostly tables.
_SKIP = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
_BATCH = 64


@dataclass(frozen=True)
class Document:
    """One text and its name."""

    name: str
    text: str


@dataclass(frozen=True)
class TokenStream:
    """A whole corpus as one stream of token ids, documents separated by a token."""

    tokens: Int[np.ndarray, " token"]
    title: str
    """A name of the text for the notes under figures."""
    n_lost: int = 0
    """Characters of the text that do not come back from its tokens (core.corpus.unread)."""
    n_characters: int = 0
    """All characters of the text."""
    version: ClassVar[int] = 3

    @property
    def unread(self) -> Unread:
        """The lost characters. Unknown tokens are counted in the rows that are read."""
        return Unread(n_lost=self.n_lost, n_characters=self.n_characters)

    @classmethod
    def key(cls, tokenizer_sha256: str, text_sha256: str, *, separator: int) -> str:
        """Name the stream. `separator` is an input, as the tokenizer's file does not determine it."""
        inputs = {"tokenizer": tokenizer_sha256, "text": text_sha256, "separator": separator}
        return artifact_key("tokens", cls.version, **inputs)


def python_files(root: Path) -> list[Path]:
    """Return the Python sources below `root` in a fixed order, without tests and caches."""
    paths = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in _SKIP]
        paths += [Path(folder, name) for name in files if name.endswith(".py") and name not in _SKIP]
    return sorted(paths, key=lambda path: path.relative_to(root).as_posix())


def read_documents(root: Path, files: Iterable[Path]) -> Iterator[Document]:
    """Read UTF-8 files; files that cannot be decoded or are empty are left out."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if text.strip():
            yield Document(path.relative_to(root).as_posix(), text)


def documents_sha256(documents: Iterable[Document]) -> str:
    """Return a hash of the names and texts of documents."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            # The lengths make sure that different lists of documents give different bytes.
            data = part.encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def help_topics() -> list[Document]:
    """Return the prose of `pydoc_data.topics`: the language reference in plain text."""
    from pydoc_data.topics import topics

    return [Document(f"pydoc_data/topics.py#{name}", topics[name]) for name in sorted(topics)]


def standard_library(*, step: int = 1) -> list[Document]:
    """Return every `step`-th help topic and every `step`-th source of the running interpreter's standard library.

    Raises CorpusError if the sources are not on disk (a frozen or zipped interpreter).
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in python_files(root) if path.name != "topics.py"]
    if len(files) < 100:
        raise CorpusError(
            f"The standard library at {root} has {len(files)} sources, expected a few hundred. "
            "Run the app with a Python that has the sources of its standard library."
        )
    return help_topics()[::step] + list(read_documents(root, files[::step]))


def token_stream(tokenizer: "Tokenizer", documents: Iterable[Document], *, separator: int) -> np.ndarray:
    """Tokenise documents into one stream (int32), each preceded by the separator token (raises CorpusError)."""
    return documents_stream(tokenizer, list(documents), separator=separator, title="").tokens


def rows_that_fit(n_tokens: int, context: int, *, bos: bool) -> int:
    """Return the number of rows of `context` tokens that a stream gives; with `bos`, each takes one token less."""
    return n_tokens // max(1, context - bos)


def sample_rows(
    stream: Integer[np.ndarray, " token"], *, n_rows: int, context: int, seed: int, bos: int | None = None
) -> Integer[np.ndarray, "n_rows context"]:
    """Cut `n_rows` rows of `context` tokens from a stream at random places.

    Rows do not overlap (each starts at a multiple of its length). They come in the order in which they are drawn, so
    that a smaller sample is the beginning of a larger one. With `bos`, every row is this token and then context - 1
    tokens of text. Raises CorpusError if the stream is too short.
    """
    if bos is not None:
        if context < 2:
            raise CorpusError(f"Rows of {context} tokens have no room for BOS and text; expected at least 2.")
        text = sample_rows(stream, n_rows=n_rows, context=context - 1, seed=seed)
        return np.concatenate([np.full((n_rows, 1), bos, text.dtype), text], axis=1)
    slots = rows_that_fit(len(stream), context, bos=False)
    if slots < n_rows:
        what = f"Ask for at most {slots:,} rows" if slots else f"Choose rows of at most {len(stream):,}"
        raise CorpusError(
            f"The text holds {len(stream):,} tokens, too few for {n_rows:,} rows of {context}. "
            + (f"{what}, or a longer text." if len(stream) else "It is empty; choose another.")
        )
    starts = np.random.default_rng(seed).permutation(slots)[:n_rows] * context
    return stream[starts[:, None] + np.arange(context)]


def rows_sha256(rows: Int[np.ndarray, "row pos"]) -> str:
    """Return a hash of rows of tokens."""
    plain = np.ascontiguousarray(rows, dtype=np.int64)
    return hashlib.sha256(f"{plain.shape}".encode() + plain.tobytes()).hexdigest()


def standard_library_sha256() -> str:
    """Return a hash of the standard library's version, file names and sizes, without reading the files."""
    root = Path(sysconfig.get_paths()["stdlib"])
    listed = [f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in python_files(root)]
    return hashlib.sha256("\n".join([sys.version, *listed]).encode()).hexdigest()


def documents_stream(
    tokenizer: "Tokenizer",
    documents: Sequence[Document],
    *,
    separator: int,
    title: str,
    progress: Progress = SILENT,
) -> TokenStream:
    """Tokenise documents into one stream, each after the separator. `progress` counts documents.

    Raises CorpusError for text that the tokenizer refuses.
    """
    pieces, n_lost = [np.zeros(0, np.int32)], 0
    for start in range(0, len(documents), _BATCH):
        texts = [document.text for document in documents[start : start + _BATCH]]
        ids = [encoding.ids for encoding in encode(tokenizer, texts)]
        pieces += [np.asarray([separator, *one], np.int32) for one in ids]
        n_lost += lost_characters(tokenizer, texts, ids)
        progress.update(min(start + _BATCH, len(documents)), len(documents))
    n_characters = sum(len(document.text) for document in documents)
    return TokenStream(np.concatenate(pieces), title, n_lost, n_characters)


def standard_library_stream(tokenizer: "Tokenizer", *, separator: int, progress: Progress = SILENT) -> TokenStream:
    """Tokenise the standard library: help topics, then sources in order of their names."""
    title = f"standard library of Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    return documents_stream(tokenizer, standard_library(), separator=separator, title=title, progress=progress)
