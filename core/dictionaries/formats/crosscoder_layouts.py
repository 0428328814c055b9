"""Crosscoders in three layouts, each brought into one: dictionary_learning's, Llamascopium's, and Kissane et al.'s.

What an encoder and a decoder there compute is folded into weights, biases and thresholds for every side.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from core.dictionaries.formats import last_part, rename
from core.dictionaries.formats.stored import Stored
from core.dictionaries.hooks import hook_in_config, hook_of
from core.dictionaries.weights import check_numbers
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields

MOST_SIDES = 256
CLASSES = ("CrossCoder", "BatchTopKCrossCoder")
_BY_LENGTH = {1: "CROSSCODER", 2: "SAE", 3: "MIXED", 4: "NONE", 5: "DECOUPLED"}
"""What dictionary_learning saves as code_normalization_id: by which length of the rows features compete."""
_LOG_THRESHOLDS = ("log_jumprelu_threshold", "activation_function.log_jumprelu_threshold")
_LENGTH = "dataset_average_activation_norm"
_NORMALISER = ("activation_mean", "activation_std", "activation_global_scale", "target_rms")


def is_named(raw: Mapping[str, Any]) -> bool:
    """Whether a config, as it lies in a file, is that of a crosscoder: by its class, its type, or a key of its own."""
    trainer = raw.get("trainer")
    said = trainer if isinstance(trainer, dict) else raw
    by_class = isinstance(said.get("dict_class"), str) and said["dict_class"] in CLASSES
    return by_class or raw.get("sae_type") == "crosscoder" or {"dec_init_norm", "hook_point"} <= raw.keys()


@dataclass(frozen=True)
class Sides:
    """A crosscoder in one layout: the first axis is the side."""

    W_enc: Float[np.ndarray, "side d d_sae"]
    b_enc: Float[np.ndarray, " d_sae"]
    W_dec: Float[np.ndarray, "side d_sae d"]
    b_dec: Float[np.ndarray, "side d"]
    threshold: Float[np.ndarray, "side d_sae"] | None = None
    """The pre-activation that a feature must exceed, on each side; None: 0."""
    k: int | None = None
    lengths: Float[np.ndarray, "side d_sae"] | None = None
    """Of a TopK: what pre-activations are multiplied by before they compete, on each side."""
    hooks: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    kind: str = "crosscoder"
    notes: tuple[str, ...] = ()
    known: dict[str, Any] = field(default_factory=dict)
    """What else the config says: context_size."""


def layout_of(arrays: Mapping[str, np.ndarray], path: Path) -> str:
    """Return by which tensor a layout is known; raise BadDictionaryError for none with three axes."""
    for name in LAYOUTS:
        if name in arrays and arrays[name].ndim == 3:
            return name
    raise BadDictionaryError(
        f"{path} has no encoder of three axes (side, width, feature), so it is no crosscoder; found "
        f"{', '.join(sorted(arrays))[:200]}. Expected one; choose another file or set the format."
    )


def _dictionary_learning(stored: Stored, config: ConfigFields, path: Path) -> Sides:
    """Read CrossCoder and BatchTopKCrossCoder: their normaliser is folded in, their threshold made one for pre_acts."""
    names = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight", "b_dec": "decoder.bias"}
    arrays = stored.arrays
    spare = {*_NORMALISER, "code_normalization_id", "k", "threshold"}
    w = _checked(rename(arrays, names, path, spare=spare), path)
    n = len(w["W_enc"])
    length = _competing_length(arrays, config, w["W_dec"], path)
    threshold, notes = None, ()
    if "threshold" in arrays or config.peek("dict_class") == CLASSES[1]:
        threshold, notes = _threshold(arrays, length, n, path)
    kind = "crosscoder" if threshold is None else "batchtopk_crosscoder"
    W_enc, b_enc, W_dec, b_dec = _normalised(w, arrays, path)
    return Sides(W_enc, b_enc, W_dec, b_dec, threshold, hooks=hooks_of(config), kind=kind, notes=notes)


def _competing_length(
    arrays: Mapping[str, np.ndarray], config: ConfigFields, W_dec: np.ndarray, path: Path
) -> Float[np.ndarray, "side d_sae"]:
    """Return what a pre-activation is multiplied by before it is held against the threshold, on each side."""
    stored = arrays.get("code_normalization_id")
    said = config.text("code_normalization") if stored is None else None
    how = (
        _BY_LENGTH.get(int(stored.reshape(-1)[0])) if stored is not None and stored.size == 1 else said or "CROSSCODER"
    )
    norms = np.linalg.norm(W_dec, axis=-1)
    alone, together = norms.sum(axis=0), np.sqrt((norms**2).sum(axis=0))
    weights = [
        _number(config, f"code_normalization_alpha_{name}", usual) for name, usual in (("sae", 1.0), ("cc", 0.1))
    ]
    ways = {
        "CROSSCODER": alone,
        "SAE": together,
        "MIXED": weights[0] * together + weights[1] * alone,
        "NONE": np.ones_like(alone),
        "DECOUPLED": norms,
    }
    if how not in ways:
        raise BadDictionaryError(
            f"{path} says code_normalization {how!s:.40}; expected one of {', '.join(ways)}. Check that it is whole."
        )
    return np.broadcast_to(ways[how], norms.shape)


def _number(config: ConfigFields, name: str, usual: float) -> float:
    value = config.value(name)
    if value is None or (type(value) in (int, float) and abs(value) < 1e9):
        return usual if value is None else float(value)
    raise config.bad(name, "a number")


def _threshold(
    arrays: Mapping[str, np.ndarray], length: np.ndarray, n: int, path: Path
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return each feature's threshold, and a note where none was estimated; raise BadDictionaryError for none."""
    threshold = arrays.get("threshold")
    if threshold is None or threshold.size not in (1, n):
        raise BadDictionaryError(
            f"{path} is a BatchTopK crosscoder, and its threshold has shape {getattr(threshold, 'shape', None)}; "
            f"expected one number, or one for each of {n} sides. Save it whole."
        )
    check_numbers("threshold", threshold)
    each = np.broadcast_to(threshold.reshape(-1, 1), length.shape) / np.where(length > 0, length, 1e-30)
    each = np.minimum(each, np.finfo(np.float32).max)
    if (threshold >= 0).all():
        return each, ()
    return each, (
        "Its threshold is negative, so it was never estimated (training was too short): features fire wherever their "
        "pre-activation is positive, more than in training.",
    )


