"""Penalties on a decoder that training adds to its loss. Imports torch: import lazily."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ROWS = 2048
"""Rows whose cosines with all others are in memory at once."""


def mean_cosine(W_dec: Float[Tensor, "d_sae d_in"]) -> Float[Tensor, ""]:
    """Return the mean cosine of all pairs of different rows, from the length of the sum of the unit rows."""
    n = len(W_dec)
    total = torch.nn.functional.normalize(W_dec, dim=1).sum(0)
    return (total @ total - n) / (n * (n - 1))


def nearest_cosines(W_dec: Float[Tensor, "d_sae d_in"]) -> Float[Tensor, " d_sae"]:
    """Return for each row the largest cosine with another row.

    Which row is nearest is found without a gradient, so that no d_sae x d_sae matrix is kept. The gradient is that of
    the maximum all the same, wherever the nearest row is one alone.
    """
    unit = torch.nn.functional.normalize(W_dec, dim=1)
    return (unit * unit[nearest(unit.detach())]).sum(1)


@torch.no_grad()
def nearest(unit: Float[Tensor, "d_sae d_in"]) -> Int[Tensor, " d_sae"]:
    """Return for each unit row the index of the other row with the largest cosine."""
    found = []
    for start in range(0, len(unit), _ROWS):
        cosines = unit[start : start + _ROWS] @ unit.T
        cosines[:, start:].fill_diagonal_(-torch.inf)  # a row is not its own neighbour
        found.append(cosines.argmax(1))
    return torch.cat(found)


def orthogonality_terms(W_dec: Float[Tensor, "d_sae d_in"]) -> dict[str, Float[Tensor, ""]]:
    """Return the three terms: mean cos, mean_i max_j cos and max_i max_j cos, over pairs i != j."""
    largest = nearest_cosines(W_dec)
    return {"mean": mean_cosine(W_dec), "nearest": largest.mean(), "largest": largest.max()}
