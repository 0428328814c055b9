"""What one change of training costs: shares that return between dictionaries that differ in one label."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide
from core.matching.matrix import FACTORS, factor_pairs, without_implied_k
from core.matching.pairs import THRESHOLD
from core.stability.returning import Rule, stability
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Part, Progress


def factor_table(
    dictionaries: Sequence[Dictionary],
    names: Sequence[str],
    labels: Sequence[Mapping[str, str | int]],
    side: DictionarySide = "decoder",
    *,
    threshold: float = THRESHOLD,
    rule: Rule = "nearest",
    store: ArtifactStore | None = None,
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Two rows, one per way, for each pair that differs in exactly one of FACTORS, in their order.

    Columns: match_factor, factor_change, matched_from, matched_to, returned_share and random_share. k does not count
    where the type implies it.
    """
    labels = without_implied_k(labels)
    pairs = sorted(factor_pairs(labels), key=lambda pair: FACTORS.index(pair[0]))
    ways = [(factor, *ends) for factor, i, j in pairs for ends in ((i, j), (j, i))]
    rows = []
    for done, (factor, one, other) in enumerate(ways):
        part, how = Part(progress, done, len(ways)), {"threshold": threshold, "rule": rule, "store": store}
        found = stability(dictionaries[one], [dictionaries[other]], side, **how, progress=part).returns[0]
        change = f"{labels[one][factor]} → {labels[other][factor]}"
        rows.append((factor, change, names[one], names[other], found.share, float(np.nanmean(found.chance))))
    columns = ["match_factor", "factor_change", "matched_from", "matched_to", "returned_share", "random_share"]
    return pd.DataFrame(rows, columns=columns)
