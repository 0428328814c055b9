"""The text of the health badge: some of the standard library, read in about a second by any tokenizer."""

import sys
from typing import TYPE_CHECKING

from core.corpus.streams import TokenStream, documents_stream, standard_library
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STEP = 16
"""One document in so many is read, so that prose and code keep their shares of the whole."""


def badge_key(tokenizer_sha256: str, library_sha256: str, *, separator: int) -> str:
    """Name the stream by the hashes of the tokenizer and of the library, and by the separator."""
    return TokenStream.key(tokenizer_sha256, f"one document in {STEP} of {library_sha256}", separator=separator)


def badge_stream(tokenizer: "Tokenizer", *, separator: int, progress: Progress = SILENT) -> TokenStream:
    """Tokenise one document in 16 of the running interpreter's library (raises CorpusError without one)."""
    title = f"one document in {STEP} of the standard library of Python {'.'.join(map(str, sys.version_info[:3]))}"
    return documents_stream(tokenizer, standard_library(step=STEP), separator=separator, title=title, progress=progress)


def badge_stream_of(model: LanguageModel, *, progress: Progress = SILENT) -> TokenStream:
    """Return the same as a model's tokenizer reads it."""
    return badge_stream(model.tokenizer, separator=model.separator, progress=progress)
