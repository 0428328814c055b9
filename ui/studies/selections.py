"""Selections of features, as the pages have them."""

import re

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.files.stamps import stamp
from core.selection.selection import OtherDictionaryError, Selection, is_of, split_link
from core.selection.store import Kept, SelectionStore, title_of
from ui.shared.selected import remembered
from ui.studies import compute

_TITLES = "_selection_titles"


def selection_store(dictionary: Dictionary) -> SelectionStore:
    """Return the store of a dictionary's selections, beside its notes."""
    names = dictionary.folded_sha256, dictionary.title
    return SelectionStore(compute.workspace().notes, *names, dictionary.d_sae)


def kept(store: SelectionStore) -> Kept:
    """Return the kept selections, read anew only when their file has changed. Raises SelectionError."""
    if not store.path.exists():
        return Kept()
    return compute.loaded().get(f"selections {stamp([store.path])} {store.path}", store.read, name="Selections")


def read(link: str, dictionary: Dictionary) -> Selection | None:
    """Return the selection that stands in the address or was typed; None for empty text.

    Raises OtherDictionaryError, UnknownNameError for one that is not kept here, and what `Selection.parse` raises.
    """
    of, listed = split_link(link)
    if not is_of(of, dictionary.folded_sha256):
        raise OtherDictionaryError(_title(of), dictionary.title)
    titles = st.session_state.setdefault(_TITLES, {})
    titles[dictionary.folded_sha256[:12]] = dictionary.title
    if not listed:
        return None
    if found := remembered(link):
        return found
    store = selection_store(dictionary)
    if listed.startswith("~"):
        return kept(store).find(listed[1:].strip())
    names = {"dictionary_sha256": dictionary.folded_sha256, "d_sae": dictionary.d_sae}
    parsed = Selection.parse(listed, **names, origin="a list of numbers")
    return next((one for one in reversed(kept(store).selections) if one.key == parsed.key), parsed)


def _title(sha256_begins: str) -> str:
    """Return how to call the dictionary whose hash begins so."""
    assert re.fullmatch(r"[0-9a-f]+", sha256_begins)
    known = st.session_state.get(_TITLES, {}).get(sha256_begins)
    title = known or title_of(compute.workspace().notes, sha256_begins)
    return title or f"the dictionary whose hash begins with {sha256_begins}"
