"""Token sets, which are classes of tokens, and the library of sets that comes with the app.

The sets are made from decoded strings, where a leading space is a space, so that the same rules hold for byte-level
(Ġ) and SentencePiece (▁) vocabularies. `raw_string_sets` makes sets from the stored strings instead.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.errors import UnknownNameError
from core.models.tokens import label
from core.token_sets.rules import Candidate, candidates, raw_candidates

SMALLEST = 5
"""Least number of tokens in a set. Smaller sets say little about a class, and their scores are mostly chance."""
NOT_REPRODUCED = (
    ("boys_names and girls_names of the original", "need the name counts of the package babe, which is not used here"),
    ("word lists of the original", "are lists of its notebook, encoded in pieces that are no words; use the word sets"),
    ("nltk_pos_* of the original", "need NLTK and the data of its tagger; offered as a group of their own"),
)


@dataclass(frozen=True, eq=False)
class TokenSet:
    """A named set of token ids."""

    name: str
    group: str
    rule: str
    """The definition of the set, to be shown: a regular expression between slashes, or words."""
    tokens: Int[np.ndarray, " n"]
    """Ids, each once, ascending."""
    missing: tuple[str, ...] = ()
    """Words of the rule that this vocabulary cannot write at all, and regular expressions that find nothing."""
    several: tuple[str, ...] = ()
    """Words of the rule that are no single token; their pieces are never added."""

    def __post_init__(self):
        assert (np.diff(self.tokens) > 0).all(), f"the tokens of {self.name} are not sorted or not unique"
        self.tokens.flags.writeable = False

    def __len__(self) -> int:
        return len(self.tokens)

    def preview(self, strings: Sequence[str], n: int = 8) -> str:
        """Return the first n tokens, quoted; in most vocabularies these are frequent ones."""
        shown = [label(strings[token]) for token in self.tokens[:n].tolist()]
        return ", ".join(shown) + (", …" if len(self) > n else "")


@dataclass(frozen=True, eq=False)
class TokenSets:
    """Token sets with unique names, and the names of sets that were left out, each with the reason."""

    sets: tuple[TokenSet, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    """Pairs of name and reason."""

    def __post_init__(self):
        assert len(set(self.names)) == len(self.sets), "two token sets have one name"

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.sets)

    @property
    def sizes(self) -> Int[np.ndarray, " n_sets"]:
        return np.array([len(item) for item in self.sets], dtype=np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of the ids, for a cache that keeps the sets in memory."""
        return sum(item.tokens.nbytes for item in self.sets)

    @cached_property
    def sha256(self) -> str:
        """Content hash of the names and ids, in order."""
        digest = hashlib.sha256()
        for item in self.sets:
            digest.update(f"{item.name}\0{len(item)}\0".encode())
            digest.update(item.tokens.astype("<i8").tobytes())
        return digest.hexdigest()

    def named(self, name: str) -> TokenSet:
        """Return the set with this name. Raises UnknownNameError."""
        for item in self.sets:
            if item.name == name:
                return item
        raise UnknownNameError("token set", name, self.names)

    def joined(self, *others: "TokenSets") -> "TokenSets":
        """Return these sets and those of the others, in order; names must differ."""
        parts = (self, *others)
        return TokenSets(
            tuple(item for part in parts for item in part.sets), tuple(pair for part in parts for pair in part.left_out)
        )

    def membership(self, n_tokens: int) -> tuple[Int[np.ndarray, " n_tokens_plus_1"], Int[np.ndarray, " n_members"]]:
        """Return the sets of every token as (indptr, indices): those of token t are indices[indptr[t]:indptr[t + 1]].

        The indices (int32) are positions in `sets`, ascending for each token; n_tokens is the size of the vocabulary.
        """
        tokens = np.concatenate([np.empty(0, dtype=np.int64), *(item.tokens for item in self.sets)])
        numbers = np.repeat(np.arange(len(self.sets), dtype=np.int32), self.sizes)
        assert not len(tokens) or tokens.max() < n_tokens, "a set holds a token that the vocabulary does not have"
        order = np.argsort(tokens, kind="stable")
        indptr = np.zeros(n_tokens + 1, dtype=np.int64)
        np.cumsum(np.bincount(tokens, minlength=n_tokens), out=indptr[1:])
        return indptr, numbers[order]

    def to_frame(self, strings: Sequence[str]) -> pd.DataFrame:
        """Return one row for each set, then one row for each set that was left out, with the reason."""
        rows = [
            (s.name, s.group, len(s), s.rule, s.preview(strings), ", ".join(s.several), ", ".join(s.missing), "")
            for s in self.sets
        ]
        rows += [(name, "", None, "", "", "", "", reason) for name, reason in self.left_out]
        columns = ["token_set", "set_group", "set_size", "set_rule", "set_preview"]
        frame = pd.DataFrame(rows, columns=[*columns, "several_token_words", "missing_words", "left_out_because"])
        return frame.astype({"set_size": "Int64"})


def built_in_sets(strings: Sequence[str], *, raw: Sequence[str] | None = None, smallest: int = SMALLEST) -> TokenSets:
    """Make the library's sets for a vocabulary, given as decoded strings by id.

    `raw`, the stored strings, distinguishes stray bytes from text that looks like their escapes. Sets of fewer than
    `smallest` tokens, and sets of all tokens, are left out with the reason.
    """
    return collect(candidates(strings, raw), n_tokens=len(strings), smallest=smallest)


def raw_string_sets(raw: Sequence[str]) -> TokenSets:
    """Make the sets of the original code: Python's re.match on the stored strings, where a space is Ġ.

    Note that Ġ and other stand-ins for bytes are word characters in these rules. No set is too small. The original's
    sets of names, word lists and parts of speech need other data and are listed as left out. Source: Bloom & Lin 2024,
    code.
    """
    original = collect(raw_candidates(raw), n_tokens=len(raw), smallest=1)
    return TokenSets(original.sets, original.left_out + NOT_REPRODUCED)


def collect(items: Iterable[Candidate], *, n_tokens: int, smallest: int) -> TokenSets:
    """Make sets of what rules found. Sets that are too small, or hold all tokens, are left out with a reason."""
    sets, left_out = [], []
    for item in items:
        size = len(item.tokens)
        if size < smallest:
            left_out.append((item.name, f"{size} token{'s' * (size != 1)}, fewer than {smallest}"))
        elif size == n_tokens:
            left_out.append((item.name, f"all {n_tokens} tokens, so there is nothing to compare with"))
        else:
            tokens = np.array(item.tokens, dtype=np.int64)
            sets.append(TokenSet(item.name, item.group, item.rule, tokens, item.missing, item.several))
    return TokenSets(tuple(sets), tuple(left_out))
