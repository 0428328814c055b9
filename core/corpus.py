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


def text_documents(path: Path) -> list[Document]:
    """Return a text file, or all text files below a folder in a fixed order, without hidden ones.

    Text is whatever decodes as UTF-8; other files of a folder are left out, and so are links that lead
    out of it. Raises CorpusError where no text is found.
    """
    if path.is_file():
        root, files = path.parent, [path]
    else:
        root, real = path, path.resolve()
        found = (file for file in path.rglob("*") if file.is_file() and file.resolve().is_relative_to(real))
        named = {file.relative_to(root).as_posix(): file for file in found}
        files = [named[name] for name in sorted(named) if not any(part[0] == "." for part in name.split("/"))]
    documents = list(read_documents(root, files))
    if not documents:
        what = f"{len(files)} files, none of them UTF-8 text" if path.exists() else "nothing"
        raise CorpusError(
            f"There is {what} at {path}. Expected a file or folder of plain text in UTF-8; check the path, or convert "
            "the files."
        )
    return documents


def documents_sha256(documents: Iterable[Document]) -> str:
    """Name documents by their names and texts."""
    digest = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            # Lengths, so that no two lists of documents run together to the same bytes.
            data = part.encode("utf-8", "surrogatepass")
            digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def read_tokens(path: Path) -> Int[np.ndarray, "..."]:
    """Read token ids from a .npy file, or a .safetensors file of one tensor: a stream (1-D) or rows (2-D).

    Ids are not compared with any vocabulary: the model does that. Raises CorpusError.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else {"tokens": np.load(path, allow_pickle=False)}
    except (SafetensorError, OSError, ValueError, EOFError, TypeError, KeyError) as error:
        raise CorpusError(
            f"{path} cannot be read as tokens ({str(error)[:200]}). Expected a .npy file of whole numbers, or a "
            ".safetensors file with one tensor of them; save the ids again."
        ) from error
    arrays = list(found.values()) if isinstance(found, dict) else []
    tokens = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], np.ndarray) else None
    if tokens is None or tokens.dtype.kind not in "iu" or tokens.ndim not in (1, 2) or tokens.size == 0:
        held = f"{len(arrays)} tensors" if tokens is None else f"{tokens.dtype} of shape {tokens.shape}"
        raise CorpusError(
            f"{path} holds {held}. Expected token ids as whole numbers, one row of them or a table with one row for "
            "each text; save the ids alone."
        )
    return tokens.astype(np.int64)


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


def sample_rows(stream: np.ndarray, *, n_rows: int, context: int, seed: int, bos: int | None = None) -> np.ndarray:
    """Cut `n_rows` rows of `context` tokens from a stream at random places, `(n_rows, context)`.

    Rows do not overlap (each starts at a multiple of its length) and come in the order drawn, so the
    first rows of a longer sample are the rows of a shorter one. With `bos` that token stands first in
    every row, before context - 1 tokens of text. Raises CorpusError when too short.
    """
    if bos is not None:
        if context < 2:
            raise CorpusError(f"Rows of {context} tokens have no room for BOS and text; expected at least 2.")
        text = sample_rows(stream, n_rows=n_rows, context=context - 1, seed=seed)
        return np.concatenate([np.full((n_rows, 1), bos, text.dtype), text], axis=1)
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
