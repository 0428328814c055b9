"""Short names of features: a person's note, a downloaded label, or the tokens that a feature fires on and promotes.

Names hold text from outside. A page shows them letter by letter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationBlock, ActivationStore, left_out_name
from core.feature.notes import Note
from core.logit_weights.statistics import LogitStatistics
from core.models.tokens import label
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress

LONGEST, LONGEST_TOKEN = 48, 18
"""Letters of a name, and of each of the two tokens in it. Longer ones are cut."""
ARROW, NEAR = "→", "≈"
_BUDGET_BYTES = 2**26
_BYTES_PER_PAIR = 16


@dataclass(frozen=True)
class StrongestTokens:
    """For each feature the token that holds most of its activation: the largest sum of |f| over a token pass."""

    token: Int[np.ndarray, " d_sae"]
    """Token ids; -1 for a feature that is active on no token. Ties: lower id."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, dictionary_sha256: str, model_sha256: str, rows_sha256: str, *, left_out: tuple[int, ...] = ()) -> str:
        """Name it; what the token pass ran on is part of the model's name (core.activations.store.on_device)."""
        return artifact_key(
            "strongest-tokens",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
        )


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a feature and a token, in ascending order of feature * d_vocab + token, each with its sum of |f|."""

    code: Int[np.ndarray, " pair"]
    total: Float[np.ndarray, " pair"]

    @classmethod
    def summed(cls, code: Int[np.ndarray, " n"], total: Float[np.ndarray, " n"]) -> "_Pairs":
        found, place = np.unique(code, return_inverse=True)
        return cls(found, np.bincount(place, weights=total, minlength=len(found)))

    def plus(self, other: "_Pairs") -> "_Pairs":
        return _Pairs.summed(np.concatenate([self.code, other.code]), np.concatenate([self.total, other.total]))

    def below(self, code: int) -> "_Pairs":
        end = int(np.searchsorted(self.code, code))
        return _Pairs(self.code[:end].copy(), self.total[:end].copy())


def strongest_tokens(
    store: ActivationStore,
    statistics: ActivationStatistics,
    *,
    budget_bytes: int = _BUDGET_BYTES,
    progress: Progress = SILENT,
) -> StrongestTokens:
    """Sum |f| by feature and token over a stored pass. Raises MissingActivationsError.

    Holds the sums of about `budget_bytes` and those of one block. Where there are more, the blocks are read again for
    the later features. Sums are float64 and compared as float32, so that the order of adding does not decide.
    """
    d_vocab, d_sae = int(store.rows.max(initial=0)) + 1, statistics.count.shape[1]
    most = budget_bytes // _BYTES_PER_PAIR
    token, first = np.full(d_sae, -1, np.int64), 0
    while first < d_sae:
        pairs, first = _pairs(store, range(first, d_sae), d_vocab, most, progress)
        features, ids = np.divmod(pairs.code, d_vocab)
        best = np.lexsort((ids, -pairs.total.astype(np.float32), features))
        found, places = np.unique(features[best], return_index=True)
        token[found] = ids[best][places]
    return StrongestTokens(token)


def _pairs(store: ActivationStore, features: range, d_vocab: int, most: int, progress: Progress) -> tuple[_Pairs, int]:
    """Return the pairs of the features, or of as many of the first as there is room for, and where these end."""
    first, last = features.start, features.stop
    held = _Pairs(np.zeros(0, np.int64), np.zeros(0))
    for i, block in enumerate(store.blocks()):
        held = held.plus(_of_block(block, first, last, d_vocab))
        if len(held.code) > most:
            last = max(first + 1, int(held.code[most // 2]) // d_vocab)
            held = held.below(last * d_vocab)
        progress.update(i + 1, len(store))
    return held, last


def _of_block(block: ActivationBlock, first: int, last: int, d_vocab: int) -> _Pairs:
    tokens = np.repeat(block.rows.ravel(), np.diff(block.ends, prepend=0))
    there = (block.features >= first) & (block.features < last)
    code = block.features[there].astype(np.int64) * d_vocab + tokens[there]
    return _Pairs.summed(code, np.abs(block.acts[there]).astype(np.float64))


@dataclass(frozen=True, eq=False)
class FeatureNames:
    """Names of all features of one dictionary; an empty text for a feature of which nothing is known."""

    text: tuple[str, ...]
    own: Mapping[int, str] = field(default_factory=dict)
    """What a person wrote about features. It comes before `text`."""

    def of(self, feature: int) -> str:
        """The name of a feature, empty for one that the dictionary does not have."""
        return self.own.get(feature) or (self.text[feature] if 0 <= feature < len(self.text) else "")

    def __bool__(self) -> bool:
        return bool(self.own) or any(self.text)

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.text))


def feature_names(
    d_sae: int,
    strings: Sequence[str] = (),
    *,
    fires_on: Int[np.ndarray, " d_sae"] | None = None,
    promotes: Int[np.ndarray, " d_sae"] | None = None,
    nearest: Int[np.ndarray, " d_sae"] | None = None,
    labels: Mapping[int, str] | None = None,
) -> FeatureNames:
    """Name all features by what is at hand: by others' labels, else by tokens, ids of `strings`; -1 for none.

    `'import' → ' os'`: of all tokens 'import' holds most of its activation, and it promotes ' os' most. `≈ ' os'`: all
    that is known is that of all embeddings that of ' os' lies nearest to what it writes.
    """
    known = [np.full(d_sae, -1) if ids is None else ids for ids in (fires_on, promotes, nearest)]
    ids = np.unique(np.concatenate(known))
    shown = {i: cut(label(strings[i]), LONGEST_TOKEN) for i in ids.tolist() if 0 <= i < len(strings)}
    names = (_of_tokens(*map(shown.get, ids)) for ids in zip(*(each.tolist() for each in known), strict=True))
    said = {i: one_line(text) for i, text in (labels or {}).items()}
    return FeatureNames(tuple(said.get(i) or name for i, name in enumerate(names)))


def promoted_tokens(logits: LogitStatistics) -> Int[np.ndarray, " d_sae"]:
    """Return the token that each feature promotes most; -1 for features that treat all tokens alike."""
    return np.where(logits.constant, -1, logits.top_tokens[:, 0])


def _of_tokens(fires: str | None, promotes: str | None, nearest: str | None) -> str:
    if promotes:
        return f"{fires or ''} {ARROW} {promotes}".lstrip()
    return fires or (f"{NEAR} {nearest}" if nearest else "")


def own_names(notes: Mapping[int, Note]) -> dict[int, str]:
    """Return what a person called features: the first line of a note, else its tags."""
    names = {i: one_line(note.text) or one_line(", ".join(note.tags)) for i, note in notes.items()}
    return {i: name for i, name in names.items() if name}


def one_line(text: str) -> str:
    """Return the first line of a text that is not blank, cut to a name's length, without unprintable characters."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    first = next((line for line in lines if line), "")
    return cut("".join(c if c.isprintable() else label(c)[1:-1] for c in first), LONGEST)


def cut(text: str, most: int) -> str:
    """Return a text of at most so many characters; where something is left out it ends in …"""
    return text if len(text) <= most else text[: most - 1] + "…"
