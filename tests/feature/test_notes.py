"""Notes and tags of features: kept whole, never lost, whoever else writes and whatever is in them."""

import json
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import LoupeError
from core.feature.note_store import NoteConflictError, NoteStore
from core.feature.notes import DamagedNotesError, Note, Notes, NotesError, from_json
from core.files import kept

SHA = "ab" * 32


@pytest.fixture
def store(tmp_path) -> NoteStore:
    return NoteStore(tmp_path / "notes", SHA, "planted", 12)


def test_notes_are_there_again_for_whoever_opens_them_next(store, tmp_path):
    assert store.read().by_feature == {}
    assert not (tmp_path / "notes").exists(), "reading writes nothing"
    store.write(3, Note.of("fires on =\n  signs", ["code", "syntax"]))
    store.write(7, Note.of("", ["code"]))
    again = NoteStore(tmp_path / "notes", SHA, "planted", 12).read()
    assert again.by_feature == {3: Note("fires on =\n  signs", ("code", "syntax")), 7: Note("", ("code",))}
    assert again.tags() == ["code", "syntax"]
    assert NoteStore(tmp_path / "notes", "cd" * 32, "other", 12).read().by_feature == {}


def test_an_empty_note_takes_the_feature_off_the_list(store):
    store.write(3, Note.of("x"))
    assert store.write(3, Note.of("  ", [" ", ","])).by_feature == {}
    assert json.loads(store.path.read_text())["features"] == {}


@given(text=st.text(), tags=st.lists(st.text(max_size=30), max_size=5))
@settings(max_examples=50, deadline=None)
def test_odd_unicode_comes_back_as_it_was_kept(text, tags):
    note = Note.of(text, tags)
    assert from_json(Notes(SHA, "a \ud800 title", {5: note}).to_json()).by_feature == ({5: note} if note else {})
    assert Note.of(note.text, note.tags) == note


def test_typed_tags_are_cleaned_and_control_characters_dropped():
    note = Note.of("a\x00b\r\nc\td\ud800", ["Code", "code", " two   words ", "a,b", "", "x\ny"])
    assert note == Note("ab\nc\td\ufffd", ("Code", "two words", "a b", "x y"))


@pytest.mark.parametrize(
    ("text", "tags", "message"),
    [
        ("x" * 20_001, [], r"A note of 20,001 characters is too much; expected at most 20,000"),
        ("", [str(i) for i in range(31)], "A feature of 31 tags"),
        ("", ["t" * 41], "A tag of 41 characters"),
    ],
)
def test_what_is_too_long_is_refused(text, tags, message):
    with pytest.raises(NotesError, match=message):
        Note.of(text, tags)


def test_two_windows_writing_at_once_lose_nothing(store, tmp_path):
    def write(worker: int) -> None:
        own = NoteStore(tmp_path / "notes", SHA, "planted", 400)
        for i in range(8):
            own.write(worker * 8 + i, Note.of(f"note {worker} {i}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(store.read().by_feature) == list(range(32))
    assert [path.name for path in (tmp_path / "notes").glob(".*.tmp")] == []


def test_a_note_changed_in_another_window_is_not_overwritten_unseen(store):
    store.write(3, Note.of("theirs", ["t"]))
    with pytest.raises(NoteConflictError, match=r"now reads 'theirs', tags: t\..*save again"):
        store.write(3, Note.of("mine"), was=Note())
    assert store.read().by_feature[3].text == "theirs"
    store.write(3, Note.of("mine"), was=Note.of("theirs", ["t"]))
    store.write(3, Note.of("mine"), was=Note())  # the same again is no conflict
    assert store.read().by_feature[3] == Note("mine")


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "sae-loupe-notes/v1"}', b"[" * 100_000, b'{"format": null}'],
)
def test_a_damaged_file_is_set_aside_whole_and_never_written_over(store, damage):
    store.write(3, Note.of("old"))
    for copy in ("", "1"):
        store.path.write_bytes(damage)
        assert store.write(4, Note.of("new")).by_feature == {4: Note("new")}
        assert store.path.with_name(f"{store.path.name}.damaged{copy}").read_bytes() == damage
    assert len(store.set_aside()) == 2
    store.path.write_bytes(damage)
    assert store.read().by_feature == {}
    assert len(store.set_aside()) == 3


