"""The text that analyses read: the standard library of Python, a file or folder, strings, or rows of token ids."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from core.corpus.chosen import wanted_files, wanted_library
from core.corpus.files import TOKEN_SUFFIXES, TextFiles, read_tokens, summarise
from core.corpus.samples import SampleSettings, TextSample, fitting, sample_of
from core.corpus.streams import (
    Document,
    TokenStream,
    documents_sha256,
    documents_stream,
    standard_library_sha256,
)
from core.errors import BadSettingError, NoSuchPathError
from core.work.progress import SILENT
from sae_loupe.opened import Opened

Text = str | PathLike | Sequence[str] | np.ndarray | None
"""None: the standard library. A string or path: a file or folder. A list of strings: documents. An array: token ids."""


def sample(sae: Opened, text: Any, settings: SampleSettings) -> TextSample:
    """Return rows of a text for a dictionary, as many and as long as it gives.

    Raises NoSuchPathError for a path that is not there, BadSettingError for what is no text, and CorpusError for text
    that is too short.
    """
    tokens, title, unread = _tokens(sae, text)
    config = sae.dictionary.config
    settled = fitting(tokens, config, sae.model, settings)
    found = sample_of(tokens, title, config, sae.model, settled, *unread)
    return replace(found, settings=settings)


def _tokens(sae: Opened, text: Any) -> tuple[np.ndarray, str, tuple]:
    """Return a stream of ids (1-D) or rows of them (2-D), a title, and what was not read."""
    if text is None:
        return _of_stream(library(sae))
    if isinstance(text, str | PathLike):
        return _of_path(sae, text)
    if isinstance(text, Sequence) and all(isinstance(part, str) for part in text):
        return _of_stream(_documents(sae, text))
    ids = _whole_numbers(text)
    if ids is None or ids.ndim not in (1, 2):
        raise BadSettingError(
            f"The text is {type(text).__name__}, which holds no rows of token ids and no documents. Expected None for "
            "the standard library, a path, a list of strings, or an array of token ids, (row, pos). Pass one of these."
        )
    return ids, "your token ids", ()


def ids_of(rows: Any) -> np.ndarray:
    """Return rows of token ids as int64; one row alone becomes the only one. Raises BadSettingError."""
    ids = _whole_numbers(rows)
    if ids is None or ids.ndim not in (1, 2):
        raise BadSettingError(
            f"The rows are {type(rows).__name__}, which holds no token ids. Expected whole numbers of shape (row, pos)."
        )
    return np.atleast_2d(ids).astype(np.int64)


def _whole_numbers(given: Any) -> np.ndarray | None:
    array = np.asarray(given.cpu() if hasattr(given, "cpu") else given)
    return array if array.dtype.kind in "iu" and array.size else None


def _of_stream(stream: TokenStream) -> tuple[np.ndarray, str, tuple]:
    return stream.tokens, stream.title, (stream.unread,)


def library(sae: Opened) -> TokenStream:
    """Return Python's standard library, as the model's tokenizer reads it."""
    return sae.wanted(wanted_library(sae.model, standard_library_sha256()))


def _of_path(sae: Opened, text: str | PathLike) -> tuple[np.ndarray, str, tuple]:
    path = Path(text).expanduser()
    if not path.exists():
        raise NoSuchPathError(
            f"There is no text at {str(text)[:200]!r}. Expected the path of a file or folder. To pass a text itself, "
            "put it into a list, as in text=['...']."
        )
    if path.is_file() and path.suffix in TOKEN_SUFFIXES:
        return read_tokens(path), path.name, ()
    files = TextFiles.find(path)
    about = summarise(files, SILENT)
    stream = sae.wanted(wanted_files(files, about, sae.model))
    return stream.tokens, about.title, (stream.unread,)


def _documents(sae: Opened, texts: Sequence[str]) -> TokenStream:
    documents = [Document(str(i), text) for i, text in enumerate(texts) if text]
    title = f"{len(documents):,} text{'s' * (len(documents) != 1)} of yours"
    key = TokenStream.key(sae.model.tokenizer_sha256, documents_sha256(documents), separator=sae.model.separator)
    how = {"separator": sae.model.separator, "title": title}
    return sae.held(key, lambda: documents_stream(sae.model.tokenizer, documents, **how))
