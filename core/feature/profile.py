"""How often and how strongly one feature is active at each position of a row."""

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.activations.store import FeatureActivations
from core.maths.significance import wilson


def position_profile(activations: FeatureActivations, counted: Int[np.ndarray, " pos"]) -> pd.DataFrame:
    """Return one row per position; `counted` is the number of tokens that count at each.

    Columns: `position`, `active_rows`, `fires_share` with `share_low` and `share_high` (95 %, Wilson 1927), and
    `mean_active`, `std_active` of the non-zero activations. NaN at positions without such tokens.
    """
    n_pos = len(counted)
    position, act = activations.position, activations.act
    count, total = np.bincount(position, minlength=n_pos), np.bincount(position, weights=act, minlength=n_pos)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        spread = np.bincount(position, weights=(act - mean[position]) ** 2, minlength=n_pos)
        std, share = np.sqrt(spread / count), count / counted
    low, high = wilson(count, counted)
    columns = {
        "position": np.arange(n_pos),
        "active_rows": count,
        "fires_share": share,
        "share_low": low,
        "share_high": high,
        "mean_active": mean,
        "std_active": std,
    }
    return pd.DataFrame(columns)


def strongest_position(profile: pd.DataFrame) -> int | None:
    """Return the position where the mean over all counted tokens is largest, among those where the feature is active.

    Ties: the lower position. None for a feature that is never active.
    """
    mean = (profile["fires_share"] * profile["mean_active"]).to_numpy()
    return None if np.isnan(mean).all() else int(np.nanargmax(mean.astype(np.float32)))  # rounded, so that equals tie
