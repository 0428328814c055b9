"""The chosen text as token ids: from memory, from the store, or from a job that reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.corpus.chosen import wanted_dataset, wanted_files, wanted_library
from core.corpus.datasets import DatasetName, DatasetTexts
from core.corpus.files import TOKEN_SUFFIXES, TextFiles, read_tokens, summarise
from core.corpus.samples import (
    DATASET,
    FILES,
    LIBRARY,
    SampleSettings,
    TextSample,
    context_of,
    fitting,
    reading_of,
    sample_of,
    with_bos,
)
from core.corpus.streams import TokenStream, standard_library_sha256
from core.corpus.unread import READ_WHOLE, Unread
from core.dictionaries.dictionary import Dictionary
from core.errors import NotDownloadedError
from core.models.language_model import LanguageModel
from core.overview.sample_text import badge_key, badge_stream_of
from core.work.calls import call
from core.work.wanted import Wanted
from ui.shared.errors import StillRunning
from ui.studies import compute

MEGABYTES = (1, 4, 16, 64, 256)
"""The amounts of a dataset's text that a person can choose."""
SOURCES = {"Standard library": LIBRARY, "File or folder": FILES, "Dataset": DATASET}
BOS = {"As trained": None, "With": True, "Without": False}
SIZES = {f"{megabytes} MB": megabytes for megabytes in MEGABYTES}
NAMES = {FILES: "text_path", DATASET: "text_dataset"}
"""The session keys of the name of a text; in the URL it is text_name."""
MAX_ROWS, MAX_SEED = 100_000, 10**6
DEFAULT = SampleSettings()


@dataclass(frozen=True, eq=False)
class TextTokens:
    """A stream of ids, or a table of rows (2-D), and its title."""

    tokens: np.ndarray
    title: str
    name: str
    """A stamp that changes when the ids change."""
    unread: Unread = READ_WHOLE
    """The lost characters of a text."""


def find(settings: SampleSettings, model: LanguageModel) -> TextTokens:
    """Return the text that settings name, as token ids of a model (raises LoupeError, as compute.result does)."""
    if settings.source == FILES:
        return _files(settings.name, model)
    if settings.source == DATASET:
        return _dataset(settings, model)
    stream = library_stream(model)
    return TextTokens(stream.tokens, stream.title, f"library {model.tokenizer_sha256} {stream.title}", stream.unread)


def _files(typed: str, model: LanguageModel) -> TextTokens:
    path = compute.workspace().allowed_path(typed)
    if path.is_file() and path.suffix in TOKEN_SUFFIXES:
        return _token_file(path)
    files = TextFiles.find(path)
    about = compute.transient(
        f"dataset_texts {files.stamp}", f"Reading {path.name}", lambda progress: summarise(files, progress)
    )

    return _stream(wanted_files(files, about, model), about.title)


def _token_file(path: Path) -> TextTokens:
    status = path.stat()
    name = f"tokens {path} {status.st_size} {status.st_mtime_ns}"
    if path.suffix == ".npy":  # the file stays on disk, and opening it costs nothing
        return TextTokens(read_tokens(path), path.name, name)
    tokens = compute.loaded().get(name, lambda: read_tokens(path), nbytes=status.st_size, name=path.name)
    return TextTokens(tokens, path.name, name)


def _dataset(settings: SampleSettings, model: LanguageModel) -> TextTokens:
    name = DatasetName.parse(settings.name)
    compute.workspace().policy.check_repository(name.repository)
    texts = dataset_texts(name, settings.megabytes)

    return _stream(wanted_dataset(texts, model), texts.title)


def _stream(named: Wanted[TokenStream], title: str) -> TextTokens:
    stream = compute.wanted(named)
    # The stored title may differ, because the same text may lie in two places.
    return TextTokens(stream.tokens, title, named.key, stream.unread)


def library_stream(model: LanguageModel) -> TokenStream:
    """Return the standard library as a model's tokenizer reads it."""
    return compute.wanted(wanted_library(model, library_sha256()))


def some_of_library(model: LanguageModel) -> TokenStream:
    """Return a sample of the standard library's documents, read in about a second by any tokenizer."""
    key = badge_key(model.tokenizer_sha256, library_sha256(), separator=model.separator)
    return compute.result(TokenStream, key, "Reading some of the standard library", call(badge_stream_of, model))


@st.cache_data(show_spinner=False)
def library_sha256() -> str:
    """Name the running interpreter's standard library."""
    return standard_library_sha256()


def dataset_texts(name: DatasetName, megabytes: int) -> DatasetTexts:
    """Return the downloaded text. Raises StillRunning during the download, else NotDownloadedError."""
    key = dataset_key(name, megabytes)

    def read() -> DatasetTexts:
        texts = compute.store().load(DatasetTexts, key)
        if texts is None:
            raise NotDownloadedError("dataset", str(name), megabytes * 10**6)
        return texts

    if not compute.at_hand(key) and fetching_flag(key) in st.session_state:
        raise StillRunning(f"{name} is being downloaded.")
    return compute.loaded().get(key, read, name=str(name))


def dataset_key(name: DatasetName, megabytes: int) -> str:
    return DatasetTexts.key(name, max_bytes=megabytes * 10**6)


def fetching_flag(key: str) -> str:
    return f"_fetch_{key}"


def settings() -> SampleSettings:
    """Return the chosen settings, whether or not this page draws the picker."""
    source = _choice("text", SOURCES, LIBRARY)
    return SampleSettings(
        source=source,
        name=name_of(source),
        n_rows=_number("rows", 1, MAX_ROWS) or DEFAULT.n_rows,
        context=_number("length", 1, 10**6),
        bos=_choice("bos", BOS, None),
        seed=_number("text_seed", 0, MAX_SEED) or 0,
        special=str(_said("special", True)).lower() != "false",
        megabytes=_choice("text_mb", SIZES, DEFAULT.megabytes),
    )


def sample(dictionary: Dictionary, model: LanguageModel, chosen: SampleSettings | None = None) -> TextSample:
    """Return the rows that settings (by default the picker's) mean for a dictionary (raises LoupeError).

    If the text has fewer rows, or the model reads only shorter ones, the result has as many and as long rows as
    possible.
    """
    asked = chosen or settings()
    text = find(asked, model)
    config = dictionary.config
    settled = fitting(text.tokens, config, model, asked)
    compute.workspace().policy.check_tokens(settled.n_rows * context_of(config, model, settled))
    name = f"{text.name} {reading_of(model)}"
    key = f"sample {name} {context_of(config, model, settled)} {with_bos(config, settled)} {settled} {text.title}"
    return compute.loaded().get(key, lambda: sample_of(text.tokens, text.title, config, model, settled, text.unread))


def name_of(source: str) -> str:
    if source not in NAMES:
        return ""
    return str(st.session_state.get(NAMES[source], st.query_params.get("text_name", "")))


def _said(key: str, default: Any = None) -> Any:
    """Return a widget's value, or the value in the URL if the widget was never drawn."""
    return st.session_state[key] if key in st.session_state else st.query_params.get(key, default)


def _choice(key: str, options: dict[str, Any], default: Any) -> Any:
    return options.get(_said(key), default)


def _number(key: str, low: int, high: int) -> int | None:
    said = str(_said(key, ""))
    return int(said) if said.isdecimal() and len(said) < 12 and low <= int(said) <= high else None
