"""The first so many features of a dictionary as one of their own: the levels of a Matryoshka dictionary, or any number.

Bussmann et al. 2025 train each level to reconstruct by itself, so a level's x_hat is that of its features alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from core.dictionaries.config import ADDITIVE, WITH_K, DictionaryConfig
from core.dictionaries.origin import Choice
from core.errors import BadDictionaryError

_BY_FEATURE = ("W_dec", "b_enc", "b_gate", "b_mag", "r_mag", "threshold")


def number_asked(config: DictionaryConfig, settings: Mapping[str, str | int | bool], title: str) -> int | None:
    """Return how many features are asked for by `features` or `level`, None where all are.

    Raises BadDictionaryError for a level or number that there is not, and for features that need the others.
    """
    n, level, widths = settings.get("features"), settings.get("level"), config.matryoshka_widths
    if n is None and level is None:
        return None
    if level is not None and not 0 < level <= len(widths):
        known = f"1 to {len(widths)}" if widths else "none, as it is no Matryoshka dictionary; write #features=N"
        raise BadDictionaryError(f"{title} has no level {level}; expected {known}. Correct it after the #.")
    n = widths[level - 1] if n is None else n
    if not 0 < n <= config.d_sae:
        raise BadDictionaryError(
            f"{title} has {config.d_sae:,} features, so its first {n:,} cannot be looked at; expected 1 to "
            f"{config.d_sae:,}. Correct it after the #."
        )
    if not separable(config):
        raise BadDictionaryError(
            f"{title} is a {config.kind} dictionary, whose features are computed from each other; expected one whose "
            "first features can be looked at by themselves. Leave features and level out after the #."
        )
    return None if n == config.d_sae else n


def separable(config: DictionaryConfig) -> bool:
    """Whether some of the features make a dictionary of their own: none is computed from the others, but for k."""
    return config.architecture in ADDITIVE | WITH_K and config.blocks == 1


def first_features(
    raw: Mapping[str, Any], tensors: Mapping[str, np.ndarray], config: DictionaryConfig, n: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return config and weights of the first n features."""
    widths = [width for width in config.matryoshka_widths if width <= n]
    return only_features(raw, tensors, config, slice(n), widths)


def only_features(
    raw: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    config: DictionaryConfig,
    features: slice | Int[np.ndarray, " chosen"],
    widths: Sequence[int] = (),
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return config and weights of some features, which have Matryoshka levels of these widths."""
    kept = {name: array[features] if name in _BY_FEATURE else array for name, array in tensors.items()}
    kept["W_enc"] = np.ascontiguousarray(tensors["W_enc"][:, features])
    n, metadata = kept["W_enc"].shape[1], dict(raw.get("metadata") or {})
    if widths:
        metadata["training_architecture_details"] = {"matryoshka_widths": list(widths)}
    else:
        metadata.pop("training_architecture_details", None)
    shorter = {"d_sae": n, "metadata": metadata} | ({"k": min(config.k, n)} if config.k else {})
    return dict(raw) | shorter, kept


def said_of(config: DictionaryConfig, n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return a phrase on what is looked at, and a note where it was not trained to stand alone."""
    part = f"its first {n:,} of {config.d_sae:,} features"
    among = " Its k largest are those among them." if config.k else ""
    if n in config.matryoshka_widths:
        level = config.matryoshka_widths.index(n) + 1
        return (f"level {level} of {len(config.matryoshka_widths)}: {part}.{among}".rstrip("."),), ()
    return (), (
        f"Only {part} are looked at. They were not trained to reconstruct without the others, so errors are "
        f"larger than those of the dictionary.{among}",
    )


def choices(config: DictionaryConfig, n: int | None) -> tuple[Choice, ...]:
    """Return the levels of a Matryoshka dictionary as a choice; none for any other."""
    widths = [width for width in config.matryoshka_widths if width < config.d_sae]
    if not widths:
        return ()
    values = {"": f"all {config.d_sae:,} features"}
    values |= {str(width): f"level {i + 1}: first {width:,} features" for i, width in enumerate(widths)}
    values |= {str(n): f"first {n:,} features"} if n and str(n) not in values else {}
    meaning = "The first features of a Matryoshka dictionary are a dictionary of their own at each level."
    return (Choice("features", "Level", values, str(n or ""), meaning),)
