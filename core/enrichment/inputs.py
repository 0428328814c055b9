"""What enrichment starts from: token sets that can be compared with the other tokens, and directions that fit."""

import numpy as np
from jaxtyping import Float, Int

from core.errors import DoesNotFitError
from core.logit_weights.unembedding import Unembedding
from core.maths.square_sums import sum_of_squares
from core.token_sets.sets import TokenSet, TokenSets

TILE = 4096
"""Tokens of the unembedding that are worked on at a time."""


def usable_sets(sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]) -> TokenSets:
    """Keep of every set the tokens that have a logit weight; leave out, with a reason, sets of none or all of them."""
    kept, left_out = [], list(sets.left_out)
    for item in sets.sets:
        known = item.tokens[np.isin(item.tokens, tokens)]
        if 0 < len(known) < len(tokens):
            kept.append(TokenSet(item.name, item.group, item.rule, known, item.missing, item.several))
        else:
            left_out.append((item.name, f"{len(known)} of the {len(tokens)} tokens with a logit weight"))
    return TokenSets(tuple(kept), tuple(left_out))


class Members:
    """Which sets each row of the unembedding is in, as the kernel wants it."""

    def __init__(self, sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]):
        self.n_tokens, self._tokens, self._of_sets = len(tokens), tokens, sets
        indptr, self.sets = sets.membership(int(tokens[-1]) + 1)
        begin, end = indptr[tokens], indptr[tokens + 1]
        self.spans = (begin << 32) | end
        rows = np.zeros(len(indptr) - 1, bool)
        rows[tokens] = True
        self.sizes = np.array([np.count_nonzero(rows[item.tokens]) for item in sets.sets], dtype=np.int64)

    def rows_of_sets(self) -> list[Int[np.ndarray, " _"]]:
        """Return for each set its members' rows among the tokens with a logit weight, ascending."""
        places = (np.searchsorted(self._tokens, item.tokens) for item in self._of_sets.sets)
        known = (np.isin(item.tokens, self._tokens) for item in self._of_sets.sets)
        return [rows[kept] for rows, kept in zip(places, known, strict=True)]


def check_sets(sets: TokenSets, tokens: Int[np.ndarray, " n_tokens"]) -> None:
    """Raise DoesNotFitError unless every set has a token of the vocabulary and leaves one out."""
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
    """Raise DoesNotFitError where directions and unembedding have different widths."""
    width, expected = directions.shape[1], unembedding.rows.shape[1]
    if width != expected:
        raise DoesNotFitError(
            f"Features write rows of width {width}, the unembedding reads {expected}. "
            "Choose the model the dictionary was trained on."
        )


def token_length(unembedding: Unembedding) -> float:
    """Root mean square length of the unembedding's rows."""
    return float(np.sqrt(sum_of_squares(unembedding.rows) / len(unembedding.rows)))
