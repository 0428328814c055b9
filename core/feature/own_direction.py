"""A direction of the user's own (a probe, a difference of means, a row of another matrix) in place of a feature.

It becomes a dictionary with one feature, so that everything made for features works on it unchanged. With the
direction u of length 1, f = x · u where that exceeds a threshold, and 0 elsewhere; u is also the decoder row.
"""

import hashlib
import io
import math
import tokenize
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Num

from core.amounts import of_bytes
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError, OutOfRangeError
from core.models.language_model import LanguageModel

MAX_BYTES = 200_000_000
ENDINGS = (".npy", ".safetensors")
DENSITY = 0.01
"""Share of tokens that exceed the suggested threshold."""
PROBE_TOKENS = 2048
_UNREADABLE = (ValueError, OSError, EOFError, TypeError, KeyError, SyntaxError, OverflowError, tokenize.TokenError)


class DirectionError(LoupeError):
    """A file does not hold a direction that can stand in for a feature."""


@dataclass(frozen=True, eq=False)
class OwnDirection:
    """A direction of length 1, with a title that names its origin."""

    unit: Float[np.ndarray, " d_in"]
    title: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.unit).data).hexdigest()


def read_vectors(name: str, data: bytes) -> dict[str, Num[np.ndarray, "row d"]]:
    """Read the vectors of a .npy file, or of every 1-D and 2-D tensor of a .safetensors file, by tensor name.

    A .npy file has one array, under the empty name. Nothing is unpickled. Raises DirectionError.
    """
    if len(data) > MAX_BYTES:
        raise DirectionError(
            f"{name[:100]!r} has {of_bytes(len(data))}, expected at most {of_bytes(MAX_BYTES)}. Save only the "
            "direction, or the rows that are needed."
        )
    if not name.lower().endswith(ENDINGS):
        raise DirectionError(f"{name[:100]!r} is neither .npy nor .safetensors. Save the direction as one of them.")
    arrays = _read_npy(name, data) if name.lower().endswith(".npy") else _read_safetensors(name, data)
    vectors = {key: np.atleast_2d(array) for key, array in arrays.items() if array.ndim in (1, 2) and array.size}
    vectors = {key: array for key, array in vectors.items() if array.dtype.kind in "fiu"}
    if not vectors:
        held = ", ".join(f"{array.dtype} of shape {array.shape}" for array in arrays.values()) or "nothing"
        raise DirectionError(
            f"{name[:100]!r} holds {held[:200]}. Expected numbers in one or two dimensions: a vector, or rows to "
            "choose from. Save it as such."
        )
    return vectors


def _read_npy(name: str, data: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        said, there = math.prod(shape) * dtype.itemsize, len(data) - file.tell()
        if said != there:  # numpy would allocate as many bytes as the header says
            raise ValueError(f"its header says {said:,} bytes and it has {there:,}")
        return {"": np.load(io.BytesIO(data), allow_pickle=False)}
    except _UNREADABLE as error:
        raise _unreadable(name, error) from error


def _read_safetensors(name: str, data: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, AttributeError, *_UNREADABLE) as error:  # AttributeError: a type numpy lacks
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> DirectionError:
    return DirectionError(
        f"{name[:100]!r} cannot be read ({type(error).__name__}: {str(error)[:150]}). Expected a whole .npy file "
        "without pickled objects, or a .safetensors file of float16, float32 or float64; save it again."
    )


def own_direction(vectors: Num[np.ndarray, "row d"], row: int, *, d_in: int, title: str) -> OwnDirection:
    """Return one row, scaled to length 1.

    Raises DirectionError unless it has d_in finite numbers that are not all 0, OutOfRangeError for a missing row.
    """
    if not 0 <= row < len(vectors):
        raise OutOfRangeError("Row", row, len(vectors))
    vector = vectors[row].astype(np.float64)
    if len(vector) != d_in:
        raise DirectionError(
            f"{title[:100]!r} has {len(vector):,} numbers, expected {d_in:,}: the width of what this dictionary reads. "
            "Choose a direction of the same hook, or transpose the matrix."
        )
    bad = int((~np.isfinite(vector)).sum())
    if bad:
        raise DirectionError(
            f"{bad:,} of the {d_in:,} numbers of {title[:100]!r} are not finite, expected none. Choose another row or "
            "save it again."
        )
    largest = np.abs(vector).max()
    if largest == 0:
        raise DirectionError(f"All numbers of {title[:100]!r} are 0, expected a direction. Choose another row.")
    vector /= largest  # its squares could otherwise overflow
    return OwnDirection((vector / np.linalg.norm(vector)).astype(np.float32), title)


def projections(
    direction: OwnDirection, model: LanguageModel, hook_name: str, rows: Int[np.ndarray, "row pos"]
) -> Float[np.ndarray, " token"]:
    """Return x · u on all tokens of the first rows, about PROBE_TOKENS in all."""
    few = rows[: max(1, PROBE_TOKENS // rows.shape[1])]
    return (model.activations(few, hook_name).astype(np.float64) @ direction.unit).ravel()


def suggested_threshold(values: Float[np.ndarray, " token"], *, density: float = DENSITY) -> float:
    """Return the threshold that a share `density` of the values exceeds, but at least 0, as f is never negative."""
    return max(0.0, float(np.quantile(values.astype(np.float64), 1 - density)))


def as_dictionary(direction: OwnDirection, like: Dictionary, *, threshold: float) -> Dictionary:
    """Return the direction as a dictionary with one feature, for the model and hook of `like`."""
    assert threshold >= 0, threshold
    d_in = like.d_in
    raw = {
        "architecture": "jumprelu",
        "d_in": d_in,
        "d_sae": 1,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": dict(like.metadata),
    }
    config = replace(
        like.config,
        architecture="jumprelu",
        d_sae=1,
        d_out=d_in,
        hook_name_out=None,
        k=None,
        apply_b_dec_to_input=False,
        normalize_activations="none",
        reshape_activations="none",
        rescale_acts_by_decoder_norm=False,
        training_architecture="own direction",
    )
    tensors = {
        "W_enc": direction.unit[:, None].copy(),
        "W_dec": direction.unit[None].copy(),
        "b_enc": np.zeros(1, np.float32),
        "b_dec": np.zeros(d_in, np.float32),
        "threshold": np.array([threshold], np.float32),
    }
    return Dictionary(
        id=f"own/{direction.sha256[:16]}",
        title=direction.title,
        config=config,
        raw_config=raw,
        tensors=tensors,
        fold_decoder_norms=False,
    )
