"""What is measured of one dictionary, on text that neither it nor the model was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.dictionaries.dictionary import Dictionary
from core.geometry.neighbors import nearest_features
from core.models.language_model import LanguageModel
from demo.measure import cross_entropy, loss_recovered

BINS = np.round(np.arange(-0.2, 1.001, 0.02), 2)
"""Edges of the histogram of nearest cosines."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BLOCK = 8192


@dataclass(frozen=True)
class Ground:
    """The held-out text at one hook of a model. The model runs once for all dictionaries."""

    model: LanguageModel
    hook_name: str
    rows: np.ndarray
    """Token ids, `(row, pos)`."""
    loss_rows: np.ndarray
    """Token ids that the loss is measured on."""

    @cached_property
    def x(self) -> np.ndarray:
        """Activations, `(token, d_in)`."""
        parts = [self.model.activations(self.rows[i : i + 32], self.hook_name) for i in range(0, len(self.rows), 32)]
        return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])

    @cached_property
    def losses(self) -> tuple[float, float]:
        """Loss of the model in nats, as it is and with zeros at the hook."""
        import torch

        how = (None, torch.zeros_like)
        return tuple(cross_entropy(self.model, self.loss_rows, self.hook_name, change) for change in how)


def measure(dictionary: Dictionary, ground: Ground) -> dict[str, Any]:
    """Return l0, fve, ce_recovered, dead_share, relative_size and what `geometry` returns.

    relative_size is sum |x_hat - m|² / sum (x_hat - m)(x - m), with m the mean of x: below 1 where activations shrink
    (Rajamanoharan et al. 2024, who take m = 0).
    """
    x, mean = ground.x, ground.x.mean(axis=0, dtype=np.float64)
    fired = np.zeros(dictionary.d_sae, bool)
    active = 0
    error = spread = size = along = 0.0
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK]
        acts = dictionary.encode(block)
        fired |= (acts != 0).any(axis=0)
        active += np.count_nonzero(acts)
        about, hat = block - mean, dictionary.reconstruct(block) - mean
        error += float(((hat - about) ** 2).sum())
        spread += float((about**2).sum())
        size += float((hat**2).sum())
        along += float((hat * about).sum())
    found = {"l0": active / len(x), "fve": 1 - error / spread}
    found["ce_recovered"] = loss_recovered(dictionary, ground.model, ground.loss_rows, *ground.losses)
    found |= {"dead_share": float(1 - fired.mean()), "relative_size": size / along}
    return {name: round(value, 5) for name, value in found.items()} | geometry(dictionary.W_dec[fired])


def geometry(W_dec: np.ndarray) -> Mapping[str, Any]:
    """Return the penalty's three terms, quantiles and histogram of nearest cosines, and the largest hub.

    `W_dec` holds the rows of features that fire. mean_cosine, nearest_cosine and largest_cosine are the terms;
    `hub` is the largest number of features that share one nearest feature.
    """
    import torch

    from core.training.penalties import mean_cosine

    found = nearest_features(W_dec, k=1)
    nearest = found.cos[:, 0].astype(np.float64)
    terms = {"mean_cosine": float(mean_cosine(torch.tensor(W_dec, dtype=torch.float64)))}
    terms |= {"nearest_cosine": float(nearest.mean()), "largest_cosine": float(nearest.max())}
    terms |= {f"nearest_q{round(100 * q):02d}": float(np.quantile(nearest, q)) for q in QUANTILES}
    counts = np.histogram(nearest, BINS)[0]
    assert counts.sum() == len(nearest)
    numbers = {name: round(value, 5) for name, value in terms.items()}
    return numbers | {"hub": int(np.bincount(found.idx[:, 0]).max()), "nearest_counts": counts.tolist()}
