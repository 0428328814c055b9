"""The inputs of enrichment: token sets that can be compared with the other tokens, and directions that fit."""

import numpy as np
from jaxtyping import Float, Int

from core.errors import DoesNotFitError
from core.logit_weights.unembedding import Unembedding
from core.maths.square_sums import sum_of_squares
from core.token_sets.sets import TokenSet, TokenSets

TILE = 4096
"""Tokens of the unembedding in one product."""


def usable_sets(sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]) -> TokenSets:
    """Keep the tokens of every set that have a logit weight.

    Sets that then hold no tokens, or all tokens, are left out with a reason.
    """
    kept, left_out = [], list(sets.left_out)
    for item in sets.sets:
        known = item.tokens[np.isin(item.tokens, tokens)]
        if 0 < len(known) < len(tokens):
            kept.append(TokenSet(item.name, item.group, item.rule, known, item.missing, item.several))
        else:
            left_out.append((item.name, f"{len(known)} of the {len(tokens)} tokens with a logit weight"))
    return TokenSets(tuple(kept), tuple(left_out))


class Members:
    """The sets of each row of the unembedding, in the form that the kernel needs."""

    def __init__(self, sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]):
        self.n_tokens, self._tokens, self._of_sets = len(tokens), tokens, sets
        indptr, self.sets = sets.membership(int(tokens[-1]) + 1)
        begin, end = indptr[tokens], indptr[tokens + 1]
        self.spans = (begin << 32) | end
        rows = np.zeros(len(indptr) - 1, bool)
        rows[tokens] = True
        self.sizes = np.array([np.count_nonzero(rows[item.tokens]) for item in sets.sets], dtype=np.int64)

    def rows_of_sets(self) -> list[Int[np.ndarray, " _"]]:
        """Return, for each set, the rows of the unembedding of its members, ascending."""
        places = (np.searchsorted(self._tokens, item.tokens) for item in self._of_sets.sets)
        known = (np.isin(item.tokens, self._tokens) for item in self._of_sets.sets)
        return [rows[kept] for rows, kept in zip(places, known, strict=True)]


def check_sets(sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]) -> None:
    """Raise DoesNotFitError unless every set holds at least one of the tokens, and not all of them."""
    if not len(sets):
        raise DoesNotFitError("There are no token sets, expected at least one. Choose or type a token set.")
    for item in sets.sets:
        name = item.name[:100]
        if len(item) and item.tokens[-1] > tokens[-1]:
            raise DoesNotFitError(
                f"Token set {name!r} holds token {item.tokens[-1]}, the vocabulary ends at {tokens[-1]}. "
                "Make the set from this model's vocabulary."
            )
        inside = int(np.isin(item.tokens, tokens).sum())
        if not 0 < inside < len(tokens):
            raise DoesNotFitError(
                f"Token set {name!r} holds {inside} of {len(tokens)} tokens; expected at least one token in the "
                "set and one outside it to compare with. Change the set or leave it out."
            )


def check_width(directions: Float[np.ndarray, "d_sae d_direction"], unembedding: Unembedding) -> None:
    """Raise DoesNotFitError if directions and unembedding have different widths."""
    width, expected = directions.shape[1], unembedding.rows.shape[1]
    if width != expected:
        raise DoesNotFitError(
            f"Features write rows of width {width}, the unembedding reads {expected}. "
            "Choose the model the dictionary was trained on."
        )


def token_length(unembedding: Unembedding) -> float:
    """Return the root mean square length of the unembedding's rows."""
    return float(np.sqrt(sum_of_squares(unembedding.rows) / len(unembedding.rows)))
