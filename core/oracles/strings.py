"""Log-likelihood ratios of strings of tokens, and where a pattern is found: a tool of the oracles of proxies.

`rows` are token ids (row, position), `pieces` the bytes of each token of the vocabulary, and `silent` says which tokens
have no text. A context has `alphabets` and `least_tokens`, or `blocks` of code points (name, first, last).
"""

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

FOREIGN = 1e-10
"""The probability of a character that the context does not have."""


def ratios(rows, pieces, silent, alphabets=(), least_tokens=1, blocks=()) -> np.ndarray:
    """Return the largest ratio of all strings that end at each token; minus infinity where none ends."""
    spoken = [token for token in np.ravel(rows).tolist() if not silent[token]]
    share = np.log(np.bincount(spoken, minlength=len(pieces)).clip(1) / max(1, len(spoken)))
    in_context = _by_alphabet(alphabets) if alphabets else _by_script(blocks, rows, pieces, silent)
    found = np.full(np.shape(rows), -np.inf)
    for segment in segments(rows, silent):
        for end, place in enumerate(segment):
            for start in range(end + 2 - least_tokens):
                string = [rows[at] for at in segment[start : end + 1]]
                ratio = in_context([pieces[i] for i in string])
                if alphabets:
                    ratio -= sum(share[i] for i in string)
                found[place] = max(found[place], ratio)
    return found


def touched(rows, pieces, silent, pattern: str, across: bool) -> np.ndarray:
    """Return which tokens a pattern is found in: in each alone, or in any match in the text that touches it."""
    hit = np.zeros(np.shape(rows), bool)
    for segment in segments(rows, silent):
        parts = [segment] if across else [[at] for at in segment]
        for part in parts:
            held = [at for at in part for _ in pieces[rows[at]]]
            found = list(whole_characters(b"".join(pieces[rows[at]] for at in part)))
            text = "".join(c or "\ufffd" for c, _, _ in found)
            for match in re.finditer(pattern, text):
                if match.end() > match.start():
                    for at in held[found[match.start()][1] : found[match.end() - 1][2]]:
                        hit[at] = True
                elif not across:
                    hit[part[0]] = True
    return hit


def segments(rows, silent) -> Iterator[list[tuple[int, int]]]:
    """Yield lists of (row, position) without silent tokens between."""
    for r, row in enumerate(rows):
        segment = []
        for p, token in enumerate(row):
            if silent[token]:
                yield segment
                segment = []
            else:
                segment.append((r, p))
        yield segment


def whole_characters(data: bytes) -> Iterator[tuple[str | None, int, int]]:
    """Yield (character or None, start, end), one byte at a time where there is no character."""
    at = 0
    while at < len(data):
        for n in range(1, 5):
            try:
                yield data[at : at + n].decode("utf-8"), at, at + n
                break
            except UnicodeDecodeError:
                continue
        else:
            n = 1
            yield None, at, at + 1
        at += n


def _by_alphabet(alphabets) -> Callable[[Sequence[bytes]], float]:
    def one(string, alphabet):
        characters = [c for token in string for c in token.decode("utf-8", "replace")]
        return sum(np.log(1 / len(alphabet)) if c in alphabet else np.log(FOREIGN) for c in characters)

    return lambda string: max(one(string, set(alphabet)) for alphabet in alphabets)


def _by_script(blocks, rows, pieces, silent) -> Callable[[Sequence[bytes]], float]:
    """By Bayes: P(script | string) / P(script). A piece of a character has the share of its places in the script."""
    inside, seen = _inside(blocks, rows, pieces, silent)
    total = max(1, sum(inside)) / max(1, sum(seen))

    def probability(string):
        shorn = b"".join(token.removeprefix(b" ") for token in string)
        try:
            whole = shorn.decode("utf-8")
            right = bool(whole) and all(_is_in(c, blocks) for c in whole) and all(token != b" " for token in string)
            return np.log(1.0 if right else FOREIGN) - np.log(total)
        except UnicodeDecodeError:
            i = pieces.index(string[0])
            fraction = inside[i] / seen[i] if len(string) == 1 else 0
            return np.log(max(fraction, FOREIGN)) - np.log(total)

    return probability


def _inside(blocks, rows, pieces, silent) -> tuple[list[int], list[int]]:
    """Return how often each token holds only characters of the script, and how often it occurs."""
    inside, seen = [0] * len(pieces), [0] * len(pieces)
    for segment in segments(rows, silent):
        found, begin = list(whole_characters(b"".join(pieces[rows[at]] for at in segment))), 0
        for at in segment:
            end = begin + len(pieces[rows[at]])
            held = [(c, s) for c, s, e in found if s < end and e > begin]
            held = [c for c, s in held if not (c == " " and s == begin)]
            inside[rows[at]] += bool(held) and all(_is_in(c, blocks) for c in held)
            seen[rows[at]] += 1
            begin = end
    return inside, seen


def _is_in(c: str | None, blocks) -> bool:
    return c is not None and any(first <= ord(c) <= last for _, first, last in blocks)
