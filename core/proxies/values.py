"""The value of a proxy at every token of a text (after Bricken et al. 2023, unless stated).

For a context C (Base64, Arabic), the proxy of a token is the largest ln(P(s|C) / P(s)) over all strings s of tokens
that end at it. P(s) is the product of the shares that the tokens of s have in this text, so that no token has share 0;
tokens without text do not count. No string crosses the beginning of a row or a token without text.

Alphabets. P(s|C) is a product over the characters of s: 1 / size of the alphabet for its characters, 1e-10 for any
other, and a piece of a character counts as another one. Hexadecimal has two alphabets, of which the likelier counts;
DNA needs strings of two tokens or more.

Scripts. By Bayes, P(s|C) / P(s) = P(C|s) / P(C). P(C|s) is 1 if s consists of whole characters that are all in the
Unicode blocks of the script, and otherwise 1e-10. For a single token that holds pieces of characters, P(C|s) is at
least the observed fraction: among all occurrences of the token, the share in which these characters are in the script.
P(C) is the share of tokens that hold only characters of the script. A space at the beginning of a token is ignored, as
byte-level vocabularies join it to words; the source does not mention this and may differ.

Patterns. 1 if a regular expression is found, else 0 (ours).
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float

from core.errors import BadSettingError
from core.proxies.library import ALPHABET, PATTERN, SCRIPT, Proxy
from core.proxies.text import LONGEST, ProxyText
from core.work.patterns import SECONDS, TooSlowError, find_spans, search_all

FOREIGN = 1e-10
"""Probability of a character that the context does not have."""


def proxy_values(text: ProxyText, proxy: Proxy) -> Float[np.ndarray, "row pos"]:
    """Return the proxy of every token: log-likelihood ratios in nats (see above), or 0 and 1 for a pattern.

    Minus infinity at tokens where no string of the proxy's least length ends. Raises BadSettingError for a pattern that
    takes too long.
    """
    kinds = {ALPHABET: _alphabet_ratios, SCRIPT: _script_ratios, PATTERN: _pattern_hits}
    return kinds[proxy.kind](text, proxy).reshape(text.rows.shape).astype(np.float32)


def log_shares(text: ProxyText) -> Float[np.ndarray, " d_vocab"]:
    """Return the log of each token's share of all tokens with text; minus infinity for tokens that do not occur."""
    counts = np.bincount(text.tokens[~text.silent], minlength=len(text.vocabulary)).astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.log(counts) - np.log(max(1.0, counts.sum()))


def alphabet_log_probability(text: ProxyText, alphabet: str) -> Float[np.ndarray, " d_vocab"]:
    """Return ln P(token | alphabet) of every token of the vocabulary."""
    own = alphabet.encode("ascii")
    inside = np.array([len(token) - len(token.translate(None, own)) for token in text.vocabulary])
    length = np.array([len(token.decode("utf-8", "replace")) for token in text.vocabulary])
    return (length - inside) * np.log(FOREIGN) - inside * np.log(len(alphabet))


def _alphabet_ratios(text: ProxyText, proxy: Proxy) -> Float[np.ndarray, " token"]:
    best, shares = np.full(text.rows.size, -np.inf), log_shares(text)
    for alphabet in proxy.alphabets:
        ratio = np.full(text.rows.size, -np.inf)
        spoken, probability = ~text.silent, alphabet_log_probability(text, alphabet)
        ratio[spoken] = probability[text.tokens[spoken]] - shares[text.tokens[spoken]]
        best = np.maximum(best, largest_sum(ratio.reshape(text.rows.shape), proxy.least_tokens).ravel())
    return best


def largest_sum(ratio: Float[np.ndarray, "row pos"], least: int) -> Float[np.ndarray, "row pos"]:
    """Return, at each position, the largest sum of `least` or more successive values that end there.

    Sums stay within a row. No sum contains minus infinity.
    """
    best = ratio.T.copy()  # a string is extended as long as its sum is above 0
    for before, here in pairwise(best):
        here += np.maximum(before, 0)
    for _ in range(least - 1):
        best[1:] = ratio.T[1:] + best[:-1]
        best[:1] = -np.inf
    return best.T.copy()


def _script_ratios(text: ProxyText, proxy: Proxy) -> Float[np.ndarray, " token"]:
    inside = in_blocks(text, proxy)
    probability = np.where(_ends_whole_string(text, inside), 1.0, FOREIGN)
    counts = np.bincount(text.tokens, minlength=len(text.vocabulary))
    observed = np.bincount(text.tokens, weights=inside, minlength=len(text.vocabulary)) / np.maximum(counts, 1)
    partial = np.array([not _is_whole(token) for token in text.vocabulary])
    probability = np.maximum(probability, np.where(partial, observed, 0)[text.tokens])
    n = np.count_nonzero(~text.silent)
    ratio = np.log(probability) - np.log(max(1, np.count_nonzero(inside)) / max(1, n))
    return np.where(text.silent, -np.inf, ratio)


def in_blocks(text: ProxyText, proxy: Proxy) -> Bool[np.ndarray, " token"]:
    """Return True for tokens that hold only (pieces of) characters of a script, after at most one leading space."""
    script = np.zeros(len(text.codes), bool)
    for _, first, last in proxy.blocks:
        script |= (text.codes >= first) & (text.codes <= last)
    # A character is the first of its token if the character before it ends in an earlier token.
    leads = np.diff(text.first, prepend=-1) > 0
    leads[1:] &= text.last[:-1] < text.first[1:]
    space = leads & (text.codes == ord(" "))
    return text.held(script) & ~text.held(~script & ~space)


def _ends_whole_string(text: ProxyText, inside: Bool[np.ndarray, " token"]) -> Bool[np.ndarray, " token"]:
    """Return True for tokens that end a string of whole characters, all of whose tokens are inside a script."""
    begins, ends = ~text.silent, ~text.silent
    for step in range(1, LONGEST):
        more = text.first + step <= text.last
        begins[text.first[more] + step] = False
        ends[text.last[more] - step] = False
    place = np.arange(text.rows.size)
    begun = np.maximum.accumulate(np.where(inside & begins, place, -1))
    broken = np.maximum.accumulate(np.where(inside, -1, place))
    return inside & ends & (begun > broken)


def _pattern_hits(text: ProxyText, proxy: Proxy) -> Float[np.ndarray, " token"]:
    try:
        hits = _hits_across(text, proxy.pattern) if proxy.across else _hits_alone(text, proxy.pattern)
    except TooSlowError as error:
        raise BadSettingError(
            f"/{proxy.pattern}/ took more than {SECONDS:.0f} s on {text.rows.size:,} tokens, expected less. Avoid "
            "repeats inside repeats such as (a+)+, or read fewer rows of text."
        ) from error
    return hits.astype(np.float64)


def _hits_alone(text: ProxyText, pattern: str) -> Bool[np.ndarray, " token"]:
    seen = np.unique(text.tokens[~text.silent])
    places = search_all([pattern], [text.vocabulary[i].decode("utf-8", "replace") for i in seen])[0]
    hit = np.zeros(len(text.vocabulary), bool)
    hit[seen[places]] = True
    return hit[text.tokens]


def _hits_across(text: ProxyText, pattern: str) -> Bool[np.ndarray, " token"]:
    strings, starts = text.strings()
    number, start, end = find_spans(pattern, strings).T
    edges = np.zeros(len(text.codes) + 1, np.int64)
    np.add.at(edges, starts[number] + start, 1)
    np.add.at(edges, starts[number] + end, -1)
    return text.held(edges.cumsum()[:-1] > 0)


def _is_whole(token: bytes) -> bool:
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
