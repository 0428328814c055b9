"""The space a dictionary reads and writes in, and its directions there."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from core.dictionaries.config import TRANSCODERS
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import WRITES, split_hook
from core.errors import DoesNotFitError

DictionarySide = Literal["decoder", "encoder"]
_MOST_NAMED = 3


def directions(dictionary: Dictionary, side: DictionarySide) -> Float[np.ndarray, "d_sae d"]:
    """Return the directions that features write (decoder rows) or read (encoder columns), a view of the weights."""
    if side == "decoder":
        return dictionary.W_dec
    sides, own = dictionary.config.sides, dictionary.config.side or 0
    width = dictionary.d_in // sides  # a crosscoder's columns hold what it reads on all sides
    return dictionary.W_enc[own * width : (own + 1) * width].T


def place_of(dictionary: Dictionary, side: DictionarySide) -> str:
    """Return the hook that features write to (decoder) or read (encoder); empty where nothing says it."""
    config = dictionary.config
    return (config.hook_name_out if side == "decoder" else None) or config.hook_name


def two_places(dictionary: Dictionary) -> str | None:
    """Say which numbers belong to the place that is read and which to the place that is written, if these are two."""
    config = dictionary.config
    if config.architecture not in TRANSCODERS:
        return None
    read, written = _listed(config.hooks_in), config.hook_name_out or "an unknown hook"
    if read == written:
        return None
    return (
        f"It reads {read} and writes to {written}. Activations and encoder directions belong to what it reads; decoder "
        "directions, logit weights, basis and reconstruction to what it writes."
    )


def _listed(hooks: tuple[str, ...]) -> str:
    named = [hook for hook in dict.fromkeys(hooks) if hook]
    if len(named) > _MOST_NAMED:
        return f"{len(named)} hooks from {named[0]} to {named[-1]}"
    return " and ".join(named) or "an unknown hook"


Space = tuple[str | None, str, int]
"""Model, place and width. Cosines between directions of two dictionaries have a meaning if these are equal."""


def space(dictionary: Dictionary, side: DictionarySide) -> Space:
    """Return the space in which a dictionary's directions lie."""
    return dictionary.config.model_name, _place(dictionary, side), directions(dictionary, side).shape[1]


def check_same_space(a: Dictionary, b: Dictionary, side: DictionarySide) -> None:
    """Raise DoesNotFitError unless cosines between directions of the two have a meaning."""
    models, places, widths = zip(space(a, side), space(b, side), strict=True)
    if models[0] != models[1]:
        differ = [f"belongs to {model or 'an unnamed model'}" for model in models]
    elif places[0] != places[1]:
        differ = [f"{'writes to' if side == 'decoder' else 'reads'} {place}" for place in places]
    elif widths[0] != widths[1]:
        differ = [f"has {side} directions of width {width}" for width in widths]
    else:
        return
    raise DoesNotFitError(
        f"{a.title} {differ[0]}, {b.title} {differ[1]}: their directions cannot be compared. Expected dictionaries "
        "of one model and one space; leave one of them out."
    )


def _place(dictionary: Dictionary, side: DictionarySide) -> str:
    hook = place_of(dictionary, side)
    return "the residual stream" if split_hook(hook)[1] in WRITES else hook
