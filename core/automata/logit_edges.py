"""The logit edge between two features: how much one promotes the tokens on which the other is active.

E_ij is a sum over the K tokens v that feature i promotes most: its logit weight on v, where that is above 0, times the
mean activation of feature j on tokens v of the text. Bricken et al. 2023 describe such edges and give no number.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from core.automata.stretches import Stretches

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def token_means(stretches: Stretches, rows: Int[np.ndarray, "row pos"], d_vocab: int) -> "csr_matrix":
    """Return the mean activation of each feature on the tokens with each id, zeros included; (d_vocab, d_sae)."""
    from scipy.sparse import csr_matrix

    acts, tokens = stretches.acts, rows.ravel()[stretches.place]
    own = csr_matrix(
        (acts.acts.astype(float), acts.features, np.concatenate([[0], acts.ends])), (len(tokens), acts.d_sae)
    )
    share = 1 / np.bincount(tokens, minlength=d_vocab)[tokens]
    which = csr_matrix((share, (tokens, np.arange(len(tokens)))), (d_vocab, len(tokens)))
    return (which @ own).tocsr()


def promotion(
    top_tokens: Int[np.ndarray, "d_sae k"], top_values: Float[np.ndarray, "d_sae k"], d_vocab: int
) -> "csr_matrix":
    """Return the logit weights above 0 of the tokens that each feature promotes most; (d_sae, d_vocab)."""
    from scipy.sparse import csr_matrix

    d_sae, k = top_tokens.shape
    weights = np.maximum(np.nan_to_num(top_values.astype(float)), 0).ravel()
    return csr_matrix((weights, (np.repeat(np.arange(d_sae), k), top_tokens.ravel())), (d_sae, d_vocab))


def logit_edges(
    promotes: "csr_matrix", means: "csr_matrix", source: Int[np.ndarray, " edge"], target: Int[np.ndarray, " edge"]
) -> Float[np.ndarray, " edge"]:
    """Return E of each pair, in float64."""
    by_target = means.T.tocsr()
    return np.asarray(promotes[source].multiply(by_target[target]).sum(axis=1), float).ravel()


def chance_logit_edges(promotes: "csr_matrix", means: "csr_matrix") -> Float[np.ndarray, " d_sae"]:
    """Return for each feature, as a target, the mean of E over all features as sources."""
    average = np.asarray(promotes.sum(axis=0), float).ravel() / promotes.shape[0]
    return np.asarray(means.T @ average, float)
