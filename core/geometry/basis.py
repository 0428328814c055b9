"""Alignment of features with single coordinates: neurons, dimensions of the stream, or outputs of an MLP's neurons.

A feature's coefficients belong to its decoder row, scaled to length 1. In the basis of its hook they are the entries of
this row; in the basis of a layer's neurons they are its cosines with what each neuron writes (rows of W_out).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError, OutOfRangeError
from core.maths.unit_rows import unit_rows
from core.models.language_model import LanguageModel
from core.models.writing import writing_matrix
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

TOP = 3
"""Number of largest coefficients that count for `top_share` (as in SAEDashboard)."""
LARGE = 0.1
"""Least absolute value of a coefficient that counts for `large`."""
_FLOATS_PER_BLOCK = 2**18
_CONSTANT = 1e-20
"""Coefficients with a variance under this are all equal, up to rounding."""


@dataclass(frozen=True)
class BasisAlignment:
    """The spread of every feature's coefficients in a basis.

    A zero or damaged decoder row has coordinate -1, large 0, and NaN elsewhere.
    """

    coordinate: Int[np.ndarray, " d_sae"]
    """The coordinate with the largest absolute coefficient; ties: lower coordinate."""
    coefficient: Float[np.ndarray, " d_sae"]
    """The coefficient there, with its sign."""
    top_share: Float[np.ndarray, " d_sae"]
    """Sum of the 3 largest absolute coefficients over the sum of all."""
    large: Int[np.ndarray, " d_sae"]
    """Number of coefficients of at least 0.1 in absolute value."""
    kurtosis: Float[np.ndarray, " d_sae"]
    """Mean of z^4 over coordinates, 3 for a Gaussian; NaN if all coefficients are equal."""
    effective: Float[np.ndarray, " d_sae"]
    """(sum of c^2)^2 / sum of c^4: n, if n coefficients c are equally large and all others are 0."""
    n_coordinates: int
    version: ClassVar[int] = 3

    @classmethod
    def key(cls, dictionary_sha256: str, basis: str = "hook") -> str:
        """Name the result by the dictionary and the basis (see `neuron_basis_key`)."""
        return artifact_key("basis-alignment", cls.version, dictionary=dictionary_sha256, basis=basis)

    def to_frame(self) -> pd.DataFrame:
        """One row per feature: feature, then the fields of this class under the names of the catalogue."""
        return pd.DataFrame(
            {
                "feature": np.arange(len(self.coordinate)),
                "top_coordinate": self.coordinate,
                "top_coefficient": self.coefficient,
                "top3_share": self.top_share,
                "large_coefficients": self.large,
                "basis_kurtosis": self.kurtosis,
                "effective_coordinates": self.effective,
            }
        )


def basis_alignment(
    dictionary: Dictionary,
    *,
    basis: Float[np.ndarray, "unit d_out"] | None = None,
    progress: Progress = SILENT,
    workers: int | None = None,
) -> BasisAlignment:
    """Describe every feature's coefficients: its decoder row's entries, or its cosines with the rows of `basis`.

    Directions have length 1, so that decoder norms do not matter; all is float64. Each worker needs about 10 MB.
    `progress` counts features. Raises DoesNotFitError for a basis of another width.
    """
    units = None if basis is None else _units(basis, dictionary)
    d_sae, n = dictionary.d_sae, dictionary.W_dec.shape[1] if units is None else len(units)
    step = max(1, _FLOATS_PER_BLOCK // n)  # not by workers: sums must not depend on their number

    def work(features: slice) -> dict[str, np.ndarray]:
        rows = _written(dictionary.W_dec[features])
        return _describe(rows if units is None else rows @ units.T)

    parts = run_blocks(work, d_sae, step, workers=workers, progress=progress)
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return BasisAlignment(n_coordinates=n, **fields)


def coefficients(
    dictionary: Dictionary, feature: int, *, basis: Float[np.ndarray, "unit d_out"] | None = None
) -> pd.DataFrame:
    """Return one feature's coefficients, largest absolute value first: coordinate, basis_coefficient.

    Raises OutOfRangeError for a feature that does not exist, DoesNotFitError for a basis of another width.
    """
    if not 0 <= feature < dictionary.d_sae:
        raise OutOfRangeError("Feature", feature, dictionary.d_sae)
    row = _written(dictionary.W_dec[feature : feature + 1])[0]
    values = row if basis is None else _units(basis, dictionary) @ row
    order = np.argsort(-np.abs(values), kind="stable")
    return pd.DataFrame({"coordinate": order, "basis_coefficient": values[order]})


def written_hook(dictionary: Dictionary) -> str:
    """Return the hook that decoder rows write to. A transcoder writes to another hook than it reads."""
    return dictionary.config.hook_name_out or dictionary.config.hook_name


def basis_name(hook_name: str) -> str:
    """Return a name for the coordinates at a hook."""
    point = hook_name.split(".", 2)[-1]
    if point in ("mlp.hook_post", "mlp.hook_pre"):
        return "neurons"
    if point == "attn.hook_z":
        return "head outputs"
    stream = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_mlp_out", "hook_attn_out")
    if point in stream or hook_name in ("hook_embed", "hook_pos_embed"):
        return "dimensions of the residual stream"
    return "coordinates of the hook"


def in_stream(hook_name: str) -> bool:
    """Whether vectors at a hook lie in the space of the residual stream, which neurons write to."""
    return basis_name(hook_name) == "dimensions of the residual stream"


def writing_layer(hook_name: str) -> int | None:
    """Return the last layer whose MLP writes into the stream before a hook; None without one, or outside the stream."""
    if not in_stream(hook_name) or not hook_name.startswith("blocks."):
        return None
    _, layer, point = hook_name.split(".", 2)
    own = int(layer) if point in ("hook_resid_post", "hook_mlp_out") else int(layer) - 1
    return own if own >= 0 else None


def neuron_basis(model: LanguageModel, layer: int) -> Float[np.ndarray, "d_mlp d_model"]:
    """Return what each neuron of a layer's MLP writes to the stream, not scaled to length 1.

    Raises DoesNotFitError if the model's file has no such tensor, NotDownloadedError if that part is not downloaded.
    """
    return writing_matrix(model, layer, "mlp.W_out")


def neuron_basis_key(model_sha256: str, layer: int) -> str:
    """Name the basis of a layer's neurons for `BasisAlignment.key`."""
    return f"neurons of layer {layer} of {model_sha256}"


