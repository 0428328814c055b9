"""What of a text a tokenizer does not read: tokens that stand for unknown text, and characters that are lost.

A character is lost if it does not come back when the tokens are decoded: it is unknown, dropped, or written otherwise
(capitals of a tokenizer that has none). White space does not count.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Integer

from core.models.language_model import LanguageModel
from core.models.tokenizer_files import unknown_token

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Unread:
    """How much of a text is not read. A text that is given as token ids has no characters."""

    n_unknown: int = 0
    """Tokens that stand for unknown text."""
    n_tokens: int = 0
    """All tokens that were looked at."""
    n_lost: int = 0
    """Characters, other than white space, that do not come back when the tokens are decoded."""
    n_characters: int = 0
    """All characters of the text."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Phrases for the notes under figures, for what is not zero."""
        found = []
        if self.n_unknown:
            found.append(f"{self.n_unknown:,} of {self.n_tokens:,} tokens unknown to the tokenizer")
        if self.n_lost:
            found.append(f"{self.n_lost:,} of the text's {self.n_characters:,} characters lost in its tokens")
        return tuple(found)

    @property
    def sentence(self) -> str:
        """What a person who chooses the text should know; empty where everything is read."""
        found = []
        if self.n_unknown:
            found.append(
                f"The tokenizer does not know {self.n_unknown:,} of {self.n_tokens:,} tokens: the model reads the same "
                "unknown token for all of them."
            )
        if self.n_lost:
            found.append(
                f"This tokenizer drops or changes {self.n_lost:,} of {self.n_characters:,} characters of the text; "
                "their tokens do not decode to them."
            )
        return " ".join(found)

    def __add__(self, other: "Unread") -> "Unread":
        return Unread(
            self.n_unknown + other.n_unknown,
            self.n_tokens + other.n_tokens,
            self.n_lost + other.n_lost,
            self.n_characters + other.n_characters,
        )


READ_WHOLE = Unread()


def unknown_tokens(ids: Integer[np.ndarray, "..."], model: LanguageModel) -> int:
    """Count the ids that stand for text outside the tokenizer's vocabulary."""
    # Some tokenizers name their BOS as the unknown token, too.
    return 0 if model.unknown in (None, model.bos) else int((ids == model.unknown).sum())


def lost_characters(tokenizer: "Tokenizer", texts: Sequence[str], ids: Sequence[Sequence[int]]) -> int:
    """Count the lost characters of texts, given the tokens of each."""
    decoded = tokenizer.decode_batch([list(one) for one in ids], skip_special_tokens=False)
    changed = [i for i, text in enumerate(texts) if text != decoded[i]]
    unknown = unknown_token(tokenizer) if changed else None
    # The letters of [UNK] itself would stand for letters that are lost.
    known = [[token for token in ids[i] if token != unknown] for i in changed]
    again = tokenizer.decode_batch(known, skip_special_tokens=False)
    return sum(_lost(texts[i], text) for i, text in zip(changed, again, strict=True))


def _lost(text: str, decoded: str) -> int:
    missing = Counter(text) - Counter(decoded)
    return sum(times for character, times in missing.items() if not character.isspace())
