"""The open dictionary as one card, the ways to open another, and the notes on its features."""

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from ui.shared import errors, links
from ui.shared.errors import NotStored, StillRunning
from ui.shared.escape import plain
from ui.sidebar import dictionary_finder
from ui.studies import opened
from ui.studies.notes import note_store

MOST_NOTES = 5


def draw(dictionary: Dictionary) -> st.delta_generator.DeltaGenerator:
    """Draw what the dictionary is; return the place for its health."""
    config = dictionary.config
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{plain(opened.shown_id(dictionary.id))}**")
        facts = [config.kind, f"{dictionary.d_sae:,} features", config.hook_name or "hook unknown"]
        st.markdown(plain(f"{' · '.join(facts)}, a dictionary of {config.model_name or 'an unknown model'}"))
        place = st.empty()
        place.caption("Health: …")
        links.to(st.empty(), "overview", {})
    return place


def fill(place: st.delta_generator.DeltaGenerator, dictionary: Dictionary) -> None:
    """Draw its health."""
    from ui.overview import health  # imports what draws charts

    try:
        found = health.whole(dictionary)
    except StillRunning:
        return
    except NotStored:
        place.caption("Health: the page computes this.")
    except LoupeError as error:
        place.caption(plain(f"Health: {error}"))
    else:
        with place.container():
            health.brief(found)


def own() -> None:
    """Draw the three ways to open a dictionary of one's own."""
    with st.container(border=True, height="stretch"):
        st.markdown("**Open your own**")
        st.caption("An SAE on this machine, one of sae-lens' registry, or any repository of the Hugging Face hub.")
        ways = zip(("Folder", "Registry", "Hub repository"), ("folder_open", "travel_explore", "cloud"), strict=True)
        with st.container(horizontal=True):
            for way, icon in ways:
                if st.button(way, key=f"home_{way}", icon=f":material/{icon}:"):
                    dictionary_finder.dialog(way)


def notes(dictionary: Dictionary) -> None:
    """List the first notes on features of this dictionary, if there are any."""
    with errors.shown():
        table = note_store(dictionary).read().table()
        if table.empty:
            return
        st.markdown("**Your notes**")
        for row in table.head(MOST_NOTES).itertuples():
            text = " · ".join(filter(None, [row.feature_tags, " ".join(row.feature_note.split())[:100]]))
            with st.container(horizontal=True, vertical_alignment="center"):
                links.to(st.empty(), "feature", {"feature": str(row.feature), "tab": "Notes"})
                st.markdown(plain(f"{row.feature}: {text}"))