def _normalised(w: dict[str, np.ndarray], arrays: Mapping[str, np.ndarray], path: Path) -> tuple[np.ndarray, ...]:
    """Fold the normaliser of inputs and outputs into the weights; NaN there stands for none."""
    mean, scale = (arrays.get(name) for name in ("activation_mean", "activation_global_scale"))
    W_enc, b_enc, W_dec, b_dec = (w[name] for name in ("W_enc", "b_enc", "W_dec", "b_dec"))
    if mean is None or scale is None or np.isnan(mean).any() or np.isnan(arrays.get("activation_std", mean)).any():
        return W_enc, b_enc, W_dec, b_dec
    if mean.shape != b_dec.shape or scale.shape != mean.shape[:1] or W_enc.shape[:2] != mean.shape:
        raise BadDictionaryError(
            f"{path} normalises its inputs by a mean of shape {mean.shape} and scales of shape {scale.shape}; expected "
            f"{b_dec.shape} and {b_dec.shape[:1]}. Check that it is whole."
        )
    mean, scale = mean.astype(np.float64), scale.astype(np.float64)
    back = (scale + 1e-8)[:, None]
    W_enc = W_enc * scale[:, None, None]
    b_enc = b_enc - np.einsum("sd,sdf->f", mean, W_enc)
    return W_enc, b_enc, W_dec / back[..., None], b_dec / back + mean


