"""A set of features of one dictionary, as text and in a link."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from core.characters import whole
from core.dictionaries.feature_lists import feature_ranges, format_features
from core.errors import LoupeError, OutOfRangeError

MOST_CHARACTERS = 500_000
"""The longest list that is read. Ranges say all features of a dictionary in fewer."""
MOST_NAME, MOST_ORIGIN = 80, 200
"""The most characters of a name, and of the words for where a selection is from."""
SHORT = 160
"""The most characters of a list that stands in a link; a longer one is named there by its key."""
FORMAT = "sae-loupe-selection/v1"
_PREFIX, _KEY = 12, 16
_LINK = re.compile(r"\s*(?:([0-9a-f]{12}):)?(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
Combine = Literal["and", "or", "minus"]


class SelectionError(LoupeError):
    """A selection cannot be made, read or kept as it is."""


class OtherDictionaryError(SelectionError):
    """A selection is of another dictionary, whose numbers mean other features."""

    def __init__(self, theirs: str, ours: str):
        super().__init__(
            f"The selection is of {theirs}, and the open dictionary is {ours}, where these numbers mean other "
            "features. Open that dictionary to use the selection, or clear it."
        )


@dataclass(frozen=True)
class Selection:
    """A set of features of one dictionary. Make it with `of` or `parse`, which check it."""

    dictionary_sha256: str
    """The dictionary's hash with decoder norms folded, as notes have it."""
    features: tuple[int, ...]
    """Each once, in ascending order."""
    name: str = ""
    """Empty for one that nobody has named."""
    origin: str = ""
    """Where it was made, in words such as "lasso on the map"."""

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def of(
        cls, features: Iterable[int], *, dictionary_sha256: str, d_sae: int, name: str = "", origin: str = ""
    ) -> "Selection":
        """Make a selection from numbers. Raises OutOfRangeError, and SelectionError for a name that is too long."""
        unique = np.unique(np.fromiter(features, dtype=np.int64))
        for odd in unique[(unique < 0) | (unique >= d_sae)][:1].tolist():
            raise OutOfRangeError("Feature", odd, d_sae)
        return cls(dictionary_sha256, tuple(unique.tolist())).called(name).made_by(origin)

    @classmethod
    def parse(cls, text: str, *, dictionary_sha256: str, d_sae: int, name: str = "", origin: str = "") -> "Selection":
        """Make a selection from a list such as "3, 7-12".

        Raises FeatureListError for what is no list, OutOfRangeError, and SelectionError for a text that is too long.
        The work does not grow with how often the ranges overlap.
        """
        if len(text) > MOST_CHARACTERS:
            raise SelectionError(
                f"A list of {len(text):,} characters is too long; expected at most {MOST_CHARACTERS:,}. Write "
                "features that follow each other as ranges such as 7-12."
            )
        steps = np.zeros(d_sae + 1, dtype=np.int64)
        ranges = np.array(feature_ranges(text, d_sae), dtype=np.int64).reshape(-1, 2)
        np.add.at(steps, ranges[:, 0], 1)
        np.add.at(steps, ranges[:, 1] + 1, -1)
        features = np.flatnonzero(np.cumsum(steps[:-1]) > 0).tolist()
        return cls(dictionary_sha256, tuple(features)).called(name).made_by(origin)

    def called(self, name: str) -> "Selection":
        """Return the selection under another name. Raises SelectionError for a name that is too long."""
        return replace(self, name=_words(name, MOST_NAME, "A name"))

    def made_by(self, origin: str) -> "Selection":
        """Return the selection with other words for where it is from; words that are too long are cut."""
        return replace(self, origin=_words(whole(origin)[:MOST_ORIGIN], MOST_ORIGIN, "An origin"))

    def combined(self, how: Combine, other: "Selection") -> "Selection":
        """Return the features in both (and), in either (or), or in this one alone (minus), without a name.

        Raises OtherDictionaryError.
        """
        if self.dictionary_sha256 != other.dictionary_sha256:
            raise OtherDictionaryError(*(f"the dictionary {one.dictionary_sha256[:_PREFIX]}" for one in (other, self)))
        mine, theirs = set(self.features), set(other.features)
        found = {"and": mine & theirs, "or": mine | theirs, "minus": mine - theirs}[how]
        made = f"{self.name or self.origin or 'selection'} {how} {other.name or other.origin or 'selection'}"
        return replace(self, features=tuple(sorted(found)), name="").made_by(made)

    @cached_property
    def text(self) -> str:
        """The features as a list such as "3, 7-12"."""
        return format_features(self.features)

    @cached_property
    def key(self) -> str:
        """16 hexadecimal digits that stand for these features, whatever the name."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:_KEY]

    def mask(self, d_sae: int) -> Bool[np.ndarray, " d_sae"]:
        """Return which features are members."""
        members = np.zeros(d_sae, dtype=bool)
        members[list(self.features)] = True
        return members

    @property
    def is_short(self) -> bool:
        """Whether its list stands in a link."""
        return len(self.text) <= SHORT

    def in_link(self) -> str:
        """Return the selection as a link holds it: the dictionary's hash, and the list, or its key behind a ~."""
        listed = self.text.replace(" ", "") if self.is_short else f"~{self.key}"
        return f"{self.dictionary_sha256[:_PREFIX]}:{listed}"

    def to_json(self, title: str) -> bytes:
        """Return a file of this selection: readable; equal selections give equal bytes."""
        content = {
            "format": FORMAT,
            "dictionary": {"sha256": self.dictionary_sha256, "title": whole(title)},
            "name": self.name,
            "origin": self.origin,
            "features": self.text,
        }
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode("utf-8")

    def table(self) -> pd.DataFrame:
        """Return one row for each member."""
        return pd.DataFrame({"feature": np.array(self.features, dtype=np.int64)})


def split_link(text: str) -> tuple[str, str]:
    """Return the first digits of the dictionary's hash, empty if not said, and what a link says of the features."""
    match = _LINK.fullmatch(text)
    assert match is not None
    return match[1] or "", match[2].strip()


def is_of(selection_of: str, dictionary_sha256: str) -> bool:
    """Whether the digits of a link name this dictionary. A link that names none is of the open one."""
    return dictionary_sha256.startswith(selection_of)


def _words(text: str, most: int, what: str) -> str:
    text = " ".join(_CONTROL.sub(" ", whole(text)).split())
    if len(text) > most:
        raise SelectionError(f"{what} of {len(text):,} characters is too much; expected at most {most}. Shorten it.")
    return text
