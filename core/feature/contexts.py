"""Tokens around an active one, as text with the activation on each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.activations.store import FeatureActivations
from core.feature.examples import row_activations
from core.models.pieces import token_pieces
from core.models.tokens import label


@dataclass(frozen=True)
class Context:
    """Some tokens of a row: their ids, what each adds to the text, and the feature's activation on each."""

    row: int
    start: int
    """Position of the first one."""
    ids: list[int]
    pieces: list[str]
    acts: list[float]
    center: int
    """Place of the token that the context was chosen for."""


def contexts(
    tokenizer,
    rows: Int[np.ndarray, "row pos"],
    activations: FeatureActivations,
    shown: FeatureActivations,
    *,
    width: int | None,
) -> list[Context]:
    """Return the `width` tokens either side (None: the whole row) of every entry of `shown`.

    `activations` are all of the feature. Characters spread over several tokens are decoded in the whole row,
    so that a context that begins inside of one shows it all the same.
    """
    made = []
    for row, position in zip(shown.row.tolist(), shown.position.tolist(), strict=True):
        start, stop = window(position, rows.shape[1], width)
        pieces = token_pieces(tokenizer, rows[row].tolist())[start:stop]
        acts = row_activations(activations, row, rows.shape[1])[start:stop].tolist()
        made.append(Context(row, start, rows[row, start:stop].tolist(), pieces, acts, position - start))
    return made


def window(position: int, n_pos: int, width: int | None) -> tuple[int, int]:
    """Return first and last + 1 of the positions around one."""
    return (0, n_pos) if width is None else (max(0, position - width), min(n_pos, position + width + 1))


def context_texts(
    tokenizer, rows: Int[np.ndarray, "row pos"], shown: FeatureActivations, *, width: int | None
) -> list[str]:
    """Return the text of each context, decoded by itself; for searching and for tables."""
    parts = []
    for row, position in zip(shown.row.tolist(), shown.position.tolist(), strict=True):
        start, stop = window(position, rows.shape[1], width)
        parts.append(rows[row, start:stop].tolist())
    return tokenizer.decode_batch(parts, skip_special_tokens=False)


def context_table(
    rows: Int[np.ndarray, "row pos"],
    shown: FeatureActivations,
    texts: Sequence[str],
    token_strings: Sequence[str],
    groups: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return one row per context: where it is, its token, the activation there, its text, and its group if any."""
    tokens = rows[shown.row, shown.position]
    columns = {
        "text_row": shown.row,
        "position": shown.position,
        "token": tokens,
        "token_label": [label(token_strings[token]) for token in tokens.tolist()],
        "text_activation": shown.act.astype(float),
        "context_text": list(texts),
    }
    return pd.DataFrame(({"example_group": list(groups)} if groups is not None else {}) | columns)
