"""The tab Notes: write notes and tags, search them, and share them as a file. They are kept on this machine."""

import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.feature.note_store import NoteConflictError, NoteStore
from core.feature.notes import MOST_BYTES, MOST_CHARACTERS, MOST_TAGS, Note, Notes, NotesError, from_json
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies.notes import note_store
from ui.studies.uploads import uploader

_SAID = "_note_said"


def notes(dictionary: Dictionary, feature: int) -> None:
    """Draw the note of a feature, and all notes on the dictionary (raises NotesError)."""
    store = note_store(dictionary)
    known = store.read()
    show_told()
    for path in store.set_aside():
        st.warning(
            plain(f"The notes in {path.parent} were damaged, so the app renamed the file to {path.name}. New notes go "
                "into a new file beside it. Move the damaged file away when you have looked at it."),
            icon=":material/healing:",
        )  # fmt: skip
    left, right = st.columns([2, 3], gap="medium")
    with left, st.container(border=True):
        one(store, known, feature)
    with right:
        every(dictionary, known)
        exchange(store, known)


def one(store: NoteStore, known: Notes, feature: int) -> None:
    """Draw the note of one feature. The app saves what is typed when the field loses the focus."""
    stem = f"{store.dictionary_sha256[:16]}-{feature}"
    text, tags, was = f"note-text-{stem}", f"note-tags-{stem}", f"_note-was-{stem}"
    there = known.by_feature.get(feature, Note())
    # The note is new, or another window changed it. What was typed here is saved by then.
    if st.session_state.get(was) != there or text not in st.session_state:
        st.session_state[was] = there
        st.session_state[text], st.session_state[tags] = there.text, list(there.tags)

    def save() -> None:
        typed = st.session_state[text], st.session_state[tags]
        try:
            note = Note.of(*typed)
            try:
                after = store.write(feature, note, was=st.session_state[was])
            except NoteConflictError:
                after = store.add(Notes(known.dictionary_sha256, known.title, {feature: note}))
                tell_next_run("Another window changed this note too. Both texts are kept, one below the other.")
        except NotesError as error:
            tell_next_run(str(error), bad=True)  # the field keeps what was typed
            return
        kept = after.by_feature.get(feature, Note())
        st.session_state[was] = kept
        st.session_state[text], st.session_state[tags] = kept.text, list(kept.tags)

    st.markdown(f"**Note on feature {feature}**")
    st.text_area(
        "What it is",
        key=text,
        height=220,
        max_chars=MOST_CHARACTERS,
        on_change=save,
        placeholder="What makes it fire, what it does, what to check next",
    )
    st.multiselect(
        "Tags",
        sorted({*known.tags(), *st.session_state[tags]}, key=str.casefold),
        key=tags,
        accept_new_options=True,
        max_selections=MOST_TAGS,
        on_change=save,
        placeholder="Choose or type short words",
    )
    st.caption(
        plain(
            f"The app saves the note in {store.path.parent} when you leave the field. Deleting the cache does "
            "not delete notes."
            if store.path
            else "This public app keeps the note in your session alone: nobody else sees it, and closing the tab "
            "deletes it. Save all notes as JSON to keep them."
        )
    )


def every(dictionary: Dictionary, known: Notes) -> None:
    """List all features with a note or a tag, to search and to open."""
    if not any(known.by_feature.values()):
        st.info("No feature of this dictionary has a note yet.", icon=":material/sticky_note_2:")
        return
    words, chosen = st.columns(2, vertical_alignment="bottom")
    search = words.text_input(
        "Search", max_chars=500, key="note_search", bind="query-params", placeholder="Words in notes and tags"
    )
    # A filter cannot hold a tag that no note has any more.
    asked = [tag for tag in st.session_state.get("note_tags") or [] if tag in known.tags()]
    if asked != (st.session_state.get("note_tags") or []):
        st.session_state["note_tags"] = asked
    tags = chosen.multiselect("With all of these tags", known.tags(), key="note_tags")
    table = known.table(search=search or "", tags=tags)
    figure(
        "Features with a note",
        listing(table, "note-list", height=300, picks="feature"),
        table,
        explains=["feature_tags", "feature_note"],
        note=f"{len(table):,} of {len(known.by_feature):,} features with a note or tags · click a row to go to it",
        name="feature-notes",
        provenance=tables.provenance(
            dictionary=dictionary, method="notes of people", settings={"search": search or ""}
        ),
    )


def exchange(store: NoteStore, known: Notes) -> None:
    """Offer all notes as one file, and add the notes of a file."""
    with st.container(horizontal=True):
        st.download_button(
            "All notes as JSON",
            known.to_json(),
            f"notes-{store.dictionary_sha256[:16]}.json",
            "application/json",
            key="note_export",
            icon=":material/download:",
            disabled=not known.by_feature,
            on_click="ignore",
        )
        with st.popover("Add notes of a file", icon=":material/upload:"):
            file = uploader("JSON as downloaded here", type="json", key="note_file", most_bytes=MOST_BYTES)
            if file is not None:
                with errors.shown():
                    offer(store, from_json(file.getvalue()))


def offer(store: NoteStore, read: Notes) -> None:
    """Say what a file holds, and offer to add its notes."""
    n = len(read.by_feature)
    st.markdown(plain(f"{n:,} feature{'s' * (n != 1)} of {read.title[:200]}."))
    same = read.dictionary_sha256 == store.dictionary_sha256
    if not same:
        st.warning(
            "These notes are on another dictionary. Its feature numbers mean something else, unless it is the same "
            "dictionary saved in another way.",
            icon=":material/warning:",
        )
    st.caption("Your notes stay. Tags are joined, and a different text goes below yours.")

    def add() -> None:
        try:
            store.add(read)
            tell_next_run(f"Added notes on {n:,} features.")
        except NotesError as error:
            tell_next_run(str(error), bad=True)

    st.button("Add them" if same else "Add them anyway", key="note_add", type="primary", on_click=add)


def tell_next_run(text: str, *, bad: bool = False) -> None:
    """Show a message once, on the next run."""
    st.session_state[_SAID] = (text, bad)


def show_told() -> None:
    text, bad = st.session_state.pop(_SAID, ("", False))
    if text:
        (st.error if bad else st.success)(plain(text), icon=":material/error:" if bad else ":material/check:")
