"""Batches from planted directions, and small settings, for tests of training.

stream = PlantedStream()
trainer = make_trainer(settings("topk", k=2), 0, stream)
"""

import numpy as np
import torch

from core.training.settings import TrainingSettings, from_table

BATCH = 256


class PlantedStream:
    """Each token is a sum of two of 24 unit directions of 16 dimensions, scaled by .5 to 1.5."""

    def __init__(self, *, d_in: int = 16, n: int = 24, batch: int = BATCH, seed: int = 0):
        self.d_in, self._n, self._batch = d_in, n, batch
        directions = np.random.default_rng(seed).normal(size=(n, d_in))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        self.directions = torch.tensor(directions, dtype=torch.float32)

    def batch(self, seed: int, step: int) -> torch.Tensor:
        rng = np.random.default_rng([seed, step])
        acts = np.zeros((self._batch, self._n), np.float32)
        for _ in range(2):
            acts[np.arange(self._batch), rng.integers(self._n, size=self._batch)] = rng.uniform(0.5, 1.5, self._batch)
        return torch.from_numpy(acts) @ self.directions


def settings(type: str = "standard", *, steps: int = 500, **more) -> TrainingSettings:
    """Return settings of a tiny run; what is an option of the type goes into [options]."""
    from core.training.types import TYPES

    options = {name: more.pop(name) for name in list(more) if name in TYPES[type].__dataclass_fields__}
    table = {"name": "tiny", "model": "planted", "hook_name": "blocks.0.hook_resid_pre", "d_sae": 32, "type": type}
    table |= {"training_tokens": steps * BATCH, "batch_tokens": BATCH, "lr": 1e-2, "options": options}
    return from_table(table | more)


def recovered(W_dec: torch.Tensor, directions: torch.Tensor) -> float:
    """Return the share of planted directions that some decoder row has, by a cosine over .9."""
    unit = torch.nn.functional.normalize(W_dec, dim=1)
    return float(((unit @ directions.T).max(0).values > 0.9).float().mean())