def test_a_file_of_another_dictionary_or_of_a_newer_version_is_left_alone(store):
    other = Notes("cd" * 32, "other", {1: Note("x")}).to_json()
    store.write(3, Note.of("mine"))
    store.path.write_bytes(other)
    assert store.read().by_feature == {}
    assert store.set_aside()[0].read_bytes() == other
    newer = other.replace(b"/v1", b"/v2")
    store.path.write_bytes(newer)
    for attempt in (store.read, lambda: store.write(3, Note.of("x"))):
        with pytest.raises(NotesError, match="'sae-loupe-notes/v2'; expected 'sae-loupe-notes/v1'"):
            attempt()
    assert store.path.read_bytes() == newer


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_says_where(store, monkeypatch, step):
    store.write(3, Note.of("old"))
    before = store.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(NotesError, match=r"No space left.*--notes FOLDER"):
        store.write(3, Note.of("new"))
    assert store.path.read_bytes() == before
    assert list(store.path.parent.glob(".*.tmp")) == []


def test_what_a_killed_writer_left_goes_after_a_day(store):
    store.write(3, Note("first"))
    left = store.path.with_name(f".{store.path.name}.a_b8c0de.tmp")
    left.write_text("half a no")
    store.write(3, Note("second"))
    assert left.exists(), "a young temporary file may belong to a living writer"
    os.utime(left, (0, 0))
    assert store.write(3, Note("third")).by_feature[3] == Note("third")
    assert not left.exists()


def test_waiting_for_another_writer_ends_with_a_message(store, monkeypatch):
    from filelock import FileLock

    monkeypatch.setattr(kept, "_PATIENCE_S", 0.01)
    store.write(3, Note.of("old"))
    with FileLock(f"{store.path}.lock"), pytest.raises(NotesError, match="locked by another program"):
        store.write(3, Note.of("new"))
    assert store.read().by_feature[3].text == "old"


def test_exported_notes_can_be_added_elsewhere_and_twice_changes_nothing(store, tmp_path):
    store.write(3, Note.of("first\n\nsecond", ["a"]))
    store.write(5, Note.of("five"))
    data = store.read().to_json()
    other = NoteStore(tmp_path / "elsewhere", SHA, "planted", 12)
    other.write(3, Note.of("mine\n\nfirst", ["b", "A"]))
    once = other.add(from_json(data))
    assert once.by_feature == {3: Note("mine\n\nfirst\n\nsecond", ("b", "A")), 5: Note("five")}
    assert other.add(from_json(data)) == once
    with pytest.raises(NotesError, match="Feature 5 does not exist: expected a whole number from 0 to 3"):
        NoteStore(tmp_path / "small", SHA, "small", 4).add(from_json(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c | {"features": {"-1": {"note": "", "tags": []}}},
        lambda c: c | {"features": {"1.5": {"note": "", "tags": []}}},
        lambda c: c | {"features": {"1": {"note": 3, "tags": []}}},
        lambda c: c | {"features": {"1": {"note": "", "tags": "code"}}},
        lambda c: c | {"features": {"1": {"note": "", "tags": [1]}}},
        lambda c: c | {"features": {"1": "note"}},
        lambda c: c | {"features": [1]},
        lambda c: c | {"dictionary": {"sha256": 1, "title": ""}},
        lambda c: c | {"format": "other"},
    ],
)
def test_what_is_imported_is_checked(change):
    content = json.loads(Notes(SHA, "t", {1: Note("x")}).to_json())
    with pytest.raises(DamagedNotesError, match="no file of notes") as caught:
        from_json(json.dumps(change(content)).encode())
    assert isinstance(caught.value, LoupeError)


def test_notes_are_searched_by_words_and_tags_whatever_the_case():
    notes = Notes(
        SHA, "t", {9: Note("Fires on code", ("Maths",)), 2: Note("code in Python", ("maths", "x")), 4: Note("y")}
    )
    assert notes.table()["feature"].tolist() == [2, 4, 9]
    assert notes.table(search="CODE fires")["feature"].tolist() == [9]
    assert notes.table(search="math")["feature"].tolist() == [2, 9]
    assert notes.table(tags=["maths", "X"])["feature"].tolist() == [2]
    assert notes.table(search="nothing").empty
    assert notes.table().loc[0].to_dict() == {
        "feature": 2,
        "feature_tags": "maths, x",
        "feature_note": "code in Python",
    }
