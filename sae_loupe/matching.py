"""Which features two dictionaries share."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import tables
from core.errors import BadSettingError, UnknownNameError
from core.matching.comparison import Comparison, K, check_matchable, compare, compare_weights, differences
from core.matching.null import SEED, shuffled
from core.matching.numbers import numbers_and_doubts
from core.matching.pairs import SIMILARITIES, THRESHOLD, Matching, match, nearest
from core.matching.proof import METHODS
from core.matching.tables import pair_table, random_ratio_table, ratio_table
from sae_loupe.opened import Opened
from sae_loupe.results import Result

DECLARED = {"mmcs_ab": "mmcs", "mmcs_ba": "mmcs", "ratio_ab": "matching_ratio", "ratio_ba": "matching_ratio"}
"""The names in the catalogue of numbers that have one for each way."""


@dataclass(frozen=True, eq=False, repr=False)
class Match(Result):
    """Pairs of features of A and B: `a`, `b`, `score`, `decoder`, `encoder` and `alignment` are [pair].

    `unmatched_a` and `unmatched_b` are the features without a partner. `warnings` are differences in training.
    """

    first: Opened
    second: Opened
    comparison: Comparison
    stats: Matching
    threshold: float

    @property
    def title(self) -> str:
        return f"{self.first.dictionary.title} with {self.second.dictionary.title}"

    @property
    def note(self) -> str:
        found = self.stats
        return (
            f"{len(found.a):,} pairs of {found.d_sae_a:,} and {found.d_sae_b:,} features · by {found.similarity}, "
            f"{found.method} · {found.proof} · threshold {self.threshold:g}"
        )

    @property
    def provenance(self) -> dict:
        found = self.stats
        settings = {"similarity": found.similarity, "method": found.method, "k": found.k, "threshold": self.threshold}
        settings |= {"shuffle_seed": SEED} | found.said_proof
        both = [self.first.dictionary, self.second.dictionary]
        return tables.provenance(dictionary=both, method="matching by weights", settings=settings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Settings that differ in training, and so change the meaning of cosines."""
        return differences(self.first.dictionary, self.second.dictionary)

    def to_frame(self) -> pd.DataFrame:
        """One row for each pair: feature_a, feature_b, match_score, decoder_cosine, encoder_cosine, alignment."""
        return pair_table(self.stats)

    def numbers(self, *, chance: bool = True) -> pd.DataFrame:
        """Return what the two share in a few numbers, each by chance too: with the coordinates of B shuffled.

        Columns: number, statistic (its name in the catalogue), value, by_chance, not_proven (words, or empty).
        """
        how = {"similarity": self.stats.similarity, "threshold": self.threshold}
        values, doubts = numbers_and_doubts(self.comparison, **how)
        by_chance = numbers_and_doubts(self._shuffled(), **how)[0] if chance else {}
        rows = [
            (name, DECLARED.get(name, name), value, by_chance.get(name), doubts.get(name, ""))
            for name, value in values.items()
        ]
        table = pd.DataFrame(rows, columns=["number", "statistic", "value", "by_chance", "not_proven"])
        return table.astype({"value": float, "by_chance": float})

    def _shuffled(self) -> Comparison:
        key = f"shuffled {self.second.dictionary.sha256}"
        other = shuffled(self.comparison.b, seed=SEED)
        return self.first.held(key, lambda: compare_weights(self.comparison.a, other, k=K))

    def chart(self):
        """Draw the share of features with a match over each threshold: both ways, one to one, and by chance."""
        from ui.matching.charts import ratios
        from ui.shared.finish import finished

        best = nearest(self.comparison, self.stats.similarity)
        paired = np.zeros(self.comparison.smaller, np.float32)
        paired[: len(self.stats.score)] = self.stats.score
        real = ratio_table({"A in B": best.a, "B in A": best.b, self.stats.method: paired})
        side = "encoder" if self.stats.similarity == "encoder" else "decoder"
        width, others = self.comparison.a.side(side).shape[1], int(self.comparison.b.finite.sum())
        closed = self.stats.similarity != "both" and width > 1
        chance = random_ratio_table(others, width, "random directions") if closed else real.head(0)
        return finished(ratios(real, chance, self.threshold), dark=False)


def of(a: Opened, b: Opened, *, similarity: str, method: str, threshold: float) -> Match:
    """Match two dictionaries, as the page Matching does."""
    for kind, name, known in (("similarity", similarity, SIMILARITIES), ("method", method, list(METHODS))):
        if name not in known:
            raise UnknownNameError(kind, str(name), known)
    if not -1 <= threshold <= 1:
        raise BadSettingError(f"The threshold is {threshold}. Expected a cosine, -1 to 1, such as {THRESHOLD}.")
    check_matchable(a.dictionary, b.dictionary)
    comparison = a.held(f"compared with {b.dictionary.sha256}", lambda: compare(a.dictionary, b.dictionary))
    key = Matching.key(a.dictionary.sha256, b.dictionary.sha256, similarity, method, min(K, comparison.smaller))
    return Match(a, b, comparison, a.result(Matching, key, lambda: match(comparison, similarity, method)), threshold)
