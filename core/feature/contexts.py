"""The tokens around an active token, as text, with the activation on each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.activations.store import FeatureActivations
from core.feature.examples import Level, row_activations
from core.models.pieces import token_pieces
from core.models.tokens import label


@dataclass(frozen=True)
class Context:
    """Successive tokens of a row: their ids, the text that each adds, and the feature's activation on each."""

    row: int
    start: int
    """Position in the row of the first of them."""
    ids: list[int]
    pieces: list[str]
    acts: list[float]
    center: int
    """Index in `ids` of the token that the context was chosen for."""


def contexts(
    tokenizer,
    rows: Int[np.ndarray, "row pos"],
    activations: FeatureActivations,
    shown: FeatureActivations,
    *,
    width: int | None,
) -> list[Context]:
    """Return a context for every entry of `shown`: `width` tokens on either side of it (None: the whole row).

    `activations` are all activations of the feature. The whole row is decoded: a context that begins inside a
    character which is spread over several tokens still shows it.
    """
    made = []
    for row, position in zip(shown.row.tolist(), shown.position.tolist(), strict=True):
        start, stop = window(position, rows.shape[1], width)
        pieces = token_pieces(tokenizer, rows[row].tolist())[start:stop]
        acts = row_activations(activations, row, rows.shape[1])[start:stop].tolist()
        made.append(Context(row, start, rows[row, start:stop].tolist(), pieces, acts, position - start))
    return made


def window(position: int, n_pos: int, width: int | None) -> tuple[int, int]:
    """Return start and stop of the positions up to `width` away from one, within a row of `n_pos`."""
    return (0, n_pos) if width is None else (max(0, position - width), min(n_pos, position + width + 1))


def context_texts(
    tokenizer, rows: Int[np.ndarray, "row pos"], shown: FeatureActivations, *, width: int | None
) -> list[str]:
    """Return the text of each context, decoded without the rest of its row; for search and tables."""
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
    """Return one row per entry of `shown`.

    Columns: example_group (only with `groups`), text_row, position, token (its id), token_label, text_activation,
    context_text (of `texts`).
    """
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


def level_table(
    levels: Sequence[Level],
    n_tokens: int,
    rows: Int[np.ndarray, "row pos"],
    tokenizer,
    token_strings: Sequence[str],
    *,
    width: int | None,
) -> pd.DataFrame:
    """Return the examples of all levels of a feature, with `example_group`, which says each level in words."""
    n_active = sum(level.count for level in levels)
    said = [level.said(n_active=n_active, n_tokens=n_tokens) for level in levels for _ in level.examples.act]
    fields = ("row", "position", "act")
    parts = ([getattr(level.examples, name) for level in levels] for name in fields)
    shown = FeatureActivations(*(np.concatenate(part) for part in parts)) if levels else _NONE
    return context_table(rows, shown, context_texts(tokenizer, rows, shown, width=width), token_strings, said)


_NONE = FeatureActivations(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
