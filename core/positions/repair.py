"""Whether correcting positions by hand repairs a layer-0 reconstruction beyond the training context.

Past the positions that a dictionary was trained on, its positional features fire where they should not. Each
repair changes the reconstruction x_hat of x = W_E[token] + W_pos[p]; the curves say what error is left
(Chughtai & Lau 2024, repair experiments of their code).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.corpus.streams import rows_sha256
from core.dictionaries.config import TRANSCODERS, UNFOLDED_NORMALISATIONS
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError, DoesNotFitError, OutOfRangeError
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.models.search import check_fit
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress, Stage

REPAIRS = {
    "as it is": "x̂",
    "position added": "x̂ + W_pos[p] beyond the context",
    "orthogonal part added": "x̂ + the part of W_pos[p] orthogonal to x̂ beyond the context",
    "positional features swapped": "x̂ without what positional features write, + W_pos[p]",
    "swapped and centred": "the same, − its mean error over tokens inside the context",
    "token alone encoded": "the reconstruction of W_E[token] alone, + W_pos[p]",
}
"""Each repair and the vector that is held against x."""
_FLOATS_PER_CALL = 2**24


@dataclass(frozen=True)
class RepairCurves:
    """Mean over rows of |x - repaired x_hat|^2 / d_in at each position, a line for each of REPAIRS."""

    mse: Float[np.ndarray, "repair pos"]
    l2: Float[np.ndarray, "repair pos"]
    """Mean over rows of the error's length."""
    features: Int[np.ndarray, " positional"]
    """Features that count as positional."""
    context_size: int
    n_rows: int
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary: Dictionary,
        model: LanguageModel,
        rows: Int[np.ndarray, "row pos"],
        *,
        features: Sequence[int],
        context_size: int,
    ) -> str:
        return artifact_key(
            "repair-curves",
            cls.version,
            dictionary=dictionary.sha256,
            model=model.sha256,
            rows=rows_sha256(rows),
            features=",".join(map(str, sorted(features))),
            context_size=context_size,
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row per repair and position: position, repair, mse, l2, beyond."""
        parts = []
        for name, mse, l2 in zip(REPAIRS, self.mse, self.l2, strict=True):
            position = np.arange(len(mse))
            columns = {"position": position, "repair": name, "mse": mse, "l2": l2}
            parts.append(pd.DataFrame(columns | {"beyond": position >= self.context_size}))
        return pd.concat(parts, ignore_index=True)


def repair_curves(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    *,
    features: Sequence[int],
    context_size: int,
    progress: Progress = SILENT,
) -> RepairCurves:
    """Repair the reconstruction of rows of token ids in all ways, in float64 after the dictionary's float32 output.

    `features` count as positional; `progress` counts rows. Raises DoesNotFitError for any but an SAE with a linear
    decoder at layer 0 of a model with learned positions, OutOfRangeError, and CorpusError for no tokens inside.
    """
    check_repairable(dictionary, model)
    _check(dictionary, rows, features, context_size)
    work = _Repairs(dictionary, model, np.asarray(sorted(features), np.int64), context_size, rows.shape[1])
    batch = max(1, _FLOATS_PER_CALL // (rows.shape[1] * dictionary.d_sae))
    for done, add in ((0, work.add_to_mean), (len(rows), work.add)):  # the mean error is known only after all rows
        told = Stage(progress, done, 2 * len(rows))
        for part, x in batches(model, rows, dictionary.config.hook_name, step=batch, progress=told):
            add(rows[part], x)
    n = len(rows)
    return RepairCurves(work.square / n / dictionary.d_in, work.length / n, work.features, context_size, n)


def check_repairable(dictionary: Dictionary, model: LanguageModel) -> None:
    """Raise DoesNotFitError unless inputs are a token's plus a position's vector, and outputs sums of decoder rows."""
    check_fit(dictionary.config, model)
    config = dictionary.config
    linear = config.normalize_activations in UNFOLDED_NORMALISATIONS | {"none"} and config.architecture != "temporal"
    if (
        config.hook_name != "blocks.0.hook_resid_pre"
        or model.positions != "absolute"
        or config.architecture in TRANSCODERS
        or not linear
    ):
        raise DoesNotFitError(
            f"{dictionary.title} reads {config.hook_name} of {model.name} (positions: {model.positions}, input "
            f"normalisation: {config.normalize_activations}). Repairs need an SAE with a linear decoder at "
            "blocks.0.hook_resid_pre of a model with learned positions; choose such a dictionary."
        )


def _check(dictionary: Dictionary, rows: np.ndarray, features: Sequence[int], context_size: int) -> None:
    for feature in features:
        if not 0 <= feature < dictionary.d_sae:
            raise OutOfRangeError("Feature", feature, dictionary.d_sae)
    if rows.size == 0 or context_size < 1:
        raise CorpusError(
            f"Repairs need tokens inside the training context, got rows of shape {rows.shape} and a context of "
            f"{context_size}. Choose a longer text."
        )


class _Repairs:
    """Sums over rows of what every repair leaves."""

    def __init__(
        self,
        dictionary: Dictionary,
        model: LanguageModel,
        features: Int[np.ndarray, " positional"],
        context_size: int,
        n_pos: int,
    ):
        self._dictionary, self._model, self.features = dictionary, model, features
        self._position = model.W_pos[:n_pos].astype(np.float64)
        self._beyond = (np.arange(n_pos) >= context_size)[:, None]
        self._context = min(context_size, n_pos)
        self._written = dictionary.W_dec[features].astype(np.float64)
        self._error, self._n_inside = np.zeros(dictionary.d_in), 0
        self.square, self.length = np.zeros((2, len(REPAIRS), n_pos))

    def _outputs(self, x: Float[np.ndarray, "row pos d_in"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, its reconstruction, and that with positional features swapped for the position's vector."""
        x_hat = self._dictionary.reconstruct(x).astype(np.float64)
        acts = self._dictionary.encode(x)[..., self.features].astype(np.float64)
        return x.astype(np.float64), x_hat, x_hat - acts @ self._written + self._position

    def add_to_mean(self, rows: Int[np.ndarray, "row pos"], x: Float[np.ndarray, "row pos d_in"]) -> None:
        """Add up the mean error of the swapped reconstruction inside the context."""
        x, _, swapped = self._outputs(x)
        error = (swapped - x)[:, : self._context]
        self._error += error.sum(axis=(0, 1))
        self._n_inside += error.shape[0] * error.shape[1]

    def add(self, rows: Int[np.ndarray, "row pos"], x: Float[np.ndarray, "row pos d_in"]) -> None:
        """Add the errors of all repairs on some rows, in the order of REPAIRS."""
        x, x_hat, swapped = self._outputs(x)
        position = np.broadcast_to(self._position, x.shape)
        along = np.einsum("rpd,rpd->rp", position, x_hat)[..., None]
        square = np.einsum("rpd,rpd->rp", x_hat, x_hat)[..., None]
        orthogonal = position - np.divide(along, square, out=np.zeros_like(along), where=square > 0) * x_hat
        token = self._dictionary.reconstruct(self._model.W_E[rows]).astype(np.float64)
        repaired = (
            x_hat,
            x_hat + np.where(self._beyond, position, 0),
            x_hat + np.where(self._beyond, orthogonal, 0),
            swapped,
            swapped - self._error / self._n_inside,
            token + position,
        )
        for i, y in enumerate(repaired):
            square_error = ((x - y) ** 2).sum(axis=-1)
            self.square[i] += square_error.sum(axis=0)
            self.length[i] += np.sqrt(square_error).sum(axis=0)