def _units(basis: Float[np.ndarray, "unit d"], dictionary: Dictionary) -> Float[np.ndarray, "unit d"]:
    """Return the rows of a basis at length 1. The row of a unit that writes nothing stays zero."""
    if basis.shape[1] != dictionary.W_dec.shape[1]:
        raise DoesNotFitError(
            f"{dictionary.title} writes vectors of width {dictionary.W_dec.shape[1]:,}, the basis holds some of width "
            f"{basis.shape[1]:,}. Expected equal widths; choose the neurons of the model the dictionary belongs to."
        )
    return np.nan_to_num(unit_rows(basis, np.float64), nan=0.0)


def _written(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return decoder rows at length 1 in float64. Zero rows become NaN, as damaged rows are: they have no direction."""
    unit = unit_rows(rows, np.float64)
    unit[~unit.any(axis=1)] = np.nan
    return unit


def _describe(values: Float[np.ndarray, "feature unit"]) -> dict[str, np.ndarray]:
    """Return the fields of BasisAlignment for some features."""
    usable = np.isfinite(values).all(axis=1)
    values = np.where(usable[:, None], values, 0)
    size, n = np.abs(values), values.shape[1]
    place = size.astype(np.float32).argmax(axis=1)  # rounded, so that equal units tie
    top = np.partition(size, n - min(TOP, n), axis=1)[:, n - min(TOP, n) :].sum(axis=1)
    square = values**2
    total, fourth = square.sum(axis=1), (square**2).sum(axis=1)
    moved = (values - values.mean(axis=1, keepdims=True)) ** 2
    variance = moved.mean(axis=1)
    even = variance <= _CONSTANT
    nan = np.where(usable, 1.0, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "coordinate": np.where(usable, place, -1).astype(np.int32),
            "coefficient": values[np.arange(len(values)), place] * nan,
            "top_share": top / size.sum(axis=1) * nan,
            "large": (size >= LARGE).sum(axis=1).astype(np.int32),
            "kurtosis": np.where(even, np.nan, (moved**2).mean(axis=1) / variance**2) * nan,
            "effective": total**2 / fourth * nan,
        }
