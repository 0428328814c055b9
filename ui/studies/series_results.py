"""What a series of dictionaries needs: what is stored is read first, and what is missing is said.

Pages on layers, widths, seeds and data ask here before they compare dictionaries. They go on with what takes a minute.
What takes longer waits for a press, and the page says which sweep makes it.
"""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.amounts import of_seconds
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions, space
from core.matching.matrix import pair_key
from core.sweeps.cost import RATE
from core.work.artifacts import artifact_key
from ui.studies import compute, sweeps

Pair = tuple[Dictionary, Dictionary]
ASK = 60 * RATE
"""Multiply-adds that the page of a series does unasked."""
_MOST_NAMED = 4


def those_there(needed: Mapping[str, Sequence[Pair]], side: DictionarySide, *, what: str) -> list[str]:
    """Return the names of those whose pairs of dictionaries are stored, and say which others there are.

    Returns all names where the missing pairs take at most ASK, or once a person has asked for them: the page computes
    them then. `what` says what the names are of, in the plural. Pairs without a common space count as stored.
    """
    works = {name: _works(pairs, side) for name, pairs in needed.items()}
    if _total(works) <= ASK:
        return list(needed)
    asked = f"_{artifact_key('series', 1, what=what, keys=' '.join(key for one in works.values() for key in one))}"
    missing = {name: {key: n for key, n in one.items() if not compute.at_hand(key)} for name, one in works.items()}
    lacking = {name: one for name, one in missing.items() if one}
    if _total(lacking) <= ASK or st.session_state.get(asked):
        return list(needed)
    more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
    sweeps.say_missing(
        f"{len(lacking)} of {len(needed)} {what} are not computed yet and left out: "
        f"{'; '.join(list(lacking)[:_MOST_NAMED])}{more}. Here that takes about {of_seconds(_total(lacking) / RATE)}.",
        {key for one in lacking.values() for key in one},
    )
    st.button(
        "Compute what is missing",
        key=asked.removeprefix("_"),
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({asked: True}),
    )
    return [name for name in needed if name not in lacking]


def _works(pairs: Sequence[Pair], side: DictionarySide) -> dict[str, int]:
    """Return the multiply-adds of each pair with a common space, by the name of its result."""
    return {
        pair_key(a.sha256, b.sha256, side): a.d_sae * b.d_sae * directions(a, side).shape[1]
        for a, b in pairs
        if space(a, side) == space(b, side)
    }


def _total(works: Mapping[str, Mapping[str, int]]) -> int:
    return sum({key: n for one in works.values() for key, n in one.items()}.values())
