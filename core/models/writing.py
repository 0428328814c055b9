"""What a block's attention and MLP write to the residual stream, by their last matrices and what stands behind them."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from core.models.language_model import LanguageModel

Matrix = Literal["attn.W_O", "mlp.W_out"]
_NORM_BEHIND = {"attn.W_O": "ln1_post.w", "mlp.W_out": "ln2_post.w"}


def writing_matrix(model: LanguageModel, layer: int, name: Matrix) -> Float[np.ndarray, "d_in d_model"]:
    """Return what each input of a matrix writes to the stream, all heads of W_O one after the other.

    A norm behind the matrix (Gemma 2 and 3, OLMo 2 and 3) scales its output by a factor that depends on the token;
    only its weight, which turns directions, is in these rows. A multiplier (Granite) is in them. Raises
    DoesNotFitError if the files have no such matrix, NotDownloadedError if that part is not downloaded.
    """
    matrix = model.tensor(f"blocks.{layer}.{name}").reshape(-1, model.d_model)
    if model.centred:
        matrix = matrix - matrix.mean(axis=1, keepdims=True)
    if norms_writing(model):
        matrix = matrix * model.tensor(f"blocks.{layer}.{_NORM_BEHIND[name]}")
    scale = model.config.get("residual_scale", 1.0)
    return matrix if scale == 1 else matrix * np.float32(scale)


def norms_writing(model: LanguageModel) -> bool:
    """Whether a norm stands between what attention and MLP give and the stream."""
    return bool(model.config.get("use_normalization_before_and_after"))
