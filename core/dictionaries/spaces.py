"""The space a dictionary reads and writes in, and its directions there."""

from typing import Literal

import numpy as np
from jaxtyping import Float

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import WRITES, split_hook
from core.errors import DoesNotFitError

DictionarySide = Literal["decoder", "encoder"]


def directions(dictionary: Dictionary, side: DictionarySide) -> Float[np.ndarray, "d_sae d"]:
    """Return the directions that features write (decoder rows) or read (encoder columns), a view of the weights."""
    if side == "decoder":
        return dictionary.W_dec
    sides, own = dictionary.config.sides, dictionary.config.side or 0
    width = dictionary.d_in // sides  # a crosscoder's columns hold what it reads on all sides
    return dictionary.W_enc[own * width : (own + 1) * width].T


def check_same_space(a: Dictionary, b: Dictionary, side: DictionarySide) -> None:
    """Raise DoesNotFitError unless cosines between directions of the two have a meaning."""
    widths = [directions(dictionary, side).shape[1] for dictionary in (a, b)]
    places = [_place(dictionary, side) for dictionary in (a, b)]
    models = [dictionary.config.model_name for dictionary in (a, b)]
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
    config = dictionary.config
    hook = (config.hook_name_out if side == "decoder" else None) or config.hook_name
    return "the residual stream" if split_hook(hook)[1] in WRITES else hook
