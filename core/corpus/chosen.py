"""The text that settings name, as token ids: named for the store, and read where nobody waits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Integer

from core.corpus.datasets import DatasetName, DatasetTexts
from core.corpus.files import TOKEN_SUFFIXES, FileTexts, TextFiles, files_stream, read_tokens, summarise
from core.corpus.samples import DATASET, FILES, SampleSettings, TextSample, fitting, sample_of
from core.corpus.streams import TokenStream, documents_stream, standard_library_sha256, standard_library_stream
from core.corpus.unread import READ_WHOLE, Unread
from core.dictionaries.config import DictionaryConfig
from core.errors import NotDownloadedError
from core.models.language_model import LanguageModel
from core.work.artifacts import ArtifactStore
from core.work.calls import call
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted


@dataclass(frozen=True, eq=False)
class ChosenTokens:
    """A stream of ids (1-D), or a table of rows (2-D), and its title."""

    tokens: Integer[np.ndarray, "..."]
    title: str
    unread: Unread = READ_WHOLE


def wanted_library(model: LanguageModel, library_sha256: str) -> Wanted[TokenStream]:
    """Name the standard library as a model's tokenizer reads it."""
    key = TokenStream.key(model.tokenizer_sha256, library_sha256, separator=model.separator)
    return Wanted(TokenStream, key, "Reading the standard library", call(_library, model))


def _library(model: LanguageModel, progress: Progress = SILENT) -> TokenStream:
    return standard_library_stream(model.tokenizer, separator=model.separator, progress=progress)


def wanted_files(files: TextFiles, about: FileTexts, model: LanguageModel) -> Wanted[TokenStream]:
    """Name a person's text files as a model's tokenizer reads them."""
    key = TokenStream.key(model.tokenizer_sha256, about.sha256, separator=model.separator)
    return Wanted(
        TokenStream,
        key,
        f"Tokenising {about.title}",
        lambda progress: files_stream(files, model, about, progress),
    )


def wanted_dataset(texts: DatasetTexts, model: LanguageModel) -> Wanted[TokenStream]:
    """Name the fetched text of a dataset as a model's tokenizer reads it."""
    key = TokenStream.key(model.tokenizer_sha256, texts.sha256, separator=model.separator)

    def work(progress: Progress) -> TokenStream:
        how = {"separator": model.separator, "title": texts.title, "progress": progress}
        return documents_stream(model.tokenizer, list(texts.documents()), **how)

    return Wanted(TokenStream, key, f"Tokenising {texts.title}", work)


def chosen_tokens(
    settings: SampleSettings, model: LanguageModel, store: ArtifactStore, progress: Progress = SILENT
) -> ChosenTokens:
    """Return the text that settings name, read now unless the store has it. A path is read wherever it lies.

    Raises CorpusError, and NotDownloadedError for a dataset that was not fetched before.
    """
    if settings.source == FILES:
        return _files(Path(settings.name), model, store, progress)
    if settings.source == DATASET:
        name, nbytes = DatasetName.parse(settings.name), settings.megabytes * 10**6
        texts = store.load(DatasetTexts, DatasetTexts.key(name, max_bytes=nbytes))
        if texts is None:
            raise NotDownloadedError("dataset", str(name), nbytes)
        return _read(wanted_dataset(texts, model).get(store, progress), texts.title)
    stream = wanted_library(model, standard_library_sha256()).get(store, progress)
    return _read(stream, stream.title)


def chosen_sample(
    settings: SampleSettings, text: ChosenTokens, config: DictionaryConfig, model: LanguageModel
) -> TextSample:
    """Return the rows that settings mean for a dictionary: as many and as long as text and model give."""
    settled = fitting(text.tokens, config, model, settings)
    return sample_of(text.tokens, text.title, config, model, settled, text.unread)


def _files(path: Path, model: LanguageModel, store: ArtifactStore, progress: Progress) -> ChosenTokens:
    if path.is_file() and path.suffix in TOKEN_SUFFIXES:
        return ChosenTokens(read_tokens(path), path.name)
    files = TextFiles.find(path)
    about = summarise(files, progress)
    return _read(wanted_files(files, about, model).get(store, progress), about.title)


def _read(stream: TokenStream, title: str) -> ChosenTokens:
    return ChosenTokens(stream.tokens, title, stream.unread)
