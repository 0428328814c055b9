"""The selection that all pages show: who is a member, and how a click makes another. See core/selection."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.selection.selection import Selection

KEY, ONLY = "selection", "only"
"""Widget keys, and names in the URL: the selection as a link holds it, and whether pages show only its members."""
SAID = "_selection_said"
_MADE = "_selections_made"
_MOST_REMEMBERED = 50


@dataclass(frozen=True)
class Ground:
    """The open dictionary, and the selection of its features."""

    sha256: str
    """The dictionary's hash as it was opened, as provenances name it."""
    folded_sha256: str
    """Its hash with decoder norms folded, as selections name it."""
    d_sae: int
    keep: Callable[[Selection], object]
    """Keeps a selection that is too long for a link. May raise a LoupeError."""
    selection: Selection | None = None
    only: bool = False
    """Whether pages show members only."""

    @cached_property
    def members(self) -> np.ndarray | None:
        """Return which features are members, bool [d_sae]; None without a selection."""
        return None if self.selection is None else self.selection.mask(self.d_sae)

    def select(self, features: Iterable[int], origin: str) -> None:
        """Make features the selection of all pages. For callbacks."""
        try:
            made = Selection.of(
                map(int, features), dictionary_sha256=self.folded_sha256, d_sae=self.d_sae, origin=origin
            )
            self.show(made)
        except LoupeError as error:
            st.session_state[SAID] = str(error)

    def show(self, selection: Selection) -> None:
        """Show a selection on all pages; none if it is empty. For callbacks. Raises LoupeError."""
        if not selection.features:
            st.session_state[SAID] = "No feature is left, so the selection stays as it was."
            return
        if not selection.is_short:
            self.keep(selection)
        remember(selection)
        st.session_state[KEY] = selection.in_link()


_ground: ContextVar[Ground | None] = ContextVar("selected_ground", default=None)


def stand_on(ground: Ground | None) -> None:
    """Say for this run which dictionary is open, and what is selected."""
    _ground.set(ground)


def ground() -> Ground | None:
    """Return the open dictionary with its selection; None where no dictionary can be opened."""
    return _ground.get()


def remember(selection: Selection) -> None:
    """Remember in this session where a selection is from, as its list in the address cannot say it."""
    made = {**st.session_state.get(_MADE, {}), selection.in_link(): selection}
    st.session_state[_MADE] = dict(list(made.items())[-_MOST_REMEMBERED:])


def remembered(link: str) -> Selection | None:
    """Return a selection that this session made, by what stands in the address."""
    return st.session_state.get(_MADE, {}).get(link)


def members_of(dictionary: Dictionary, *, only: bool = False) -> np.ndarray | None:
    """Return which features of a dictionary are selected, bool [d_sae]; None if none are.

    With `only`, None also unless the person wants to see members only.
    """
    here = ground()
    if here is None or here.selection is None or here.folded_sha256 != dictionary.folded_sha256:
        return None
    return None if only and not here.only else here.members


def select_these(features: Callable[[], Iterable[int]], origin: str, *, label: str, key: str) -> None:
    """Draw a button that makes features the selection; nothing where no dictionary is open.

    The features are of the open dictionary. They are asked for when the button is pressed.
    """
    here = ground()
    if here is not None:
        st.button(
            label,
            key=key,
            icon=":material/select_check_box:",
            type="tertiary",
            help="Makes these features the selection, which all pages can show. It stands in the sidebar.",
            on_click=lambda: here.select(features(), origin),
        )
