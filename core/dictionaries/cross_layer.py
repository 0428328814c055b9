"""Features of several layers that write to one: a cross-layer transcoder's (Ameisen et al. 2025).

Block i of the features reads block i of the input, which holds the vectors of one hook after the other. sae-lens has
no such architecture, so their ReLU or JumpReLU is computed here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Blocks:
    """The weights of all layers that write to a target."""

    n: int
    W_enc: Float[np.ndarray, "d d_sae"]
    b_enc: Float[np.ndarray, " d_sae"]
    threshold: Float[np.ndarray, " d_sae"]
    W_dec: Float[np.ndarray, "d_sae d_out"]
    b_dec: Float[np.ndarray, " d_out"]
    W_skip: Float[np.ndarray, "d_out d"] | None

    def encode(
        self, x: Float[np.ndarray, "*batch width"]
    ) -> tuple[Float[np.ndarray, "*batch d_sae"], Float[np.ndarray, "*batch d_sae"]]:
        """Return `acts` and `pre_acts` of inputs at all hooks."""
        size = len(self.b_enc) // self.n
        parts = np.split(np.ascontiguousarray(x, np.float32), self.n, axis=-1)
        products = [part @ self.W_enc[:, i * size : (i + 1) * size] for i, part in enumerate(parts)]
        pre_acts = np.concatenate(products, axis=-1) + self.b_enc
        return np.where(pre_acts > np.maximum(self.threshold, 0), pre_acts, np.float32(0)), pre_acts

    def reconstruct(self, x: Float[np.ndarray, "*batch width"]) -> Float[np.ndarray, "*batch d_out"]:
        """Return what all layers give the target together; a skip connection starts at the target's own input."""
        x_hat = self.decode(self.encode(x)[0])
        return x_hat if self.W_skip is None else x_hat + np.split(x, self.n, axis=-1)[-1] @ self.W_skip.T

    def decode(self, acts: Float[np.ndarray, "*batch d_sae"]) -> Float[np.ndarray, "*batch d_out"]:
        return acts @ self.W_dec + self.b_dec
