"""The selection in the sidebar: what it is, and how to make, name, combine, export and clear one."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial, wraps

import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.selection.selection import MOST_CHARACTERS, MOST_NAME, Combine, OtherDictionaryError, Selection
from core.selection.store import Kept, SelectionStore
from ui.shared import selected
from ui.shared.escape import plain, signs
from ui.shared.selected import KEY, ONLY, SAID, Ground
from ui.studies import opened, selections

_NAME, _KEPT = "_selection_name", "_selection_kept"
_LONGEST_BAD = 300
"""A typed text that is no selection stays in its field, and in the address, up to so many characters."""
COMBINE: dict[Combine, str] = {
    "and": "The features in both",
    "or": "The features in either",
    "minus": "Those selected now that the kept one lacks",
}


def draw() -> None:
    """Draw the selection, and say to all figures what it is. Nothing if no dictionary can be opened."""
    selected.stand_on(None)
    with suppress(LoupeError):
        _draw(opened.dictionary())


def _draw(dictionary: Dictionary) -> None:
    store = selections.selection_store(dictionary)
    link = st.session_state.get(KEY, st.query_params.get(KEY)) or ""
    selection, known, title, problem = None, Kept(), "", ""
    try:
        known = selections.kept(store)
        selection = selections.read(link, dictionary)
    except OtherDictionaryError as error:
        title, problem = "Selection: of another dictionary", str(error)
    except LoupeError as error:
        title, problem = "Selection: not shown", f"The selection is not shown. {error}"
    here = Ground(dictionary.sha256, dictionary.folded_sha256, dictionary.d_sae, store.keep, selection)
    label = title or ("No selection" if selection is None else f"Selection: {how_many(selection)}")
    with st.popover(label, key="selection_box", icon=":material/select_check_box:", width="stretch"):
        _contents(here, store, known, dictionary, link)
    if selection is not None:
        st.caption(plain(_from(selection)))
        only = st.toggle(
            "Only these",
            key=ONLY,
            bind="query-params",
            help="On: tables and charts of features show the members alone. Off: charts and the map grey the others.",
        )
        here = replace(here, only=only)
    if said := st.session_state.pop(SAID, problem):
        st.warning(plain(said), icon=":material/select_check_box:")
    selected.stand_on(here)


def how_many(selection: Selection) -> str:
    """Say how many features a selection has."""
    return f"{len(selection):,} feature{'s' * (len(selection) != 1)}"


def _from(selection: Selection) -> str:
    made = f"from {selection.origin}" if selection.origin else ""
    return " · ".join(filter(None, (selection.name, made)))


def _contents(here: Ground, store: SelectionStore, known: Kept, dictionary: Dictionary, link: str) -> None:
    """Draw what the popover holds."""
    st.caption(
        "A selection is a set of features that all pages show. Press Select in a figure, draw a lasso on the map, or "
        "type numbers here."
    )
    typed = st.text_input(
        "Selected features",
        key=KEY,
        bind="query-params",
        max_chars=MOST_CHARACTERS,
        placeholder="3, 7-12",
        help="Numbers and ranges. The address holds them behind the first digits of the dictionary's hash; a long list "
        "is kept on this machine, and the address names it.",
        on_change=_told(partial(_take_typed, here, dictionary)),
    )
    if (typed or "") != link:  # Back and Forward change the address, which only the field reads
        st.rerun()
    if here.selection is not None:
        _name(here, store, here.selection, dictionary)
    _kept(here, store, known)


def _name(here: Ground, store: SelectionStore, selection: Selection, dictionary: Dictionary) -> None:
    """Name the selection and keep it, save it as a file, or clear it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.text_input("Name", key=_NAME, max_chars=MOST_NAME, placeholder=selection.name or "months", width=150)

        def named() -> Selection:
            return selection.called(st.session_state.get(_NAME) or selection.name)

        st.button("Keep", key="selection_keep", on_click=_told(lambda: _keep(here, store, named())))
        if selection.name:
            st.button("Rename", key="selection_rename", on_click=_told(lambda: _rename(here, store, selection)))
    with st.container(horizontal=True, gap="small"):
        stem = f"selection-{selection.key}"
        csv, json = partial(tables.to_csv, selection.table()), partial(selection.to_json, dictionary.title)
        st.download_button("CSV", csv, f"{stem}.csv", "text/csv", key="selection_csv", on_click="ignore")
        st.download_button("JSON", json, f"{stem}.json", "application/json", key="selection_json", on_click="ignore")
        st.button("Clear", key="selection_clear", icon=":material/close:", on_click=clear)


def _kept(here: Ground, store: SelectionStore, known: Kept) -> None:
    """Open, combine or delete a kept selection."""
    named = known.named()
    if not named:
        return
    if st.session_state.get(_KEPT) not in named:
        st.session_state.pop(_KEPT, None)
    st.selectbox(
        "Kept",
        list(named),
        key=_KEPT,
        format_func=lambda name: f"{signs(name)} ({len(named[name]):,})",
        help=f"Kept in {plain(str(store.path.parent))}. Deleting the cache does not delete them."
        if store.path
        else "Kept in your session alone: nobody else sees them, and closing the tab deletes them.",
    )

    def chosen() -> Selection:
        return named[st.session_state[_KEPT]]

    with st.container(horizontal=True, gap="small"):
        st.button("Open", key="selection_open", on_click=_told(lambda: here.show(chosen())))
        for how, meaning in COMBINE.items() if here.selection is not None else ():

            def combine(how: Combine = how) -> None:
                assert here.selection is not None
                here.show(here.selection.combined(how, chosen()))

            st.button(how.capitalize(), key=f"selection_{how}", help=meaning, on_click=_told(combine))
        st.button("Delete", key="selection_delete", on_click=_told(lambda: store.delete(chosen().name)))


def clear() -> None:
    """Select nothing. For callbacks."""
    st.session_state[KEY] = ""
    st.session_state[ONLY] = False


def _take_typed(here: Ground, dictionary: Dictionary) -> None:
    """Put the dictionary's hash before numbers that a person typed, so that a link of them is sure."""
    text = st.session_state[KEY] or ""
    try:
        selection = selections.read(text, dictionary)
    except LoupeError:  # the sidebar says why
        if len(text) > _LONGEST_BAD:
            st.session_state[KEY] = ""
            raise
        return
    if selection is None:
        clear()
    else:
        here.show(selection)


def _keep(here: Ground, store: SelectionStore, selection: Selection) -> None:
    if not selection.name:
        st.session_state[SAID] = "A selection is kept by its name. Type one, then press Keep again."
        return
    store.keep(selection)
    here.show(selection)
    st.session_state[_NAME] = ""


def _rename(here: Ground, store: SelectionStore, selection: Selection) -> None:
    if new := st.session_state.get(_NAME):
        store.rename(selection.name, new)
        here.show(selection.called(new))
        st.session_state[_NAME] = ""


def _told(act: Callable[[], object]) -> Callable[[], None]:
    """Return a callback that says what went wrong on the next run, as a callback can draw nothing."""

    @wraps(act, assigned=())
    def callback() -> None:
        try:
            act()
        except LoupeError as error:
            st.session_state[SAID] = str(error)

    return callback
