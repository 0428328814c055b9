"""Which text a token pass reads: rows of token ids, and everything that says how they were drawn."""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int, Integer

from core.corpus.streams import rows_that_fit, sample_rows
from core.dictionaries.config import DictionaryConfig
from core.errors import CorpusError, DoesNotFitError
from core.models import tokenizer_files
from core.models.language_model import LanguageModel

LIBRARY, FILES, DATASET = "library", "files", "dataset"
"""The Python standard library of the running interpreter (always there, nothing to download); a file or folder of
text, or a file of token ids; a dataset of the hub."""


@dataclass(frozen=True)
class SampleSettings:
    """What a person chooses about text. None means what suits the dictionary."""

    source: str = LIBRARY
    name: str = ""
    """Which text of that source: a path, or a dataset's name (see DatasetName); empty for the library."""
    n_rows: int = 128
    context: int | None = None
    """Tokens in a row; None: what the dictionary was trained on, as far as the model reads."""
    bos: bool | None = None
    """Whether every row begins with the BOS token; None: as the dictionary was trained."""
    seed: int = 0
    special: bool = True
    """Whether special tokens (BOS, EOS, separators, padding) count in the statistics."""
    megabytes: int = 4
    """How much text of a dataset is fetched."""


@dataclass(frozen=True, eq=False)
class TextSample:
    """Rows of token ids and where they are from."""

    rows: Int[np.ndarray, "row pos"]
    title: str
    """What the text is, for the notes under figures."""
    settings: SampleSettings = field(default_factory=SampleSettings)
    bos: bool = False
    """Whether every row begins with the BOS token."""
    left_out: tuple[int, ...] = ()
    """Token ids that are read by the model and not counted."""
    unknown: int = 0
    """How many of the tokens stand for text that the tokenizer does not know."""
    drawn: bool = True
    """Whether the seed chose the rows; those of a table come in its order."""

    @property
    def note(self) -> str:
        """One phrase for the notes under figures."""
        parts = [f"{len(self.rows):,} rows of {self.rows.shape[1]:,} tokens, {self.title}"]
        parts.append("each after BOS" if self.bos else "no BOS")
        if self.left_out:
            parts.append("special tokens not counted")
        if self.unknown:
            parts.append(f"{self.unknown:,} of {self.rows.size:,} tokens unknown to the tokenizer")
        return ", ".join([*parts, f"seed {self.settings.seed}" if self.drawn else "in the order of the file"])


def context_of(config: DictionaryConfig, model: LanguageModel, settings: SampleSettings) -> int:
    """Return the length of rows: as chosen, else the dictionary's training context as far as the model reads."""
    return settings.context or min(config.context_size or model.n_ctx, model.n_ctx)


def with_bos(config: DictionaryConfig, settings: SampleSettings) -> bool:
    """Whether rows begin with BOS: as chosen, else as the dictionary was trained."""
    return config.prepend_bos if settings.bos is None else settings.bos


def fitting(
    tokens: Integer[np.ndarray, "..."], config: DictionaryConfig, model: LanguageModel, settings: SampleSettings
) -> SampleSettings:
    """Return settings that this text and this model can satisfy: no longer and no more rows than there can be.

    At least one row is asked for, so that a text that is too short for any still says so.
    """
    context = min(context_of(config, model, settings), model.n_ctx)
    n, bos = len(tokens), with_bos(config, settings)
    most = n if tokens.ndim == 2 else rows_that_fit(n, context, bos=bos)
    # None stays None: another dictionary has another training context.
    chosen = context if settings.context is not None else None
    return replace(settings, n_rows=max(1, min(settings.n_rows, most)), context=chosen)


def sample_of(
    tokens: Integer[np.ndarray, "..."],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
) -> TextSample:
    """Take rows from a stream of ids, or from a table whose rows are used as they stand.

    Raises CorpusError where there are too few, DoesNotFitError where the model cannot read them.
    """
    take = sample_of_table if tokens.ndim == 2 else sample_of_stream
    return take(tokens, title, config, model, settings)


def sample_of_stream(
    tokens: Integer[np.ndarray, " token"],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
) -> TextSample:
    """Cut a token stream into rows as the settings say, at random places that follow from the seed."""
    bos, context = with_bos(config, settings), context_of(config, model, settings)
    _check_length(context, model)
    first = bos_token(model) if bos else None
    rows = sample_rows(tokens, n_rows=settings.n_rows, context=context, seed=settings.seed, bos=first)
    rows = _checked(rows, title, model)
    return TextSample(rows, title, settings, bos, _left_out(model, settings), _unknown(rows, model))


def sample_of_table(
    tokens: Integer[np.ndarray, "row pos"],
    title: str,
    config: DictionaryConfig,
    model: LanguageModel,
    settings: SampleSettings,
) -> TextSample:
    """Take the first rows of a table of ids, cut to length; neither BOS nor the seed changes anything about them.

    Raises CorpusError where there are too few, DoesNotFitError where the model cannot read them.
    """
    n, context = tokens.shape[0], min(context_of(config, model, settings), tokens.shape[1])
    _check_length(context, model)
    if n < settings.n_rows:
        raise CorpusError(f"{title} holds {n:,} rows, not {settings.n_rows:,}. Ask for at most {n:,} rows.")
    rows = _checked(tokens[: settings.n_rows, :context], title, model)
    bos = bool((rows[:, 0] == bos_token(model)).all())
    return TextSample(rows, title, settings, bos, _left_out(model, settings), _unknown(rows, model), drawn=False)


def bos_token(model: LanguageModel) -> int:
    """Return the token that rows begin with: the model's BOS, else the separator of documents."""
    return model.separator if model.bos is None else model.bos


def special_tokens(model: LanguageModel) -> tuple[int, ...]:
    """Return the ids that the tokenizer marks as special, BOS, and the separator of documents. Where there is no
    separator, token 0 stands between them; that one is text elsewhere and stays in.
    """
    ids = {i for i in tokenizer_files.special_tokens(model.decoder) if i < model.d_vocab}
    return tuple(sorted(ids | ({bos_token(model), model.separator} - {0})))


def _unknown(rows: Integer[np.ndarray, "row pos"], model: LanguageModel) -> int:
    # Some tokenizers name their BOS as the unknown token, too.
    return 0 if model.unknown in (None, model.bos) else int((rows == model.unknown).sum())


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
