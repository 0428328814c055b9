"""The two factors of a logit weight: what features write to the residual stream, and the unembedding that reads it.

Every choice that changes a logit weight is a field of LogitSettings. The page shows it, and the name of every result
holds it.
"""

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import WRITES, split_hook
from core.errors import DoesNotFitError
from core.maths.equal_rows import Ties, copies
from core.maths.square_sums import sum_of_squares
from core.maths.unit_rows import unit_rows
from core.models.language_model import LanguageModel
from core.models.search import check_head
from core.models.writing import Matrix, norms_writing, writing_matrix
from core.work.threads import run_blocks

Centre = Literal["mean", "median", "none"]
_FEATURES = 512
"""Decoder rows that are multiplied at a time. It is fixed, so that the number of processors does not change any bit."""


@dataclass(frozen=True)
class LogitSettings:
    """How to make logit weights from decoder and unembedding; the defaults are TransformerLens' own."""

    fold_ln: bool = True
    """Multiply W_U by the weight of the final norm, if the model has one."""
    center_d_model: bool = True
    """Subtract from every token's column of W_U its mean over d_model. Only with LayerNorm: RMSNorm keeps the mean."""
    center: Centre = "mean"
    """Centring over the vocabulary. "mean": subtract W_U's mean over tokens; "median": shift every feature's median
    to 0; "none": do neither."""
    unit_columns: bool = False
    """Scale every token's column of W_U to length 1, after all centring."""
    unit_rows: bool = False
    """Scale the direction that every feature writes to length 1. With unit_columns, logit weights are cosines."""
    skip_unused: bool = False
    """Leave out ids for which the tokenizer has no text."""

    def __post_init__(self):
        assert self.center in ("mean", "median", "none"), self.center

    def done_to(self, model: LanguageModel) -> "LogitSettings":
        """Return these settings without those that do nothing to this model: folding or centring that it lacks."""
        return replace(
            self,
            fold_ln=self.fold_ln and model.ln_final[0] is not None,
            center_d_model=self.center_d_model and has_layer_norm(model),
        )

    def describe(self, model: LanguageModel) -> str:
        """Return a line for captions that says what is done to the weights of a model."""
        done = self.done_to(model)
        over = {"mean": "centred over the vocabulary", "median": "median of each feature at 0", "none": "not centred"}
        parts = ["final norm folded" if done.fold_ln else "final norm not folded"]
        parts += ["centred over d_model"] if done.center_d_model else []
        parts += [over[self.center]]
        parts += ["token columns of length 1"] if self.unit_columns else []
        parts += ["feature rows of length 1"] if self.unit_rows else []
        parts += ["ids without text left out"] if self.skip_unused else []
        cap = model.config.get("output_logits_soft_cap") or 0
        parts += [f"before the model's cap of its logits at ±{cap:g}"] if cap > 0 else []
        scale = model.config.get("logit_scale", 1.0)
        parts += [f"times the model's logit scale {scale:.4g}"] if scale != 1 else []
        return ", ".join(parts)

    def as_inputs(self) -> dict[str, str | bool]:
        """Return the fields for artifact keys and provenance."""
        return asdict(self)


@dataclass(frozen=True)
class Unembedding:
    """The processed W_U, one row per token. Rows may be float16, for vocabularies that do not fit otherwise."""

    rows: Float[np.ndarray, "n_tokens d_model"]
    tokens: Int[np.ndarray, " n_tokens"]
    """The token id of each row, ascending."""

    @cached_property
    def ties(self) -> Ties:
        """Tokens with equal rows, and so with equal logit weights; for example, ids that were never trained."""
        return Ties(copies(self.rows))

    @cached_property
    def mean(self) -> Float[np.ndarray, " d_model"]:
        """Mean over tokens."""
        return self.rows.sum(axis=0, dtype=np.float64) / len(self.rows)

    @cached_property
    def spread(self) -> float:
        """Root mean square entry of the centred rows.

        It is the standard deviation over tokens for a direction of length 1, if W_U varies equally in all directions.
        """
        return np.sqrt(sum_of_squares(self.rows, about=self.mean) / len(self.rows) / self.rows.shape[1])


def has_layer_norm(model: LanguageModel) -> bool:
    """Whether the final norm is a LayerNorm, which subtracts the mean over d_model; RMSNorm does not."""
    return str(model.config.get("normalization_type")).startswith("LN")


def source_key(model: LanguageModel, settings: LogitSettings) -> str:
    """Return the content hash of everything in a model that `unembedding` and `residual_directions` read."""
    return f"{model.sha256} {model.tokenizer_sha256}" if settings.skip_unused else model.sha256


