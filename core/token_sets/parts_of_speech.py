"""Token sets by part of speech, if NLTK and the data of its tagger are installed. Nothing is downloaded."""

from collections import defaultdict
from collections.abc import Sequence

from packaging.version import InvalidVersion, Version

from core.models.vocabulary import Vocabulary
from core.token_sets.rules import Candidate
from core.token_sets.sets import SMALLEST, TokenSets, collect
from core.work.progress import SILENT, Progress

NAME = "nltk_pos"
GROUP = "Part of speech"
_WITHOUT_PICKLES = Version("3.9")
"""Older releases unpickle the tagger, and a pickle may run any code."""


def pos_sets(
    strings: Sequence[str],
    *,
    raw: Sequence[str] | None = None,
    smallest: int = SMALLEST,
    progress: Progress = SILENT,
) -> TokenSets:
    """Tag every token alone, without its spaces, by NLTK's averaged perceptron: one set for each Penn Treebank tag.

    A token without context has no certain part of speech; the sets are the tagger's guesses. If NLTK or its data are
    missing, there are no sets and `left_out` says why. Source: Bloom & Lin 2024, code.
    """
    try:
        tag = _tagger()
    except _UnavailableError as error:
        return TokenSets((), ((NAME, str(error)),))
    by_tag = defaultdict(list)
    texts = Vocabulary(strings, raw).texts
    for i, text in enumerate(texts):
        if i % 256 == 0:
            progress.update(i, len(texts))
        if word := text.strip(" "):
            by_tag[tag([word])[0][1]].append(i)
    rule = "NLTK tags the token alone as {}"
    items = (Candidate(f"{NAME}_{name}", GROUP, rule.format(name), by_tag[name]) for name in sorted(by_tag))
    return collect(items, n_tokens=len(strings), smallest=smallest)


class _UnavailableError(Exception):
    """The reason why there is no tagger. It never leaves this module."""


def _tagger():
    """Return NLTK's function from words to (word, tag) pairs, after a trial. Raises _UnavailableError."""
    try:
        import nltk
    except ImportError as error:
        raise _UnavailableError(
            "NLTK is not installed, and parts of speech need it: `pip install nltk`, then "
            "`python -m nltk.downloader averaged_perceptron_tagger_eng`"
        ) from error
    try:
        has_pickle = Version(nltk.__version__) < _WITHOUT_PICKLES  # a beta comes before its release
    except InvalidVersion:
        has_pickle = True
    if has_pickle:
        raise _UnavailableError(f"NLTK {nltk.__version__} may keep its tagger as a pickle; install 3.9 or newer")
    try:
        nltk.pos_tag(["a"])
    except LookupError as error:
        raise _UnavailableError(
            "NLTK's tagger has no data on this machine: run `python -m nltk.downloader averaged_perceptron_tagger_eng`"
        ) from error
    return nltk.pos_tag
