"""What the members of a selection share against the other features, with q over all that was compared.

Numbers are compared by ranks, values of a column of text by their shares. Both tests hold the selection to one drawn at
random from the dictionary. A selection that was made by a number, or by one that goes with it, differs in it of course.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from core.maths.significance import benjamini_hochberg, log10_normal_tails

FEWEST = 5
"""Members, and others, that must have a number for it to be compared; and features that must have a text."""
COLUMNS = [
    "compared",
    "compared_value",
    "member_median",
    "other_median",
    "member_larger",
    "member_share",
    "other_share",
    "n_members",
    "n_others",
    "log10_q_members",
]


def summary(
    numbers: Mapping[str, Float[np.ndarray, " d_sae"]],
    texts: Mapping[str, list[set[str]]],
    members: Bool[np.ndarray, " d_sae"],
) -> pd.DataFrame:
    """Compare members with the other features in every column; return the least q first.

    `numbers` may hold NaN; `texts` holds for each feature the values that it has, such as its tags. q is over all rows
    that are compared, also texts that no member has; those have no row. Columns: COLUMNS; a number has medians and
    member_larger, a text has shares. n are the features with a number, or with any text in that column.
    """
    rows = [row for name, values in numbers.items() if (row := _by_ranks(name, values, members))]
    rows += [row for name, values in texts.items() for row in _by_shares(name, values, members)]
    table = pd.DataFrame(rows, columns=[*COLUMNS[:-1], "log10_p"])
    log10_q = benjamini_hochberg(table["log10_p"].to_numpy(dtype=float)[:, None])[:, 0]
    table["log10_q_members"] = np.minimum(log10_q, 0.0)
    found = table[table["member_share"].isna() | (table["member_share"] > 0)]
    return found.sort_values(["log10_q_members", "log10_p"], kind="stable", ignore_index=True)[COLUMNS]


def _by_ranks(name: str, values: Float[np.ndarray, " d_sae"], members: Bool[np.ndarray, " d_sae"]) -> dict | None:
    """Compare by the rank sum of Wilcoxon, Mann and Whitney, with ties and the correction for continuity."""
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    mine, all_values = members[known], values[known]
    n, m = int(mine.sum()), int((~mine).sum())
    if min(n, m) < FEWEST:
        return None
    _, equal = np.unique(all_values, return_counts=True)
    total = n + m
    ties = float((equal.astype(float) ** 3 - equal).sum()) / (total * (total - 1))
    spread = np.sqrt(n * m / 12 * (total + 1 - ties))
    larger = float(rankdata(all_values)[mine].sum()) - n * (n + 1) / 2
    z = max(abs(larger - n * m / 2) - 0.5, 0.0) / spread if spread > 0 else 0.0
    return {
        "compared": name,
        "compared_value": "",
        "member_median": float(np.median(all_values[mine])),
        "other_median": float(np.median(all_values[~mine])),
        "member_larger": larger / (n * m),
        "n_members": n,
        "n_others": m,
        "log10_p": float(log10_normal_tails(np.array([z]))[0]),
    }


def _by_shares(name: str, values: list[set[str]], members: Bool[np.ndarray, " d_sae"]) -> list[dict]:
    """Compare how many members have each text by Fisher's exact test for more of them than among the others."""
    from scipy.stats import hypergeom

    having: dict[str, list[int]] = {}
    for feature, held in enumerate(values):
        for text in held:
            having.setdefault(text, []).append(feature)
    known = np.array([bool(held) for held in values])
    n, total = int((members & known).sum()), int(known.sum())
    if min(n, total - n) < FEWEST:
        return []
    rows = []
    for text, features in sorted(having.items()):
        if len(features) < FEWEST:
            continue
        count = int(members[features].sum())
        log_p = hypergeom.logsf(count - 1, total, len(features), n) if count else 0.0
        rows.append(
            {
                "compared": name,
                "compared_value": text,
                "member_share": count / n,
                "other_share": (len(features) - count) / (total - n),
                "n_members": n,
                "n_others": total - n,
                "log10_p": min(float(log_p) / np.log(10), 0.0),
            }
        )
    return rows
