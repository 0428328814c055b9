"""Classes of features by the shape of their logit weights, and the table of all features.

The classes are those of Gurnee et al. 2024: a prediction feature promotes a few tokens, a suppression feature
suppresses a few, a partition feature separates large parts of the vocabulary. The thresholds are conventions, so they
are settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from core.logit_weights.statistics import LogitStatistics
from core.models.tokens import label

CLASSES = ("prediction", "suppression", "partition", "other", "constant")
"""All classes, in the order of tables and legends. 'constant': all logit weights are equal (a zero decoder row)."""


@dataclass(frozen=True)
class ClassThresholds:
    """The rules of the classes; features that meet no rule are 'other'."""

    peaked: float = 10.0
    """Prediction (skewness > 0) and suppression (skewness < 0) features have a kurtosis above this."""
    flat: float = 4.0
    """Partition features have a kurtosis below this,"""
    even: float = 0.5
    """an absolute skewness below this,"""
    spread: float = 0.75
    """and a standard deviation above this quantile (0 to 1) of all features that are not constant."""

    def __post_init__(self):
        assert 0 <= self.spread <= 1, f"a quantile lies between 0 and 1, not at {self.spread}"

    def least_std(self, stats: LogitStatistics) -> float:
        """Return the standard deviation that partition features must exceed; inf if all rows are constant."""
        varied = stats.std[~stats.constant]
        return float(np.quantile(varied, self.spread)) if len(varied) else np.inf

    def describe(self, stats: LogitStatistics) -> str:
        """Return the rules in one line, with the numbers of this dictionary."""
        return (
            f"prediction and suppression: kurtosis > {self.peaked:g}, skewness > 0 or < 0; partition: kurtosis < "
            f"{self.flat:g}, |skewness| < {self.even:g}, std > {self.least_std(stats):.3g} (quantile {self.spread:g})"
        )


def classify(stats: LogitStatistics, thresholds: ClassThresholds) -> Shaped[np.ndarray, " d_sae"]:
    """Return each feature's class, one of CLASSES."""
    skewness, kurtosis = stats.skewness, stats.kurtosis  # NaN of constant rows fails every comparison
    spread = stats.std > thresholds.least_std(stats)
    rules = {
        "constant": stats.constant,
        "prediction": (kurtosis > thresholds.peaked) & (skewness > 0),
        "suppression": (kurtosis > thresholds.peaked) & (skewness < 0),
        "partition": (kurtosis < thresholds.flat) & (np.abs(skewness) < thresholds.even) & spread,
    }
    return np.select(list(rules.values()), list(rules), default="other")


def class_counts(classes: Shaped[np.ndarray, " d_sae"]) -> dict[str, int]:
    """Return the number of features of each class, in the order of CLASSES, zeros included."""
    return {name: int((classes == name).sum()) for name in CLASSES}


def logit_table(
    stats: LogitStatistics, texts: Sequence[str], thresholds: ClassThresholds = ClassThresholds()
) -> pd.DataFrame:
    """Return one row per feature: class, moments, extremes, and its first token at either end, quoted.

    `texts` are the tokens' texts by id. Constant features have empty text in place of tokens.
    """
    ends = {"top_token": stats.top_tokens[:, 0], "bottom_token": stats.bottom_tokens[:, 0]}
    quoted = {
        name: ["" if blank else label(texts[i]) for i, blank in zip(ids.tolist(), stats.constant, strict=True)]
        for name, ids in ends.items()
    }
    return pd.DataFrame(
        {
            "feature": np.arange(len(stats.mean)),
            "logit_class": classify(stats, thresholds),
            "logit_mean": stats.mean,
            "logit_std": stats.std,
            "skewness": stats.skewness,
            "kurtosis": stats.kurtosis,
            "logit_min": stats.minimum,
            "logit_max": stats.maximum,
            **quoted,
        }
    )


def token_table(stats: LogitStatistics, feature: int, texts: Sequence[str], *, end: str) -> pd.DataFrame:
    """Return one feature's tokens at the 'top' or the 'bottom' end, most extreme first."""
    assert end in ("top", "bottom"), end
    ids = (stats.top_tokens if end == "top" else stats.bottom_tokens)[feature]
    values = (stats.top_values if end == "top" else stats.bottom_values)[feature]
    return pd.DataFrame(
        {"token": ids, "token_label": [label(texts[i]) for i in ids.tolist()], "logit_weight": values.astype(float)}
    )
