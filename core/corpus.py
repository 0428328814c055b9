"""Token streams: text that is on the machine anyway, cut into rows of equal length.

The demo model reads the Python standard library, which every user of the app has on disk; nothing
is downloaded and nothing is shipped. Documents carry a name, so that a row can say where it is from.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Int

from core.artifacts import artifact_key
from core.errors import CorpusError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Tests of the library differ between distributions (Debian ships none) and are mostly tables.
_SKIP = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Document:
    """One text and where it came from."""

    name: str
    text: str


@dataclass(frozen=True)
class TokenStream:
    """A whole corpus as one stream of token ids, documents parted by a separator token."""

    tokens: Int[np.ndarray, " token"]
    title: str
    """What the text is, for the notes under figures."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, tokenizer_sha256: str, text_sha256: str) -> str:
        return artifact_key("tokens", cls.version, tokenizer=tokenizer_sha256, text=text_sha256)


def python_files(root: Path) -> list[Path]:
    """Return the Python sources below `root` in a fixed order, without tests and caches."""
    found = (path for path in root.rglob("*.py") if not _SKIP & set(path.relative_to(root).parts))
    return sorted(found, key=lambda path: path.relative_to(root).as_posix())


def read_documents(root: Path, files: Iterable[Path]) -> Iterator[Document]:
    """Read UTF-8 files; what cannot be decoded or is empty is left out."""
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):
            continue
        if text.strip():
            yield Document(path.relative_to(root).as_posix(), text)


def help_topics() -> list[Document]:
    """Return the prose of `pydoc_data.topics`: the language reference in plain text."""
    from pydoc_data.topics import topics

    return [Document(f"pydoc_data/topics.py#{name}", topics[name]) for name in sorted(topics)]


def standard_library() -> list[Document]:
    """Return the running interpreter's standard library: its help topics and its sources.

    Raises CorpusError where the sources are not on disk (a frozen or zipped interpreter).
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in python_files(root) if path.name != "topics.py"]
    documents = help_topics() + list(read_documents(root, files))
    if len(documents) < 100:
        raise CorpusError(
            f"The standard library at {root} has {len(documents)} readable sources, expected some hundred. "
            "Run the app with an interpreter that has its sources installed."
        )
    return documents


def token_stream(tokenizer: "Tokenizer", documents: Iterable[Document], *, separator: int) -> np.ndarray:
    """Tokenise documents into one stream (int32), each preceded by the separator token."""
    pieces: list[np.ndarray] = []
    batch: list[str] = []

    def flush() -> None:
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            pieces.append(np.asarray([separator, *encoding.ids], dtype=np.int32))
        batch.clear()

    for document in documents:
        batch.append(document.text)
        if len(batch) == 64:
            flush()
    flush()
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int32)


def sample_rows(stream: np.ndarray, *, n_rows: int, context: int, seed: int) -> np.ndarray:
    """Cut `n_rows` rows of `context` tokens from a stream at random places, `(n_rows, context)`.

    Rows do not overlap (each starts at a multiple of `context`) and come in the order drawn, so the
    first rows of a longer sample are the rows of a shorter one. Raises CorpusError when too short.
    """
    slots = len(stream) // context
    if slots < n_rows:
        raise CorpusError(
            f"The text holds {len(stream):,} tokens, too few for {n_rows:,} rows of {context}. "
            f"Ask for at most {slots:,} rows."
        )
    starts = np.random.default_rng(seed).permutation(slots)[:n_rows] * context
    return stream[starts[:, None] + np.arange(context)]


def rows_sha256(rows: Int[np.ndarray, "row pos"]) -> str:
    """Name rows of tokens by their content."""
    plain = np.ascontiguousarray(rows, dtype=np.int64)
    return hashlib.sha256(f"{plain.shape}".encode() + plain.tobytes()).hexdigest()


def standard_library_sha256() -> str:
    """Name the running interpreter's library by version, file names and sizes, without reading it."""
    root = Path(sysconfig.get_paths()["stdlib"])
    listed = [f"{path.relative_to(root).as_posix()} {path.stat().st_size}" for path in python_files(root)]
    return hashlib.sha256("\n".join([sys.version, *listed]).encode()).hexdigest()


def standard_library_stream(tokenizer: "Tokenizer", *, separator: int, progress=None) -> TokenStream:
    """Tokenise the standard library: help topics, then sources in order of their names."""
    documents = standard_library()
    pieces = []
    for start in range(0, len(documents), 64):
        pieces.append(token_stream(tokenizer, documents[start : start + 64], separator=separator))
        if progress is not None:
            progress.update(min(start + 64, len(documents)), len(documents))
    title = f"standard library of Python {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    return TokenStream(np.concatenate(pieces), title)