def unembedding(model: LanguageModel, settings: LogitSettings) -> Unembedding:
    """Process W_U by `settings`: fold, centre over d_model, centre over tokens, scale, in this order.

    With the defaults, the result is that of TransformerLens' fold_ln and center_unembed. `center="median"` shifts
    features, not W_U, and does nothing here. Raises DoesNotFitError for a model without W_U.
    """
    W_U, (weight, _) = model.W_U, model.ln_final
    texts = model.token_strings if settings.skip_unused else ()
    tokens = np.array([i for i, text in enumerate(texts) if text]) if settings.skip_unused else np.arange(model.d_vocab)
    if not len(tokens):
        raise DoesNotFitError(
            f"The tokenizer of {model.name} has no text for any of {model.d_vocab} ids; expected at least one. "
            "Include ids without text, or check tokenizer.json."
        )
    rows = np.array((W_U if len(tokens) == W_U.shape[1] else W_U[:, tokens]).T, order="C")
    done = settings.done_to(model)
    if done.fold_ln:
        rows *= weight
    if done.center_d_model:
        rows -= rows.mean(axis=1, keepdims=True)
    if settings.center == "mean":
        rows -= rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = _unit(rows) if settings.unit_columns else rows
    rows.flags.writeable = False  # so that a device may keep its copy
    return Unembedding(rows, tokens)


def residual_directions(
    dictionary: Dictionary, model: LanguageModel, settings: LogitSettings
) -> Float[np.ndarray, "d_sae d_model"]:
    """Return what each feature adds to the residual stream, per unit of activation (float32).

    This is W_dec at hooks of the residual stream, W_dec @ W_out of the block at mlp.hook_post, and W_dec @ W_O, with
    all heads flattened, at attn.hook_z. The hook of a transcoder is the one that it writes to. Raises DoesNotFitError
    for other hooks and for a decoder of another width.
    """
    hook = dictionary.config.hook_name_out or dictionary.config.hook_name
    layer, point = split_hook(hook)
    W_dec = dictionary.W_dec
    if point in WRITES or hook in ("hook_embed", "hook_pos_embed"):
        check_width(dictionary, model, hook, model.d_model)
        rows = W_dec
    elif layer is not None and point == "attn.hook_z" and dictionary.config.hook_head_index is not None:
        rows = through_one_head(dictionary, model, hook, dictionary.config.hook_head_index)
    elif layer is not None and point in ("mlp.hook_post", "attn.hook_z"):
        rows = through_weights(dictionary, model, hook, "mlp.W_out" if point == "mlp.hook_post" else "attn.W_O")
    else:
        raise DoesNotFitError(
            f"Features of {dictionary.title} write to {hook[:100]!r}, which no weight matrix alone takes to the "
            f"residual stream. Expected one of {', '.join(WRITES)}, mlp.hook_post or attn.hook_z of a block: choose "
            "such a dictionary."
        )
    return _unit(rows) if settings.unit_rows else rows


def describe_directions(dictionary: Dictionary, model: LanguageModel) -> list[str]:
    """Say for captions what `residual_directions` leaves out of what a feature adds to the stream; mostly nothing."""
    hook = dictionary.config.hook_name_out or dictionary.config.hook_name
    if hook.endswith((".mlp.hook_post", ".attn.hook_z")) and norms_writing(model):
        return ["by the weight of the norm behind the matrix, without its scale, which depends on the token"]
    return []


def through_one_head(
    dictionary: Dictionary, model: LanguageModel, hook: str, head: int
) -> Float[np.ndarray, "d_sae d_model"]:
    """Multiply the decoder rows of a dictionary that reads one head with that head's part of W_O."""
    layer, _ = split_hook(hook)
    W_O = writing_matrix(model, layer, "attn.W_O")
    check_head(dictionary.config, model, len(W_O))
    d_head = dictionary.d_in
    return _carried(dictionary, W_O[head * d_head : (head + 1) * d_head])


def through_weights(
    dictionary: Dictionary, model: LanguageModel, hook: str, name: Matrix
) -> Float[np.ndarray, "d_sae d_model"]:
    """Multiply decoder rows with W_out or W_O of their block."""
    layer, _ = split_hook(hook)
    matrix = writing_matrix(model, layer, name)
    check_width(dictionary, model, hook, len(matrix))
    return _carried(dictionary, matrix)


def _carried(dictionary: Dictionary, matrix: Float[np.ndarray, "d_out d_model"]) -> Float[np.ndarray, "d_sae d_model"]:
    W_dec = dictionary.W_dec
    parts = run_blocks(lambda features: W_dec[features] @ matrix, len(W_dec), _FEATURES)
    return np.concatenate(parts)


def check_width(dictionary: Dictionary, model: LanguageModel, hook: str, expected: int) -> None:
    """Raise DoesNotFitError unless decoder rows have the width of the hook they write to."""
    width = dictionary.W_dec.shape[1]
    if width != expected:
        raise DoesNotFitError(
            f"Features of {dictionary.title} write rows of width {width}, but {hook} of {model.name} has {expected}. "
            "Choose the model it was trained on, or check d_in and d_out in its cfg.json."
        )


def _unit(rows: Float[np.ndarray, "row d"]) -> Float[np.ndarray, "row d"]:
    """Scale rows to length 1. A row with NaN becomes zero, so that one damaged token cannot spoil all moments."""
    return np.nan_to_num(unit_rows(rows, rows.dtype), copy=False, nan=0.0)
