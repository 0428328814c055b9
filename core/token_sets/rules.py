"""The rules of the token-set library, applied to a vocabulary.

The rules are data in core/token_sets/lists. A family of rules that differ in one short text needs only one pass over
the vocabulary. Each set is still exactly what its rule says, which the app shows.
"""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from core.models.vocabulary import Vocabulary

_FOLDER = Path(__file__).parent / "lists"
RAW_PATTERNS = {
    "starts_with_space": r"Ġ.*",
    "starts_with_capital": r"^Ġ*[A-Z].*",
    "starts_with_lower": r"^Ġ*[a-z].*",
    "all_digits": r"^Ġ*\d+$",
    "is_punctuation": r"^[^\w\s]+$",
    "contains_close_bracket": r".*\).*",
    "contains_open_bracket": r".*\(.*",
    "all_caps": r"Ġ*[A-Z]+$",
    **{f"{k} digit{'s' * (k > 1)}": rf"Ġ*\d{{{k}}}$" for k in range(1, 5)},
    **{f"length_{k}": rf"^Ġ*\w{{{k}}}$" for k in range(1, 6)},
}
"""Rules of Bloom & Lin 2024, for Python's re.match on GPT-2's vocabulary as the tokenizer stores it."""


@dataclass(frozen=True)
class Candidate:
    """The tokens that a rule found (ascending ids), with the fields of `TokenSet`."""

    name: str
    group: str
    rule: str
    tokens: Sequence[int]
    missing: tuple[str, ...] = ()
    several: tuple[str, ...] = ()


def candidates(strings: Sequence[str], raw: Sequence[str] | None = None) -> Iterator[Candidate]:
    """Apply every rule of the library to a vocabulary of decoded strings."""
    vocabulary = Vocabulary(strings, raw)
    yield from by_pattern(vocabulary)
    yield from by_letter(vocabulary)
    yield from by_symbol(vocabulary)
    yield from by_affix(vocabulary)
    yield from by_script(vocabulary)
    yield from by_word(vocabulary)


def raw_candidates(raw: Sequence[str]) -> Iterator[Candidate]:
    """Apply the original rules to raw vocabulary strings."""
    group = "Original, on raw strings"
    for name, pattern in RAW_PATTERNS.items():
        yield Candidate(name, group, f"re.match /{pattern}/", _where(re.compile(pattern).match, raw))
    letters = defaultdict(list)
    for i, text in enumerate(raw):
        stripped = text.strip("Ġ")
        if stripped.isalpha():
            letters[stripped[0].lower()].append(i)
    for letter in ascii_lowercase:
        rule = f"letters only once Ġ is stripped, the first one {letter} in lower case"
        yield Candidate(f"letter_{letter}", group, rule, letters[letter])


def by_pattern(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make the sets that a regular expression defines."""
    for group, patterns in _read("patterns").items():
        for name, pattern in patterns.items():
            yield Candidate(name, group, f"/{pattern}/", _where(re.compile(pattern).search, vocabulary.texts))


def by_letter(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make a set of words for each first letter."""
    first = defaultdict(list)
    for i, text in enumerate(vocabulary.texts):
        first[text.lstrip(" ")[:1]].append(i)
    for letter in ascii_lowercase:
        pattern = rf"^ *[{letter.upper()}{letter}][^\W\d_]*\Z"
        search = re.compile(pattern).search
        tried = sorted(first[letter] + first[letter.upper()])
        tokens = [i for i in tried if search(vocabulary.texts[i])]
        yield Candidate(f"letter_{letter}", "First letter", f"/{pattern}/", tokens)


def by_symbol(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make a set of the tokens that contain a symbol, for each symbol."""
    for name, symbol in _read("pieces")["symbols"].items():
        tokens = _where(re.compile(re.escape(symbol)).search, vocabulary.texts)
        yield Candidate(name, "Symbols", f"/{re.escape(symbol)}/", tokens)


def by_affix(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make a set of English words for each ending and beginning; a word has at least one letter more."""
    affixes = _read("pieces")["affixes"]
    endings, beginnings = _listed(affixes["endings"]), _listed(affixes["beginnings"])
    ends, begins = ({affix: [] for affix in affixes} for affixes in (endings, beginnings))
    longest = max(map(len, (*endings, *beginnings)))
    for i, text in enumerate(vocabulary.texts):
        word = text.lstrip(" ").lower()
        if word.isascii() and word.isalpha():
            for size in range(1, min(longest, len(word) - 1) + 1):
                if (tokens := ends.get(word[-size:])) is not None:
                    tokens.append(i)
                if (tokens := begins.get(word[:size])) is not None:
                    tokens.append(i)
    for affix, tokens in ends.items():
        yield Candidate(f"ends_{affix}", "Endings", rf"/(?ai)^ *[a-z]+{affix}\Z/", tokens)
    for affix, tokens in begins.items():
        yield Candidate(f"begins_{affix}", "Beginnings", rf"/(?ai)^ *{affix}[a-z]+\Z/", tokens)


def by_script(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make a set of the tokens that contain a character of a script, for each script but Latin."""
    scripts = _read("pieces")["scripts"]
    tokens = {script: [] for script in scripts.values()}
    for i, text in enumerate(vocabulary.texts):
        if not text.isascii():
            for script in {_script(character) for character in text} & tokens.keys():
                tokens[script].append(i)
    for name, script in scripts.items():
        rule = f"contains a character whose Unicode name begins with {script}"
        yield Candidate(name, "Scripts", rule, tokens[script])


def by_word(vocabulary: Vocabulary) -> Iterator[Candidate]:
    """Make the sets that a list of words defines."""
    for name, entry in _read("words").items():
        any_case, words = entry["case"] == "any", _listed(entry["words"])
        assert any_case or entry["case"] == "as written", f"{name} has case {entry['case']!r}"
        tokens, missing, several = find_words(vocabulary, words, any_case=any_case)
        rule = f"{entry['case'] + ' case' if any_case else 'as written'}: {', '.join(words)}"
        yield Candidate(name, entry["group"], rule, tokens, missing, several)


def find_words(
    vocabulary: Vocabulary, words: Sequence[str], *, any_case: bool
) -> tuple[list[int], tuple[str, ...], tuple[str, ...]]:
    """Return the tokens that are exactly one of the words, with or without one leading space.

    Also returns the words that are no token: first those that this vocabulary cannot write at all, then those that need
    several tokens.
    """
    tokens: set[int] = set()
    missing, several = [], []
    for word in words:
        ids = vocabulary.word(word, any_case=any_case)
        tokens.update(ids)
        if not ids:
            (several if vocabulary.can_write(word) else missing).append(word)
    return sorted(tokens), tuple(missing), tuple(several)


def _where(matches: Callable[[str], object], texts: Sequence[str]) -> list[int]:
    """Return the indices of the texts that match; the loop runs in C."""
    return list(compress(range(len(texts)), map(matches, texts)))


@cache
def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0].partition("-")[0]


@cache
def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def _listed(text: str) -> list[str]:
    return [" ".join(word.split()) for word in text.split(",")]
