"""Choose example texts that a model's tokenizer can read; if there are none, make some from its vocabulary."""

from collections.abc import Mapping, Sequence
from itertools import product

from core.errors import CorpusError
from core.models.encoding import encode
from core.models.language_model import LanguageModel
from core.text.texts import tokenise

LOST = 1 / 4
"""Largest share of its characters that an example may lose: some tokenizers, say, have no capitals."""
_WORDS, _LINE, _LINES = 400, 6, 10
OWN = "From the vocabulary"


def suited(
    model: LanguageModel, examples: Mapping[str, tuple[str, ...]], *, aligned: bool = False
) -> dict[str, tuple[str, ...]]:
    """Return the examples that the tokenizer reads; if there are none, one example made from the vocabulary.

    If `aligned`, all texts of an example must have the same number of tokens.
    """
    found = {name: texts for name, texts in examples.items() if _fits(model, texts, aligned)}
    return found or {OWN: from_vocabulary(model, len(next(iter(examples.values()))), aligned=aligned)}


def from_vocabulary(model: LanguageModel, n: int, *, aligned: bool) -> tuple[str, ...]:
    """Make n texts of tokens that the tokenizer can read.

    Each text has other tokens; if `aligned`, the texts are prompts that differ from the first in one token. Raises
    CorpusError for a tokenizer that reads none of its own tokens.
    """
    words = _words(model)
    if not words:
        raise CorpusError(
            f"The tokenizer of {model.name} reads none of its own tokens when they are written out, so there is no "
            "example. Type a text that it can read."
        )
    # In some tokenizers, tokens that begin a word contain its space; in others, words need a space between them.
    close = len(_ids(model, "".join(words[:_LINE]))) > 1
    join = ("" if close else " ").join
    if not aligned:
        turns = [[words[i % len(words)] for i in range(part, part + _LINE * _LINES * n, n)] for part in range(n)]
        lines = ([turn[start : start + _LINE] for start in range(0, len(turn), _LINE)] for turn in turns)
        return tuple("".join(f"{join(line)}\n" for line in text) for text in lines)
    first = [words[i % len(words)] for i in range(_LINE)]
    texts, others = [join(first)], product(range(_LINE - 1, -1, -1), words)
    for place, word in others:
        other = join([*first[:place], word, *first[place + 1 :]])
        if len(texts) == n:
            break
        if other not in texts and _fits(model, (texts[0], other), True):
            texts.append(other)
    return tuple(texts + texts[:1] * (n - len(texts)))


def _words(model: LanguageModel) -> list[str]:
    """Return texts of tokens that are printable and that the tokenizer reads as the same token; lowest ids first."""
    found = []
    for i, text in enumerate(model.token_strings):
        readable = text.strip() and text.isprintable() and len(text) < 30 and "\N{REPLACEMENT CHARACTER}" not in text
        if readable and _ids(model, text) == [i]:
            found.append(text)
        if len(found) == _WORDS:
            break
    plain = [text for text in found if text.strip().isalpha()]
    return plain if len(plain) > 2 * _LINE else found


def _ids(model: LanguageModel, text: str) -> list[int]:
    """Return the tokens of a text; none where the tokenizer refuses it."""
    try:
        return encode(model.tokenizer, [text])[0].ids
    except CorpusError:
        return []


def _fits(model: LanguageModel, texts: Sequence[str], aligned: bool) -> bool:
    try:
        read = [tokenise(model, [text]) for text in texts]
    except CorpusError:
        return False
    if any(one.unread.n_lost > LOST * len(text) for one, text in zip(read, texts, strict=True)):
        return False
    return not aligned or len({len(one.ids) for one in read}) == 1
