"""Compare one direction with all features of a dictionary, which is faster than comparing all with all."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions
from core.errors import DoesNotFitError
from core.maths.cosines import row_cosines


def cosines_with(
    direction: Float[np.ndarray, " d"], dictionary: Dictionary, side: DictionarySide
) -> Float[np.ndarray, " d_sae"]:
    """Return the cosine of a direction with every feature of a dictionary (see core.maths.cosines).

    Raises DoesNotFitError for a direction of another width.
    """
    rows = directions(dictionary, side)
    if rows.shape[1] != len(direction):
        raise DoesNotFitError(
            f"A direction of width {len(direction):,} has no cosine with those of {dictionary.title}, which have width "
            f"{rows.shape[1]:,}. Choose a dictionary of the same place of the same model."
        )
    return row_cosines(direction, rows).astype(float)


def nearest_table(cosines: Float[np.ndarray, " d_sae"], *, top: int, itself: int | None = None) -> pd.DataFrame:
    """Return the features with the largest cosines, best first: neighbor_rank, neighbor, neighbor_cosine.

    Ties: lower feature first. `itself` and features without a cosine are left out.
    """
    listed = np.isfinite(cosines)
    if itself is not None:
        listed[itself] = False
    known = np.flatnonzero(listed)
    chosen = known[np.argsort(-cosines[known], kind="stable")[:top]]
    return pd.DataFrame(
        {
            "neighbor_rank": np.arange(1, len(chosen) + 1),
            "neighbor": chosen,
            "neighbor_cosine": cosines[chosen],
        }
    )


def match_table(
    decoder: Float[np.ndarray, " d_sae"], encoder: Float[np.ndarray, " d_sae"], *, top: int
) -> pd.DataFrame:
    """Return the features of another dictionary that are nearest by decoder or by encoder, best decoder cosine first.

    Columns: best_match, decoder_cosine, encoder_cosine, alignment. The `top` nearest by either are listed, so that
    there are up to twice as many.
    """
    lists = [nearest_table(cosines, top=top)["neighbor"] for cosines in (decoder, encoder)]
    chosen = np.union1d(*lists).astype(np.int64)
    chosen = chosen[np.argsort(-decoder[chosen], kind="stable")]
    columns = {"best_match": chosen, "decoder_cosine": decoder[chosen], "encoder_cosine": encoder[chosen]}
    return pd.DataFrame(columns).assign(alignment=(decoder[chosen] + encoder[chosen]) / 2)
