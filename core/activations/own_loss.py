"""Can a model read a text at all? Its own loss on a few rows, beside that of a guess among all tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, log
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from core.activations.spliced_loss import token_losses
from core.activations.store import counted, left_out_name
from core.devices.device import CPU, Device
from core.errors import CorpusError
from core.models.language_model import LanguageModel
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress, Stage

MOST_TOKENS = 2048
_TOKENS_AT_ONCE = 256


@dataclass(frozen=True)
class OwnLoss:
    """A model's mean cross-entropy of the next token, in nats, over n guesses."""

    ce: float
    n: int
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, model_sha256: str, rows_sha256: str, *, left_out: tuple[int, ...] = (), device: Device = CPU) -> str:
        left = {"left_out": left_out_name(left_out)}
        return artifact_key("own-loss", cls.version, model=model_sha256, rows=rows_sha256, **left, **device.inputs)


def guess(d_vocab: int) -> float:
    """Return the loss of a guess among all tokens of a vocabulary, in nats: ln(d_vocab)."""
    return log(d_vocab)


def can_read(ce: float, d_vocab: int) -> bool:
    """Whether a model with this loss predicts its text better than a guess does; NaN does not."""
    return ce < guess(d_vocab)


def said(ce: float, d_vocab: int) -> str:
    """Return the loss beside that of a guess, in one sentence; where the text cannot be read, what this means."""
    own = f"is {ce:.2f} nats a token" if isfinite(ce) else "is no number"
    beside = (
        f"own loss on this text {own}; a guess among all {d_vocab:,} tokens has {guess(d_vocab):.2f}, ln(vocabulary)."
    )
    if can_read(ce, d_vocab):
        return f"The model's {beside}"
    return (
        f"The model cannot read this text: its {beside} No number on this text means anything. Choose text like that "
        "it was trained on, or check that tokenizer and weights are of one model."
    )


def few_rows(rows: Int[np.ndarray, "row pos"]) -> Int[np.ndarray, "few short"]:
    """Return the first rows of a sample, at most MOST_TOKENS tokens; a longer row is cut."""
    return rows[: max(1, MOST_TOKENS // max(1, rows.shape[1])), :MOST_TOKENS]


def own_loss(
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    left_out: tuple[int, ...] = (),
    give_way: Callable[[], None] = lambda: None,
    progress: Progress = SILENT,
    device: Device = CPU,
) -> OwnLoss:
    """Return the model's own loss on rows; guesses at tokens of `left_out` do not count.

    `give_way` is called every few rows and may raise. Raises DoesNotFitError, CorpusError where no guess counts, and
    DeviceError.
    """
    keep = counted(rows, left_out)[:, :-1]
    if not keep.any():
        raise CorpusError(
            f"Rows of shape {rows.shape} hold no counted token with a next token to predict. Expected rows of at "
            "least 2 tokens; choose a longer text, or count special tokens too."
        )
    step, total = max(1, _TOKENS_AT_ONCE // rows.shape[1]), 0.0
    for start in range(0, len(rows), step):
        give_way()
        part = slice(start, start + step)
        stage = Stage(progress, rows[:start].size, rows.size)
        losses = token_losses(model, rows[part], progress=stage, device=device)
        total += float(losses[keep[part]].sum())
    return OwnLoss(total / int(keep.sum()), int(keep.sum()))
