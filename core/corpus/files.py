"""Text and token ids from a person's own files.

Files are not trusted: files that are not UTF-8 text are counted and left out, links may not lead out of the folder, and
pickles are never opened.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from core.amounts import of_bytes
from core.corpus.streams import Document, TokenStream, documents_sha256, documents_stream
from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

MAX_FILES, MAX_BYTES = 20_000, 256 * 2**20
"""Limits of files and their bytes. All text is in memory while it is read; tokenise larger text beforehand."""
TOKEN_SUFFIXES = (".npy", ".safetensors")
"""Files that hold token ids."""


@dataclass(frozen=True)
class TextFiles:
    """A text file, or all files below a folder in a fixed order, without hidden ones. Their content is not read yet."""

    path: Path
    names: tuple[str, ...]
    """Relative to the folder, in order."""
    nbytes: int
    stamp: str
    """A hash that changes if the name, size or modification time of any file does."""

    @classmethod
    def find(cls, path: Path) -> "TextFiles":
        """List the files at a path. Raises CorpusError for more files or bytes than the limits."""
        root = path.parent if path.is_file() else path
        paths = [path] if path.is_file() else list(_files_below(path))
        named = sorted((file.relative_to(root).as_posix(), file.stat()) for file in paths)
        nbytes = sum(status.st_size for _, status in named)
        if len(named) > MAX_FILES or nbytes > MAX_BYTES:
            raise CorpusError(
                f"{path.name} holds {len(named):,} files with {of_bytes(nbytes)}. Expected at most {MAX_FILES:,} "
                f"files and {of_bytes(MAX_BYTES)} of text: choose a folder inside it, or a .npy file of token ids."
            )
        stamp = "\n".join(f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in named)
        names = tuple(name for name, _ in named)
        return cls(path, names, nbytes, hashlib.sha256(f"{path}\n{stamp}".encode("utf-8", "replace")).hexdigest())

    def read(self, progress: Progress = SILENT) -> list[Document]:
        """Read the files that are UTF-8 and hold more than white space. Raises CorpusError if none are."""
        root = self.path.parent if self.path.is_file() else self.path
        documents, undecodable = [], 0
        for i, name in enumerate(self.names):
            progress.update(i, len(self.names))
            text = _read(root / name, named=self.path.is_file())
            undecodable += text is None
            if text is not None and text.strip():
                documents.append(Document(name, text))
        if not documents:
            raise CorpusError(f"{self._held(undecodable)} Expected plain text in UTF-8; check the path, or convert it.")
        return documents

    def title(self, n_documents: int) -> str:
        """A name of the text for the notes under figures, without the path of its folder."""
        if len(self.names) == 1 and self.path.is_file():
            return self.path.name
        left_out = len(self.names) - n_documents
        files = f"{n_documents:,} {'file' if n_documents == 1 else 'files'}"
        return f"{self.path.name} ({files}{f', {left_out:,} left out: empty or not UTF-8' if left_out else ''})"

    def _held(self, undecodable: int) -> str:
        n, name = len(self.names), self.path.name
        if not n:
            return f"There is nothing at {name}."
        if undecodable == n:
            return f"{name} cannot be decoded." if n == 1 else f"None of {n:,} files at {name} can be decoded."
        if undecodable:
            return f"Of {n:,} files at {name} {undecodable:,} cannot be decoded, the others are empty."
        return f"{name} is empty." if n == 1 else f"All {n:,} files at {name} are empty."


@dataclass(frozen=True)
class FileTexts:
    """Title and hash of text files, without the texts."""

    title: str
    sha256: str
    """Content hash of names and texts."""


def summarise(files: TextFiles, progress: Progress = SILENT) -> FileTexts:
    """Read files once, for their title and hash. Raises CorpusError."""
    documents = files.read(progress)
    return FileTexts(files.title(len(documents)), documents_sha256(documents))


def files_stream(
    files: TextFiles, model: LanguageModel, expected: FileTexts, progress: Progress = SILENT
) -> TokenStream:
    """Tokenise files. Raises CorpusError if they have changed since `expected` was made."""
    documents = files.read()
    if documents_sha256(documents) != expected.sha256:
        raise CorpusError(f"{files.path.name} changed while it was read. Expected it to stay as it was; read it again.")
    return documents_stream(
        model.tokenizer, documents, separator=model.separator, title=expected.title, progress=progress
    )


def read_tokens(path: Path) -> Integer[np.ndarray, "..."]:
    """Open token ids from a .npy file, or a .safetensors file of one tensor: a stream (1-D) or rows (2-D).

    A .npy file stays on disk until rows are taken from it. The caller must compare the ids with a vocabulary. Raises
    CorpusError.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            tensors = {"tokens": np.load(path, mmap_mode="r", allow_pickle=False)}
    except (SafetensorError, OSError, ValueError, EOFError, TypeError, KeyError) as error:
        reason = str(error).replace(str(path), path.name)[:200]
        raise CorpusError(
            f"{path.name} cannot be read as tokens ({reason}). Expected a .npy file of whole numbers, or a "
            ".safetensors file with one tensor of them; save the ids again."
        ) from error
    arrays = list(tensors.values())
    tokens = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], np.ndarray) else None
    if tokens is None or tokens.dtype.kind not in "iu" or tokens.ndim not in (1, 2) or tokens.size == 0:
        held = f"{len(arrays)} tensors" if tokens is None else f"{tokens.dtype} of shape {tokens.shape}"
        raise CorpusError(
            f"{path.name} holds {held}. Expected token ids as whole numbers, one row of them or a table with one row "
            "for each text; save the ids alone."
        )
    return tokens


def _files_below(folder: Path) -> Iterator[Path]:
    real = folder.resolve()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "."]
        for path in (Path(place, name) for name in names if name[0] != "."):
            if path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(real)):
                yield path


def _read(path: Path, *, named: bool) -> str | None:
    """Return a file's text with its own line ends; None if it is not UTF-8.

    `named` means that a person named this file. Any other file counts as binary if more than one byte in 100 is zero.
    """
    try:
        data = path.read_bytes()
        if not named and data.count(b"\0") > len(data) // 100:
            return None
        return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
    except (UnicodeDecodeError, OSError):
        return None
