"""What the overview shows of every feature: norms and biases from the weights, density from text."""

from contextlib import suppress

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.activations.statistics import ActivationStatistics
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import directions
from core.errors import DoesNotFitError
from core.geometry.tables import encoder_decoder_cosine

ULTRALOW = 1e-6
"""Features that are active on fewer tokens than this share are called ultralow (Bricken et al. 2023)."""


def weight_table(dictionary: Dictionary) -> pd.DataFrame:
    """One row per feature: feature, encoder_norm, decoder_norm, encoder_bias, decoder_bias_product, and so on.

    encoder_decoder_cosine is left out for a transcoder, which writes to another place than it reads.
    """
    columns = {
        "feature": np.arange(dictionary.d_sae),
        "encoder_norm": _norms(directions(dictionary, "encoder")),
        "decoder_norm": _norms(dictionary.W_dec),
        "encoder_bias": dictionary.b_enc.astype(np.float64),
        "decoder_bias_product": dictionary.W_dec.astype(np.float64) @ dictionary.b_dec.astype(np.float64),
    }
    if dictionary.side_norms is not None:
        columns["relative_decoder_norm"] = relative_decoder_norm(dictionary.side_norms, dictionary.config.side or 0)
    with suppress(DoesNotFitError):
        columns["encoder_decoder_cosine"] = encoder_decoder_cosine(dictionary)
    return pd.DataFrame(columns)


def relative_decoder_norm(norms: Float[np.ndarray, "side d_sae"], side: int) -> Float[np.ndarray, " d_sae"]:
    """Return the share of one side in the decoder norms of all (Lindsey et al. 2024), NaN for rows of zeros.

    With two sides, 1/2 is shared by both, 1 is of this side alone, and 0 of the other alone.
    """
    total = norms.sum(axis=0)
    return np.divide(norms[side], total, out=np.full(len(total), np.nan), where=total > 0)


def _norms(rows: Float[np.ndarray, "d_sae d"]) -> Float[np.ndarray, " d_sae"]:
    return np.sqrt(np.einsum("id,id->i", rows, rows, dtype=np.float64))


def density_table(statistics: ActivationStatistics, *, with_first: bool = True) -> pd.DataFrame:
    """One row per feature: feature, active_tokens, density, log_density (NaN for a dead feature)."""
    table = statistics.feature_table(with_first=with_first)[["feature", "active_tokens", "density"]]
    density = table["density"].to_numpy(dtype=float)
    logs = np.log10(density, out=np.full(len(density), np.nan), where=density > 0)
    return table.assign(log_density=logs)


def density_counts(table: pd.DataFrame, ultralow: float = ULTRALOW) -> dict[str, int]:
    """Return how many features are dead, ultralow (active, but on a smaller share of tokens), and neither."""
    density = table["density"].to_numpy(dtype=float)
    dead, low = int((density == 0).sum()), int(((density > 0) & (density < ultralow)).sum())
    return {"dead": dead, "ultralow": low, "other": len(table) - dead - low}


def unseen_below(n_tokens: int) -> float:
    """Return the density that a feature unseen on so many tokens stays below, at 95 % confidence.

    1 - 0.05^(1/n), the one-sided Clopper-Pearson bound, about 3 / n; tokens count as independent.
    """
    return float(-np.expm1(np.log(0.05) / n_tokens)) if n_tokens > 0 else 1.0
