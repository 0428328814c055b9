"""The activations of a dictionary's features on the tokens of a short text."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.activations.encoding import Encoder
from core.activations.measures import Measure
from core.activations.sparse import SparseActivations
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.language_model import LanguageModel
from core.text.texts import OwnText, cut_rows
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """Activations f on every token of a text. The model also read BOS tokens, which are not among these."""

    acts: SparseActivations
    row: Int[np.ndarray, " token"]
    position: Int[np.ndarray, " token"]
    """The token's position in its row, with BOS."""
    error: Float[np.ndarray, " token"]
    """|x - x_hat|^2; x is what the dictionary should reconstruct."""
    square: Float[np.ndarray, " token"]
    """|x|^2"""
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls, dictionary_sha256: str, model_sha256: str, text_sha256: str, *, length: int, bos: int | None = None
    ) -> str:
        named = {"dictionary": dictionary_sha256, "model": model_sha256, "text": text_sha256}
        return artifact_key("text-features", cls.version, **named, length=length, bos=bos)

    @property
    def n_tokens(self) -> int:
        return len(self.error)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, with the activations sorted by feature, which are made when they are first needed."""
        return 2 * (self.acts.features.nbytes + self.acts.acts.nbytes) + 5 * self.error.nbytes

    @property
    def token(self) -> Int[np.ndarray, " nonzero"]:
        """The index of the token of each non-zero activation."""
        return np.repeat(np.arange(self.n_tokens), np.diff(self.acts.ends, prepend=0))

    def on_token(self, token: int) -> tuple[Int[np.ndarray, " active"], Float[np.ndarray, " active"]]:
        """Return the features that are active on a token, ascending, and their activations."""
        entries = slice(int(self.acts.ends[token - 1]) if token else 0, int(self.acts.ends[token]))
        return self.acts.features[entries], self.acts.acts[entries]

    def of_feature(self, feature: int) -> Float[np.ndarray, " token"]:
        """Return one feature's activation on every token, 0 where it is silent."""
        acts = np.zeros(self.n_tokens)
        entries = self.acts.features == feature
        acts[self.token[entries]] = self.acts.acts[entries]
        return acts


def encode_text(
    dictionary: Dictionary,
    model: LanguageModel,
    text: OwnText,
    *,
    length: int,
    bos: int | None = None,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> TextFeatures:
    """Run model and dictionary over a text, in rows of at most `length` tokens (see core.text.texts.cut_rows).

    Every row begins with the token `bos`, if that is given. `progress` counts tokens. Raises DoesNotFitError if the
    model cannot read such rows, and BadSettingError.
    """
    if length > model.n_ctx:
        raise DoesNotFitError(
            f"Rows of {length:,} tokens do not fit {model.name}: its context is {model.n_ctx:,}. Choose shorter rows."
        )
    encoder, first = Encoder(dictionary, workers=workers), int(bos is not None)
    counts, features, acts, measures, rows, positions = [], [], [], [], [], []
    # One row at a time: for several, the encoder would return only sums over rows.
    for number, part in enumerate(cut_rows(text, length, bos=bos is not None)):
        ids = text.ids[part] if bos is None else np.concatenate([[bos], text.ids[part]])
        block = encoder.block(model, ids[None].astype(np.int64))
        skip = int(block.ends[0]) if first else 0
        counts.append(np.diff(block.ends, prepend=0)[first:])
        features.append(block.features[skip:])
        acts.append(block.acts[skip:])
        measures.append(block.measures[[Measure.ERROR, Measure.SQUARE], first:])
        rows.append(np.full(len(ids) - first, number))
        positions.append(np.arange(first, len(ids)))
        progress.update(part.stop, len(text.ids))
    error, square = np.concatenate(measures, axis=1)
    ends = np.concatenate(counts).cumsum().astype(np.int64)
    joined = np.concatenate(features).astype(np.int32), np.concatenate(acts).astype(np.float32)
    sparse = SparseActivations(ends, *joined, dictionary.d_sae)
    return TextFeatures(sparse, np.concatenate(rows), np.concatenate(positions), error, square)


def token_table(on_text: TextFeatures, strings: list[str]) -> pd.DataFrame:
    """Return one row per token.

    Columns: token_number, token_text (of `strings`), own_row, position, token_l0 (number of active features),
    token_error, token_error_share.
    """
    error, square = on_text.error, on_text.square
    share = np.divide(error, square, out=np.full(on_text.n_tokens, np.nan), where=square > 0)
    columns = {
        "token_number": np.arange(on_text.n_tokens),
        "token_text": strings,
        "own_row": on_text.row,
        "position": on_text.position,
        "token_l0": np.diff(on_text.acts.ends, prepend=0),
        "token_error": np.sqrt(error),
        "token_error_share": share,
    }
    return pd.DataFrame(columns)


def feature_table(on_text: TextFeatures, largest: Float[np.ndarray, " d_sae"] | None = None) -> pd.DataFrame:
    """Return one row per feature that is active anywhere in the text.

    With `largest`, the largest activation of each feature on a larger text, two columns are added: largest_share, which
    is text_max over that, and share_weighted, the product of text_max and largest_share.
    """
    ends, tokens, values = on_text.acts.by_feature
    count = on_text.acts.count
    features = np.flatnonzero(count)
    starts = (ends - count)[features]
    total = np.add.reduceat(values.astype(np.float64), starts) if len(starts) else np.zeros(0)
    # Sorted by feature, absolute value and token, each feature's first entry is its strongest (ties: earliest token).
    owner = np.repeat(features, count[features])
    strongest = np.lexsort((tokens, -np.abs(values), owner))[starts]
    columns = {
        "feature": features,
        "text_max": values[strongest].astype(np.float64),
        "text_sum": total,
        "text_mean": total / on_text.n_tokens,
        "text_tokens": count[features],
        "token_number": tokens[strongest],
    }
    return _with_shares(pd.DataFrame(columns), "text_max", largest)


def token_features(
    on_text: TextFeatures, token: int, largest: Float[np.ndarray, " d_sae"] | None = None
) -> pd.DataFrame:
    """Return one row per feature that is active on a token, with the same shares as `feature_table`."""
    features, acts = on_text.on_token(token)
    table = pd.DataFrame({"feature": features.astype(np.int64), "text_activation": acts.astype(np.float64)})
    return _with_shares(table, "text_activation", largest)


def _with_shares(table: pd.DataFrame, column: str, largest: Float[np.ndarray, " d_sae"] | None) -> pd.DataFrame:
    if largest is None:
        return table
    top = largest[table["feature"].to_numpy()].astype(np.float64)
    share = np.divide(table[column], top, out=np.full(len(table), np.nan), where=top > 0)
    return table.assign(largest_share=share, share_weighted=table[column] * share)


def ranked(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Sort by the absolute value of a column, largest first; ties: lower feature first; missing values last."""
    size = table[by].abs()
    return table.assign(_size=size).sort_values(["_size", "feature"], ascending=[False, True]).drop(columns="_size")


def cells(on_text: TextFeatures, features: list[int], tokens: range) -> pd.DataFrame:
    """Return the non-zero activations of some features on a range of tokens, one row each."""
    token = on_text.token
    inside = (token >= tokens.start) & (token < tokens.stop) & np.isin(on_text.acts.features, features)
    columns = {
        "feature": on_text.acts.features[inside].astype(np.int64),
        "token_number": token[inside],
        "text_activation": on_text.acts.acts[inside].astype(np.float64),
    }
    return pd.DataFrame(columns)
