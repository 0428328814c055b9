"""Vectors that a person hands over: numpy arrays or torch tensors of any float dtype, on any device."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from core.dictionaries.dictionary import Dictionary
from core.errors import BadSettingError, DoesNotFitError

Back = Callable[[np.ndarray], Any]
"""Turns a float32 array into what the person handed over: an array, or a tensor on the same device."""


def taken(vectors: Any, call: str, width: int, width_name: str, dictionary: Dictionary) -> tuple[np.ndarray, Back]:
    """Return vectors as float32, and how to give results back. The last axis must be `width` long.

    Raises BadSettingError for what holds no floats, DoesNotFitError for another width.
    """
    array, back = _floats(vectors, call)
    shape = tuple(array.shape)
    if not shape or shape[-1] != width:
        raise DoesNotFitError(
            f"{call} was given vectors of shape {shape}. Expected (..., {width:,}): the last axis is {width_name} of "
            f"{dictionary.title}, {width:,}. {_step(shape, width)}"
        )
    return array, back


def _floats(vectors: Any, call: str) -> tuple[np.ndarray, Back]:
    torch = sys.modules.get("torch")  # who holds a tensor has imported it
    if torch is not None and isinstance(vectors, getattr(torch, "Tensor", ())):
        _check_floats(vectors.is_floating_point(), str(vectors.dtype), call)
        if vectors.layout != torch.strided:
            raise BadSettingError(f"{call} was given a sparse tensor. Expected a dense one; pass x.to_dense().")
        device = vectors.device
        return vectors.detach().to("cpu", torch.float32).numpy(), lambda result: torch.from_numpy(result).to(device)
    if isinstance(vectors, str | bytes | dict | set) or not hasattr(vectors, "__len__"):
        raise BadSettingError(
            f"{call} was given {type(vectors).__name__} {str(vectors)[:60]!r}. Expected a numpy array or a torch "
            "tensor of floats."
        )
    try:
        array = np.asarray(vectors)
    except ValueError as error:
        raise BadSettingError(f"{call} was given rows of unequal length ({error}). Expected one array.") from error
    # bfloat16 and its kin are numpy dtypes of kind V, from ml_dtypes.
    _check_floats(array.dtype.kind == "f" or "float" in array.dtype.name, str(array.dtype), call)
    return array.astype(np.float32), lambda result: result


def _check_floats(are_floats: bool, dtype: str, call: str) -> None:
    if not are_floats:
        raise BadSettingError(
            f"{call} was given numbers of dtype {dtype}. Expected floats: vectors of the model at the dictionary's "
            "hook. For token ids, run the model first; for whole numbers, convert them to floats."
        )


def _step(shape: tuple[int, ...], width: int) -> str:
    if len(shape) > 1 and shape[-2] == width:
        return "Swap the last two axes, as in x.swapaxes(-1, -2)."
    if len(shape) > 1 and shape[-1] * shape[-2] == width:
        return "Put the heads one after the other first, as in x.reshape(*x.shape[:-2], -1)."
    return "Pass vectors of the model and hook that it was trained on."
