"""Oracles of token sets. `strings` are the decoded tokens; `rules` hold each set's rule as it is shown, by name.

A rule is /a regular expression/, "any case: words", "as written: words", or the beginning of characters' Unicode names;
a person's is a list of lines. A set is left out if it has fewer tokens than `smallest`, or all.
"""

import re
import unicodedata

_CHARACTER = "contains a character whose Unicode name begins with "
_CASES = {"any case: ": True, "as written: ": False}


def set_size(strings, rules, token_set, smallest):
    return None if left_out_because(strings, rules, token_set, smallest) else len(_found(strings, rules[token_set]))


def several_token_words(strings, rules, token_set, smallest):
    return _not_found(strings, rules, token_set, smallest, chains=True)


def missing_words(strings, rules, token_set, smallest):
    return _not_found(strings, rules, token_set, smallest, chains=False)


def left_out_because(strings, rules, token_set, smallest):
    n = len(_found(strings, rules[token_set]))
    if n < smallest:
        return f"{n} token{'' if n == 1 else 's'}, fewer than {smallest}"
    return f"all {n} tokens, so there is nothing to compare with" if n == len(strings) else ""


def _found(strings, rule):
    return sorted({t for line in _lines(rule) for t, text in enumerate(strings) if _takes(line, text)})


def _lines(rule):
    """Return the lines of a rule: each is a pattern, a Unicode name, or a word with whether its case matters not."""
    if isinstance(rule, list):
        return [line if line[0] == line[-1] == "/" else (line, False) for line in rule]
    for words, any_case in _CASES.items():
        if rule.startswith(words):
            return [(word, any_case) for word in rule[len(words) :].split(", ")]
    return [rule]


def _takes(line, text):
    if isinstance(line, str) and line.startswith(_CHARACTER):
        return any(re.match(rf"{line[len(_CHARACTER) :]}\b", unicodedata.name(c, "")) for c in text)
    if isinstance(line, str):
        return re.search(line[1:-1], text) is not None
    word, any_case = line
    word, text = (word.lower(), text.lower()) if any_case else (word, text)
    return text in (word, " " + word)


def _not_found(strings, rules, token_set, smallest, *, chains):
    """Return the words without a token, either those that a chain of tokens gives or the others."""
    if left_out_because(strings, rules, token_set, smallest):
        return ""
    none = [line for line in _lines(rules[token_set]) if not any(_takes(line, text) for text in strings)]
    words = [line if isinstance(line, str) else line[0] for line in none]
    of_words = [isinstance(line, tuple) and _chain(line[0], strings) for line in none]
    return ", ".join(word for word, chain in zip(words, of_words, strict=True) if chain == chains)


def _chain(word, strings):
    return any(_gives(text, strings) for text in (word, " " + word))


def _gives(text, strings):
    return not text or any(s and text.startswith(s) and _gives(text[len(s) :], strings) for s in strings)
