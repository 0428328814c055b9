"""How far features lie along single coordinates: neurons, dimensions of the stream, or the outputs of an MLP's neurons.

Coefficients are of what a feature writes, d_i of length 1: in the basis of its hook they are the entries of its
decoder row, in that of a layer's neurons the cosines with what each neuron writes (rows of W_out).
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
from core.work.artifacts import artifact_key
from core.work.jobs import SILENT, Progress
from core.work.threads import run_blocks

TOP = 3
"""How many of the largest coefficients make up `top_share` (as in SAEDashboard)."""
LARGE = 0.1
_FLOATS_PER_BLOCK = 2**18
_CONSTANT = 1e-20
"""Coefficients of length 1 with a variance under this are equal, up to rounding."""


@dataclass(frozen=True)
class BasisAlignment:
    """For every feature, how its coefficients in a basis are spread. NaN, -1 and 0 for a zero or damaged row."""

    coordinate: Int[np.ndarray, " d_sae"]
    """Where the coefficient is largest in size; ties: lower coordinate."""
    coefficient: Float[np.ndarray, " d_sae"]
    top_share: Float[np.ndarray, " d_sae"]
    """Sum of the 3 largest sizes over the sum of all."""
    large: Int[np.ndarray, " d_sae"]
    """Number of coefficients of at least 0.1 in size."""
    kurtosis: Float[np.ndarray, " d_sae"]
    """Mean of z^4 over coordinates, 3 for a Gaussian; NaN where all are equal."""
    effective: Float[np.ndarray, " d_sae"]
    """(sum of c^2)^2 / sum of c^4: the number of coordinates, were all that count equally large."""
    n_coordinates: int
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, dictionary_sha256: str, basis: str = "hook") -> str:
        """Name it by the dictionary and by what the basis is (see `neuron_basis_key`)."""
        return artifact_key("basis-alignment", cls.version, dictionary=dictionary_sha256, basis=basis)

    def to_frame(self) -> pd.DataFrame:
        """One row per feature: feature, top_coordinate, top_coefficient, top3_share, large_coefficients and so on."""
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

    Everything is float64 of directions of length 1, so decoder norms do not matter. Each worker needs about
    10 MB. `progress` counts features. Raises DoesNotFitError for a basis of another width.
    """
    units = None if basis is None else _units(basis, dictionary)
    d_sae, n = dictionary.d_sae, dictionary.W_dec.shape[1] if units is None else len(units)
    step = max(1, _FLOATS_PER_BLOCK // n)  # the same for any number of workers, so that sums are

    def work(features: slice) -> dict[str, np.ndarray]:
        rows = _written(dictionary.W_dec[features])
        return _describe(rows if units is None else rows @ units.T)

    parts = run_blocks(work, d_sae, step, workers=workers, progress=progress)
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return BasisAlignment(n_coordinates=n, **fields)


def coefficients(
    dictionary: Dictionary, feature: int, *, basis: Float[np.ndarray, "unit d_out"] | None = None
) -> pd.DataFrame:
    """Return one feature's coefficients, largest in size first: coordinate, basis_coefficient.

    Raises OutOfRangeError for a feature that does not exist, DoesNotFitError for a basis of another width.
    """
    if not 0 <= feature < dictionary.d_sae:
        raise OutOfRangeError("Feature", feature, dictionary.d_sae)
    row = _written(dictionary.W_dec[feature : feature + 1])[0]
    values = row if basis is None else _units(basis, dictionary) @ row
    order = np.argsort(-np.abs(values), kind="stable")
    return pd.DataFrame({"coordinate": order, "basis_coefficient": values[order]})


def written_hook(dictionary: Dictionary) -> str:
    """Return the hook that decoder rows write to: a transcoder's is not the one that it reads."""
    return dictionary.config.hook_name_out or dictionary.config.hook_name


def basis_name(hook_name: str) -> str:
    """Say in words what the coordinates at a hook are."""
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
    """Return what each neuron of a layer's MLP writes to the stream, not scaled.

    Raises DoesNotFitError where the model's file has no such tensor, NotDownloadedError where it is not here.
    """
    W_out = model.tensor(f"blocks.{layer}.mlp.W_out")
    return W_out - W_out.mean(axis=1, keepdims=True) if model.centred else W_out


def neuron_basis_key(model_sha256: str, layer: int) -> str:
    """Name the basis of a layer's neurons for `BasisAlignment.key`."""
    return f"neurons of layer {layer} of {model_sha256}"


def _units(basis: Float[np.ndarray, "unit d"], dictionary: Dictionary) -> Float[np.ndarray, "unit d"]:
    """Return a basis as rows of length 1; a unit that writes nothing stays zero, and has cosine 0 with all."""
    if basis.shape[1] != dictionary.W_dec.shape[1]:
        raise DoesNotFitError(
            f"{dictionary.title} writes vectors of width {dictionary.W_dec.shape[1]:,}, the basis holds some of width "
            f"{basis.shape[1]:,}. Expected equal widths; choose the neurons of the model the dictionary belongs to."
        )
    return np.nan_to_num(unit_rows(basis, np.float64), nan=0.0)


def _written(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """Return decoder rows at length 1 in float64; a zero row, which has no direction, is NaN like a damaged one."""
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
