"""Features of several dictionaries as one list, for maps that show them together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, check_same_space, directions


@dataclass(frozen=True)
class Stack:
    """The directions of several dictionaries, one dictionary after the other."""

    directions: Float[np.ndarray, "row d"]
    dictionary: Int[np.ndarray, " row"]
    """The number of the row's dictionary, from 0."""
    feature: Int[np.ndarray, " row"]
    sha256: tuple[str, ...]
    """Content hashes of the dictionaries, in order."""

    @property
    def count(self) -> int:
        """Number of dictionaries."""
        return len(self.sha256)

    def rows(self, dictionary: int) -> slice:
        """Return the rows of a dictionary's features."""
        first, last = np.searchsorted(self.dictionary, [dictionary, dictionary + 1])
        return slice(int(first), int(last))


def joint_directions(dictionaries: Sequence[Dictionary], side: DictionarySide) -> Stack:
    """Stack the directions of dictionaries whose directions lie in one space.

    Raises DoesNotFitError, which names two of them, if they belong to different models, have different widths, or read
    (for decoders: write) at hooks that share no space. All hooks of a residual stream share one space.
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
