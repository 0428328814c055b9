"""The text of a token pass: rows of token ids, and the settings by which they were drawn."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int, Integer

from core.corpus.streams import rows_that_fit, sample_rows
from core.corpus.unread import READ_WHOLE, Unread, unknown_tokens
from core.dictionaries.config import DictionaryConfig
from core.errors import CorpusError, DoesNotFitError
from core.models import tokenizer_files
from core.models.language_model import LanguageModel

LIBRARY, FILES, DATASET = "library", "files", "dataset"
"""Sources of text. LIBRARY: the standard library of the running Python (always there, no download); FILES: a file or
folder of text, or a file of token ids; DATASET: a dataset of the hub."""


@dataclass(frozen=True)
class SampleSettings:
    """The choices of a person about text. None means what suits the dictionary."""

    source: str = LIBRARY
    name: str = ""
    """The text of that source: a path, or a dataset's name (see DatasetName); empty for the library."""
    n_rows: int = 128
    context: int | None = None
    """Tokens in a row; None: the dictionary's training context, or the model's context if that is shorter."""
    bos: bool | None = None
    """Whether every row begins with the BOS token; None: as the dictionary was trained."""
    seed: int = 0
    special: bool = True
    """Whether special tokens (BOS, EOS, separators, padding) count in the statistics."""
    megabytes: int = 4
    """Amount of text that is fetched from a dataset."""


@dataclass(frozen=True, eq=False)
class TextSample:
    """Rows of token ids and their origin."""

    rows: Int[np.ndarray, "row pos"]
    title: str
    """A name of the text for the notes under figures."""
    settings: SampleSettings = field(default_factory=SampleSettings)
    bos: bool = False
    """Whether every row begins with the BOS token."""
    left_out: tuple[int, ...] = ()
    """Token ids that the model reads, but that do not count in the statistics."""
    unread: Unread = READ_WHOLE
    """What the tokenizer does not read: unknown tokens of the rows, and lost characters of the whole text."""
    drawn: bool = True
    """Whether the seed chose the rows. Rows of a table come in its order."""

    @property
    def note(self) -> str:
        """One phrase for the notes under figures."""
        parts = [f"{len(self.rows):,} rows of {self.rows.shape[1]:,} tokens, {self.title}"]
        parts.append("each after BOS" if self.bos else "no BOS")
        if self.left_out:
            parts.append("special tokens not counted")
        parts.extend(self.unread.parts)
        return ", ".join([*parts, f"seed {self.settings.seed}" if self.drawn else "in the order of the file"])


def context_of(config: DictionaryConfig, model: LanguageModel, settings: SampleSettings) -> int:
    """Return the length of rows: the chosen one, else the shorter one of the dictionary's and the model's context."""
    return settings.context or min(config.context_size or model.n_ctx, model.n_ctx)


def with_bos(config: DictionaryConfig, settings: SampleSettings) -> bool:
    """Whether rows begin with BOS: as chosen, else as the dictionary was trained."""
    return config.prepend_bos if settings.bos is None else settings.bos


def fitting(
    tokens: Integer[np.ndarray, "..."], config: DictionaryConfig, model: LanguageModel, settings: SampleSettings
) -> SampleSettings:
    """Return settings that this text and this model can satisfy: rows are shorter, or fewer, if need be.

    There is always at least one row, so that a text that is too short for one raises an error later.
    """
    context = min(context_of(config, model, settings), model.n_ctx)
    n, bos = len(tokens), with_bos(config, settings)
    most = n if tokens.ndim == 2 else rows_that_fit(n, context, bos=bos)
    # None stays None, so that another dictionary gets its own training context.
    chosen = context if settings.context is not None else None
    return replace(settings, n_rows=max(1, min(settings.n_rows, most)), context=chosen)


def along_positions(settings: SampleSettings, n_pos: int, n_rows: int) -> SampleSettings:
    """Return the settings of text for curves over positions: every row as long as these, and all tokens count."""
    return replace(settings, n_rows=n_rows, context=n_pos, special=True)


