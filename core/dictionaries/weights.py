"""The tensors of a dictionary: which ones it must have, and the folding of decoder norms."""

from collections.abc import Mapping

import numpy as np

from core.dictionaries.config import ADDITIVE, DictionaryConfig
from core.errors import BadDictionaryError


def can_fold(config: DictionaryConfig) -> bool:
    """Whether decoder norms can move into the activations without changing the support.

    Of rows that write to one place of several, the lengths say how much goes there, and activations are those of all.
    """
    if config.writes_elsewhere_too:
        return False
    if config.architecture in ("topk", "abstopk"):
        return config.rescale_acts_by_decoder_norm
    return config.architecture in ADDITIVE


def fold_norms(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scale decoder rows to length 1 and activations by the old length; x_hat stays the same.

    The rule is sae-lens' fold_W_dec_norm (norms clamped at 1e-8); r_mag needs no change, since the
    magnitude path shares W_enc. Raises BadDictionaryError where a product is no finite number.
    """
    W_dec = tensors["W_dec"]
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(W_dec, axis=1)
    beyond = np.isinf(norms)  # from 2e19 on float32 does not hold the squares
    norms[beyond] = np.linalg.norm(W_dec[beyond].astype(np.float64), axis=1)
    norms = np.maximum(norms, 1e-8).astype(np.float32)
    folded = dict(tensors)
    folded["W_dec"] = W_dec / norms[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        for name in ("W_enc", "b_enc", "b_gate", "b_mag", "threshold"):
            if name in tensors:
                folded[name] = tensors[name] * norms
    if not all(np.isfinite(array).all() for array in folded.values()):
        raise BadDictionaryError(
            f"Decoder rows are up to {norms.max():.3g} long, and weights times that length are no finite float32 "
            "numbers. Expected weights whose products are; switch the folding of decoder norms off to see them as "
            "stored."
        )
    return folded


def expected_shapes(config: DictionaryConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape each known tensor must have; sae-lens checks the others."""
    d_in, d_sae, d_out = config.d_in, config.d_sae, config.d_out
    per_feature = ("b_enc", "threshold", "b_gate", "b_mag", "r_mag")
    shapes = {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_out), "b_dec": (d_out,), "W_skip": (d_out, d_in)}
    return shapes | dict.fromkeys(per_feature, (d_sae,))


def check_tensors(config: DictionaryConfig, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise BadDictionaryError unless all tensors exist, have their shapes and are finite."""
    needed = needed_tensors(config)
    missing = sorted(needed - set(tensors))
    if missing:
        raise BadDictionaryError(
            f"The weights lack {', '.join(missing)}, which a {config.architecture} dictionary needs; "
            f"found {', '.join(sorted(tensors))[:200] or 'nothing'}. Check that config and weights belong together."
        )
    extra = sorted(set(tensors) - needed)
    if extra and config.architecture != "temporal":
        raise BadDictionaryError(
            f"The weights hold {', '.join(extra)[:200]}, which a {config.architecture} dictionary does not have; "
            f"expected {', '.join(sorted(needed))}. Check that config and weights belong together."
        )
    for name, shape in expected_shapes(config).items():
        if name in tensors and tensors[name].shape != shape:
            raise BadDictionaryError(
                f"{name} has shape {tensors[name].shape}, expected {shape} from d_in {config.d_in} and d_sae "
                f"{config.d_sae} in the config. Check that config and weights belong together."
            )
    for name, array in tensors.items():
        check_numbers(name, array)


def encoder_fits(tensors: Mapping[str, np.ndarray]) -> bool:
    """Whether encoder and biases have shapes that go together, so that one may be moved into the other.

    What does not fit stays as it is; `check_tensors` then names it.
    """
    encoder, read = tensors["W_enc"], tensors["b_dec"]
    per_feature = [tensors[name] for name in ("b_enc", "b_gate", "b_mag", "r_mag") if name in tensors]
    return encoder.ndim == 2 and all(encoder.shape == (*read.shape, *bias.shape) for bias in per_feature)


def needed_tensors(config: DictionaryConfig) -> set[str]:
    """Return the tensors without which a dictionary is incomplete; a temporal one has others besides."""
    needed = {"W_dec", "b_dec"}
    if config.architecture in ("temporal", "matching_pursuit"):
        return needed
    needed |= {"W_enc"} | ({"b_gate", "b_mag", "r_mag"} if config.architecture == "gated" else {"b_enc"})
    if config.architecture.startswith("jumprelu"):
        needed |= {"threshold"}
    if "skip" in config.architecture:
        needed |= {"W_skip"}
    return needed


def check_numbers(name: str, array: np.ndarray) -> None:
    """Raise BadDictionaryError unless a tensor holds finite floating-point numbers."""
    if array.dtype != np.float32:
        raise BadDictionaryError(
            f"{name} holds {array.dtype} values, expected floating-point weights. "
            "Save the dictionary again as float32, float16 or bfloat16."
        )
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise BadDictionaryError(
            f"{name} holds {bad:,} values that are NaN or infinite of {array.size:,}; expected finite weights. "
            "The training run or the file is damaged: save or download it again."
        )
