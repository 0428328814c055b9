"""Two prompts with the same number of tokens, side by side: how activations change when a word changes."""

import numpy as np
import pandas as pd

from core.errors import DoesNotFitError
from core.text.features import TextFeatures


def aligned_differences(a: TextFeatures, b: TextFeatures) -> pd.DataFrame:
    """Subtract B from A token by token; one row per token and feature that is active on it in A or B, sorted by both.

    Raises DoesNotFitError unless both have the same number of tokens.
    """
    if a.n_tokens != b.n_tokens:
        raise DoesNotFitError(
            f"Prompt A has {a.n_tokens:,} tokens and prompt B {b.n_tokens:,}. Expected the same number, so that each "
            "token of A can be compared with one of B. Change a word, or compare them as two texts."
        )
    d_sae = a.acts.d_sae
    cells = [one.token * d_sae + one.acts.features for one in (a, b)]
    both = np.union1d(*cells)
    acts = np.zeros((2, len(both)))
    for side, one, cell in zip(acts, (a, b), cells, strict=True):
        side[np.searchsorted(both, cell)] = one.acts.acts
    columns = {
        "token_number": both // d_sae,
        "feature": both % d_sae,
        "prompt_activation_a": acts[0],
        "prompt_activation_b": acts[1],
        "prompt_difference": acts[0] - acts[1],
    }
    return pd.DataFrame(columns)


def differing_features(cells: pd.DataFrame) -> pd.DataFrame:
    """Sum up `aligned_differences` by feature; largest sum of absolute differences first; ties: lower feature first."""
    by_feature = cells.assign(size=cells["prompt_difference"].abs()).groupby("feature")
    columns = {
        "difference_sum": by_feature["size"].sum(),
        "difference_max": by_feature["size"].max(),
        "prompt_difference_sum": by_feature["prompt_difference"].sum(),
        "differing_tokens": by_feature["size"].agg(lambda size: int((size > 0).sum())),
    }
    table = pd.DataFrame(columns).reset_index()
    return table[table["difference_sum"] > 0].sort_values(["difference_sum", "feature"], ascending=[False, True])