def check_length(sample: TextSample, n_pos: int) -> None:
    """Raise CorpusError for ready rows that are shorter than the positions asked for."""
    if sample.rows.shape[1] < n_pos:
        raise CorpusError(
            f"The rows of {sample.title} have {sample.rows.shape[1]:,} tokens, expected at least {n_pos:,}, the "
            "positions shown. Show fewer positions, or choose other text."
        )


def sample_of(
    tokens: Integer[np.ndarray, "..."],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
    unread: Unread = READ_WHOLE,
) -> TextSample:
    """Take rows from a stream of ids (1-D), or use the rows of a table (2-D).

    `unread` holds the lost characters of the whole text. Raises CorpusError if there are too few rows,
    DoesNotFitError if the model cannot read them.
    """
    take = sample_of_table if tokens.ndim == 2 else sample_of_stream
    sample = take(tokens, title, config, model, settings)
    unknown = unknown_tokens(sample.rows, model)
    return replace(sample, unread=replace(unread, n_unknown=unknown, n_tokens=sample.rows.size))


def sample_of_stream(
    tokens: Integer[np.ndarray, " token"],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
) -> TextSample:
    """Cut rows from a token stream by the settings, at random places that the seed determines."""
    bos, context = with_bos(config, settings), context_of(config, model, settings)
    _check_length(context, model)
    first = bos_token(model) if bos else None
    rows = sample_rows(tokens, n_rows=settings.n_rows, context=context, seed=settings.seed, bos=first)
    rows = _checked(rows, title, model)
    return TextSample(rows, title, settings, bos, _left_out(model, settings))


def sample_of_table(
    tokens: Integer[np.ndarray, "row pos"],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
) -> TextSample:
    """Take the first rows of a table of ids, cut to length. BOS and seed of the settings have no effect.

    Raises CorpusError if there are too few, DoesNotFitError if the model cannot read them.
    """
    n, context = tokens.shape[0], min(context_of(config, model, settings), tokens.shape[1])
    _check_length(context, model)
    if n < settings.n_rows:
        raise CorpusError(f"{title} holds {n:,} rows, not {settings.n_rows:,}. Ask for at most {n:,} rows.")
    rows = _checked(tokens[: settings.n_rows, :context], title, model)
    bos = bool((rows[:, 0] == bos_token(model)).all())
    return TextSample(rows, title, settings, bos, _left_out(model, settings), drawn=False)


def bos_token(model: LanguageModel) -> int:
    """Return the token that rows begin with: the model's BOS, else the separator of documents."""
    return model.separator if model.bos is None else model.bos


def reading_of(model: LanguageModel) -> str:
    """Name all that decides how a model reads text: its tokenizer, the separator, BOS and the vocabulary's size."""
    return f"{model.tokenizer_sha256} {model.separator} {bos_token(model)} {model.d_vocab}"


def special_tokens(model: LanguageModel) -> tuple[int, ...]:
    """Return the ids that the tokenizer marks as special, BOS, and the separator of documents.

    Without a separator, token 0 separates documents. It also occurs as text, so it is not among these ids.
    """
    ids = {i for i in tokenizer_files.special_tokens(model.decoder) if i < model.d_vocab}
    return tuple(sorted(ids | ({bos_token(model), model.separator} - {0})))


def _left_out(model: LanguageModel, settings: SampleSettings) -> tuple[int, ...]:
    return () if settings.special else special_tokens(model)


def _check_length(context: int, model: LanguageModel) -> None:
    if not 1 <= context <= model.n_ctx:
        raise DoesNotFitError(
            f"Rows of {context:,} tokens do not fit {model.name}: expected 1 to {model.n_ctx:,}, its context. "
            "Choose another length."
        )


def _checked(rows: Integer[np.ndarray, "row pos"], title: str, model: LanguageModel) -> Int[np.ndarray, "row pos"]:
    """Return rows as int64, if all ids are in the model's vocabulary."""
    low, high = int(rows.min()), int(rows.max())
    if not 0 <= low <= high < model.d_vocab:
        raise DoesNotFitError(
            f"Token ids of {title} go from {low} to {high}, but {model.name} knows 0 to {model.d_vocab - 1}. Expected "
            "text that its own tokenizer has read: choose another text, or export model and tokenizer together."
        )
    return rows.astype(np.int64)
