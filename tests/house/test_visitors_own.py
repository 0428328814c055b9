"""What a visitor of a public app makes: kept in that session alone, and never on the disk."""

import pytest

from core.feature.note_store import NoteStore
from core.feature.notes import Note, NotesError
from core.selection.selection import Selection, SelectionError
from core.selection.store import SelectionStore, title_of
from tests.doubles import pages, planted_pages

SHA = "ab" * 32


def test_notes_in_a_session_read_back_and_name_their_state():
    session = {}
    store = NoteStore(session, SHA, "planted", 12)
    empty = store.state
    store.write(3, Note.of("follows position", ["position"]))
    assert NoteStore(session, SHA, "planted", 12).read().by_feature == {3: Note.of("follows position", ["position"])}
    assert (store.path, store.set_aside()) == (None, [])
    assert store.state != empty
    assert NoteStore(session, "cd" * 32, "other", 12).read().by_feature == {}
    assert NoteStore({}, SHA, "planted", 12).read().by_feature == {}


def test_selections_in_a_session_read_back_with_the_title_of_their_dictionary():
    session = {}
    store = SelectionStore(session, SHA, "planted", 40)
    kept = Selection.of((1, 2), dictionary_sha256=SHA, d_sae=40, name="months")
    store.keep(kept)
    assert SelectionStore(session, SHA, "planted", 40).read().find("months").features == (1, 2)
    assert title_of(session, SHA[:12]) == "planted"
    assert title_of(session, "cd" * 6) is None
    assert title_of({}, SHA[:12]) is None


@pytest.mark.parametrize("kind", ["notes", "selections"])
def test_a_session_keeps_no_more_than_its_limit(kind):
    session = {}
    notes, selections = (cls(session, SHA, "planted", 400, most_bytes=200) for cls in (NoteStore, SelectionStore))
    long = Selection.of(range(0, 400, 2), dictionary_sha256=SHA, d_sae=400, name="long")
    keep = {"notes": lambda: notes.write(3, Note.of("x" * 300)), "selections": lambda: selections.keep(long)}
    with pytest.raises((NotesError, SelectionError), match=rf"{kind} are too many for a visitor's session; expected"):
        keep[kind]()
    assert session == {}


def test_a_visitors_note_is_seen_by_nobody_else_and_lies_on_no_disk(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    query = {"sae": planted_pages.id_of(tmp_path), "feature": 3, "tab": "Notes"}
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path), "--public", "--page", "feature"):
        writer, other = pages.run(pages.SCRIPT, query), pages.run(pages.SCRIPT, query)
        next(area for area in writer.text_area if area.label == "What it is").set_value("mine alone").run()
        assert "mine alone" in pages.table(writer, "feature_note")["feature_note"].tolist()
        other.run()
        assert "No feature of this dictionary has a note yet" in pages.text_of(other, "info")
        assert "keeps the note in your session alone" in pages.text_of(writer, "caption")
        assert str(tmp_path) not in pages.text_of(writer)
    assert not (tmp_path / "notes").exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"mine alone" in path.read_bytes()]
