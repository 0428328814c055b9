"""Text as token ids. A tokenizer that cannot read a text raises an error of the family here, not one of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.errors import CorpusError

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

_SHOWN = 60


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list["Encoding"]:
    """Tokenise texts, without BOS. Special tokens that are spelled out in a text become those tokens.

    Raises CorpusError for a text that the tokenizer refuses. One that splits text into whole words, for example, may
    have no token for unknown ones.
    """
    try:
        return tokenizer.encode_batch(list(texts), add_special_tokens=False)
    except Exception as error:  # tokenizers raises plain Exceptions
        raise CorpusError(
            f"The tokenizer cannot read {_refused(tokenizer, texts)!r} ({str(error)[:200]}). Expected text of its own "
            "vocabulary, for it has no token that stands for unknown text. Choose other text, or export the tokenizer "
            "with an unknown token."
        ) from error


def _refused(tokenizer: "Tokenizer", texts: Sequence[str]) -> str:
    """Return the beginning of the first line that cannot be read, else that of the first text."""
    for line in (line for text in texts for line in text.splitlines()):
        try:
            tokenizer.encode(line, add_special_tokens=False)
        except Exception:
            return line[:_SHOWN]
    return next(iter(texts), "")[:_SHOWN]
