"""The text of the health badge: some of the standard library, read in about a second by any tokenizer."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.streams import Document, TokenStream, standard_library, token_stream
from core.work.jobs import SILENT, Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STEP = 16
"""One document in so many is read, so that prose and code keep their shares of the whole."""
_BATCH = 16


def badge_key(tokenizer_sha256: str, library_sha256: str, *, separator: int) -> str:
    """Name the stream by the hashes of the tokenizer and of the library, and by the separator."""
    return TokenStream.key(tokenizer_sha256, f"one document in {STEP} of {library_sha256}", separator=separator)


def badge_stream(tokenizer: "Tokenizer", *, separator: int, progress: Progress = SILENT) -> TokenStream:
    """Tokenise one document in 16 of the running interpreter's library (raises CorpusError without one)."""
    documents: Sequence[Document] = standard_library(step=STEP)
    pieces = []
    for start in range(0, len(documents), _BATCH):
        pieces.append(token_stream(tokenizer, documents[start : start + _BATCH], separator=separator))
        progress.update(min(start + _BATCH, len(documents)), len(documents))
    version = ".".join(map(str, sys.version_info[:3]))
    return TokenStream(np.concatenate(pieces), f"one document in {STEP} of the standard library of Python {version}")
