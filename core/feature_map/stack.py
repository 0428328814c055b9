"""Features of several dictionaries as one list, for maps that show them together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.geometry.neighbors import DictionarySide, directions
from core.logit_weights.unembedding import WRITES, split_hook


@dataclass(frozen=True)
class Stack:
    """Rows of one dictionary after the other."""

    directions: Float[np.ndarray, "row d"]
    dictionary: Int[np.ndarray, " row"]
    """Which of the dictionaries, from 0."""
    feature: Int[np.ndarray, " row"]
    sha256: tuple[str, ...]
    """Content hashes of the dictionaries, in order."""

    @property
    def count(self) -> int:
        """Number of dictionaries."""
        return len(self.sha256)

    def rows(self, dictionary: int) -> slice:
        """Where a dictionary's features stand."""
        first, last = np.searchsorted(self.dictionary, [dictionary, dictionary + 1])
        return slice(int(first), int(last))


def joint_directions(dictionaries: Sequence[Dictionary], side: DictionarySide) -> Stack:
    """Stack the directions of dictionaries of one space.

    Raises DoesNotFitError, naming two of them, if they belong to different models, have different widths,
    or read (decoders: write) at places that share no space. The hooks of a residual stream share theirs.
    """
    assert dictionaries, "a map needs a dictionary"
    parts = [directions(dictionary, side) for dictionary in dictionaries]
    for other in dictionaries[1:]:
        check_same_space(dictionaries[0], other, side)
    return Stack(
        directions=np.concatenate(parts),
        dictionary=np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts]),
        feature=np.concatenate([np.arange(len(part), dtype=np.int32) for part in parts]),
        sha256=tuple(dictionary.sha256 for dictionary in dictionaries),
    )


def check_same_space(a: Dictionary, b: Dictionary, side: DictionarySide) -> None:
    """Raise DoesNotFitError unless cosines between directions of the two mean something."""
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
