"""The rows of text that a run reads, and the order in which it reads them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from core.corpus.datasets import DatasetName, DatasetTexts
from core.corpus.files import TOKEN_SUFFIXES, TextFiles, files_stream, read_tokens, summarise
from core.corpus.samples import DATASET, FILES, bos_token, special_tokens
from core.corpus.streams import (
    TokenStream,
    documents_stream,
    rows_that_fit,
    sample_rows,
    standard_library_sha256,
    standard_library_stream,
)
from core.errors import CorpusError, DoesNotFitError, NoSuchPathError, NotDownloadedError
from core.models.language_model import LanguageModel
from core.training.settings import TextSettings, TrainingSettings
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress


@dataclass(frozen=True, eq=False)
class Rows:
    """All rows of a text that a run may read."""

    tokens: Int[np.ndarray, "row pos"]
    counted: Bool[np.ndarray, "row pos"]
    """Which activations are learned from: all but those at special tokens, if these are left out."""
    title: str
    """A name of the text, without the path of its folder."""


def read_rows(settings: TextSettings, model: LanguageModel, store: ArtifactStore, progress: Progress = SILENT) -> Rows:
    """Cut a text into rows of equal length. Token streams of whole texts are kept in the store.

    Raises CorpusError if the text gives no row, DoesNotFitError if the model cannot read them, NotDownloadedError for
    a dataset that is not here.
    """
    if settings.context > model.n_ctx:
        raise DoesNotFitError(
            f"Rows of {settings.context:,} tokens do not fit {model.name}: expected at most {model.n_ctx:,}, its "
            "context. Choose a smaller text.context."
        )
    tokens, title = _tokens(settings, model, store, progress)
    if tokens.ndim == 1:
        n_rows = rows_that_fit(len(tokens), settings.context, bos=settings.bos)
        first = bos_token(model) if settings.bos else None
        tokens = sample_rows(tokens, n_rows=max(1, n_rows), context=settings.context, seed=settings.seed, bos=first)
    else:  # rows of a table come as they are
        tokens = tokens[:, : settings.context]
    tokens = np.asarray(tokens)
    low, high = int(tokens.min()), int(tokens.max())
    if not 0 <= low <= high < model.d_vocab:
        raise DoesNotFitError(
            f"Token ids of {title} go from {low} to {high}, but {model.name} knows 0 to {model.d_vocab - 1}. Expected "
            "text that its own tokenizer has read: choose another text."
        )
    special = [] if settings.special else list(special_tokens(model))
    return Rows(tokens.astype(np.int32), ~np.isin(tokens, special), title)


def _tokens(
    settings: TextSettings, model: LanguageModel, store: ArtifactStore, progress: Progress
) -> tuple[np.ndarray, str]:
    """Return a stream of ids, or a table of rows, and its title."""
    if settings.source == FILES:
        return _of_files(Path(settings.name).expanduser(), model, store, progress)
    if settings.source == DATASET:
        return _of_dataset(settings, model, store, progress)

    def work() -> TokenStream:
        return standard_library_stream(model.tokenizer, separator=model.separator, progress=progress)

    stream = _stream(standard_library_sha256(), model, store, work)
    return stream.tokens, stream.title


def _of_files(path: Path, model: LanguageModel, store: ArtifactStore, progress: Progress) -> tuple[np.ndarray, str]:
    if not path.exists():
        raise NoSuchPathError(f"There is no text at {path}. Expected a file or folder; check text.name.")
    if path.is_file() and path.suffix in TOKEN_SUFFIXES:
        return read_tokens(path), path.name
    files = TextFiles.find(path)
    about = summarise(files)
    stream = _stream(about.sha256, model, store, lambda: files_stream(files, model, about, progress))
    return stream.tokens, about.title


def _of_dataset(
    settings: TextSettings, model: LanguageModel, store: ArtifactStore, progress: Progress
) -> tuple[np.ndarray, str]:
    name, most = DatasetName.parse(settings.name), settings.megabytes * 10**6
    texts = store.load(DatasetTexts, DatasetTexts.key(name, max_bytes=most))
    if texts is None:
        raise NotDownloadedError("dataset", str(name), most)

    def work() -> TokenStream:
        documents = list(texts.documents())
        how = {"separator": model.separator, "title": texts.title, "progress": progress}
        return documents_stream(model.tokenizer, documents, **how)

    return _stream(texts.sha256, model, store, work).tokens, texts.title


def _stream(text_sha256: str, model: LanguageModel, store: ArtifactStore, work) -> TokenStream:
    key = TokenStream.key(model.tokenizer_sha256, text_sha256, separator=model.separator)
    return store.cached(TokenStream, key, work)


@dataclass(frozen=True, eq=False)
class Plan:
    """Which rows are in the buffer at which step. It follows from settings and text alone, so a run can go on anywhere.

    The buffer is filled with the next rows, all its activations are used once, and it is filled again.
    """

    chunks: tuple[Int[np.ndarray, " row"], ...]
    """The rows of each filling."""
    first_steps: Int[np.ndarray, " chunk"]
    """The step at which each filling begins."""

    def chunk_of(self, step: int) -> tuple[int, int]:
        """Return the number of the filling that a step draws from, and which of its batches the step is."""
        chunk = int(np.searchsorted(self.first_steps, step, side="right")) - 1
        return chunk, step - int(self.first_steps[chunk])


def plan(rows: Rows, settings: TrainingSettings) -> Plan:
    """Decide the order of rows. Raises CorpusError if the text has too few tokens for the training."""
    context, batch, text = rows.tokens.shape[1], settings.batch_tokens, settings.text
    in_buffer = max(1, settings.buffer_tokens // context)
    n_counted = rows.counted.sum(1)
    chunks, first_steps, step = [], [], 0
    for repeat in range(text.repeats):
        order = np.random.default_rng([text.seed, repeat]).permutation(len(rows.tokens))
        for start in range(0, len(order), in_buffer):
            chunk = order[start : start + in_buffer]
            batches = int(n_counted[chunk].sum()) // batch
            if batches and step < settings.steps:
                chunks.append(chunk)
                first_steps.append(step)
                step += batches
    if step < settings.steps:
        total = int(n_counted.sum())
        raise CorpusError(
            f"{rows.title} gives {total:,} tokens in rows of {context}, too few for {settings.training_tokens:,} in "
            f"batches of {batch:,}. Expected a longer text, text.repeats of at least "
            f"{-(-settings.training_tokens // max(1, total))}, or training_tokens of at most {step * batch:,}."
        )
    return Plan(tuple(chunks), np.asarray(first_steps))


def order_in_buffer(seed: int, chunk: int, n: int) -> Int[np.ndarray, " token"]:
    """Return the order in which one dictionary draws the n activations of a filling."""
    return np.random.default_rng([seed, chunk]).permutation(n)