def _llamascopium(stored: Stored, config: ConfigFields, path: Path) -> Sides:
    """Read Crosscoder: the biases of all sides are added up, and features compete on each side by its own lengths."""
    arrays = stored.arrays
    names = {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D", "b_dec": "b_D"}
    spare = {name for name in arrays if name.startswith(_LENGTH) or name in _LOG_THRESHOLDS}
    w = _checked(rename(arrays, names, path, spare=spare), path, bias_of_each=True)
    how = config.one_of("act_fn", {"relu", "jumprelu", "topk"}, default="relu")
    lengths = np.linalg.norm(w["W_dec"], axis=-1)
    threshold = None
    if how == "jumprelu":
        name = next((name for name in _LOG_THRESHOLDS if name in arrays), None)
        if name is None:
            raise config.bad("act_fn", f"relu or topk, as the weights hold no {_LOG_THRESHOLDS[0]}")
        threshold = np.minimum(np.exp(arrays[name]) / np.where(lengths > 0, lengths, 1e-30), np.finfo(np.float32).max)
    hooks, factors = hooks_of(config), np.ones(len(w["W_enc"]))
    if config.one_of("norm_activation", {"dataset-wise", "inference"}, default="dataset-wise") == "dataset-wise":
        points = config.peek("hook_points") or []
        stored_lengths = [arrays.get(f"{_LENGTH}.{point}", np.zeros(1)).reshape(-1) for point in points]
        averages = np.array([value[0] if value.size else 0 for value in stored_lengths], np.float64)
        if len(averages) != len(factors) or not ((averages > 0) & np.isfinite(averages)).all():
            raise config.bad("norm_activation", f"inference, or {_LENGTH} in the weights for every hook point")
        factors = w["W_enc"].shape[1] ** 0.5 / averages
    return Sides(
        w["W_enc"] * factors[:, None, None],
        w["b_enc"].sum(axis=0),
        w["W_dec"] / factors[:, None, None],
        w["b_dec"] / factors[:, None],
        threshold,
        k=config.whole("top_k", needed=True) if how == "topk" else None,
        lengths=lengths,
        hooks=hooks,
    )


def _kissane(stored: Stored, config: ConfigFields, path: Path) -> Sides:
    """Read the crosscoders of two models by Kissane et al.: W_enc (model, d, feature), W_dec (feature, model, d)."""
    names = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    w = rename(stored.arrays, names, path)
    w = _checked(w | ({"W_dec": np.moveaxis(w["W_dec"], 1, 0)} if w["W_dec"].ndim == 3 else {}), path)
    point = config.text("hook_point")
    hooks = (hook_in_config(point, None),) * len(w["W_enc"]) if point else ()
    return Sides(w["W_enc"], w["b_enc"], w["W_dec"], w["b_dec"], hooks=hooks)


LAYOUTS: dict[str, Callable[[Stored, ConfigFields, Path], Sides]] = {
    "encoder.weight": _dictionary_learning,
    "W_E": _llamascopium,
    "W_enc": _kissane,
}


def hooks_of(config: ConfigFields) -> tuple[str, ...]:
    """Return the hooks of all sides, as far as a config says them."""
    points = config.peek("hook_points")
    if isinstance(points, list) and points and all(isinstance(point, str) for point in points):
        return tuple(hook_in_config(point, None) for point in points[:MOST_SIDES])
    layer, name = config.peek("layer"), config.peek("submodule_name")
    if type(layer) is int and layer >= 0 and (name is None or isinstance(name, str)):
        hook = hook_of(name or "resid_post", layer=layer, model_name=last_part(config.peek("lm_name")))
        return (hook,) if hook else ()
    return ()


def _checked(w: dict[str, np.ndarray], path: Path, *, bias_of_each: bool = False) -> dict[str, np.ndarray]:
    """Return tensors whose shapes go together; raise BadDictionaryError for others, and for what is not finite."""
    shape = w["W_enc"].shape
    n, d, d_sae = shape if len(shape) == 3 else (0, 0, 0)
    expected = {"b_enc": (n, d_sae) if bias_of_each else (d_sae,), "W_dec": (n, d_sae, d), "b_dec": (n, d)}
    for name, right in expected.items():
        if w[name].shape != right:
            raise BadDictionaryError(
                f"{name} in {path} has shape {w[name].shape}; expected {right} from an encoder of shape {shape} (side, "
                "width, feature). Check that it is whole."
            )
    if not 0 < n <= MOST_SIDES or not d * d_sae:
        raise BadDictionaryError(
            f"{path} has {n} sides of width {d} with {d_sae:,} features; expected 1 to {MOST_SIDES} sides, none "
            "empty. Choose another."
        )
    for name, array in w.items():
        check_numbers(name, array)
    return {name: array.astype(np.float64) for name, array in w.items()}
