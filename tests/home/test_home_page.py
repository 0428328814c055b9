"""The first page: it asks at once, and says what it found when that is known."""

from urllib.parse import parse_qs

import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import button, fine, text_of
from ui.home.cards import QUESTIONS
from ui.shell.router import page_files


@pytest.fixture
def open_home(tmp_path, monkeypatch):
    """Return a function that opens the bare address of a planted workspace."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        yield lambda query=None: pages.run(pages.SCRIPT, {"sae": planted_pages.id_of(tmp_path)} | (query or {}))


def links(at) -> dict[str, dict[str, list[str]]]:
    """What each link of the page says, by the address of its page; of several the last."""
    found = [link.proto.page_link if hasattr(link.proto, "page_link") else link.proto for link in at.get("page_link")]
    return {link.page: parse_qs(link.query_string) for link in found}


def test_every_question_stands_there_before_anything_is_computed(open_home, monkeypatch):
    monkeypatch.setattr("ui.home.cards.fill", lambda *_: None)
    monkeypatch.setattr("ui.home.dictionary_card.fill", lambda *_: None)
    said = text_of(fine(open_home()))
    assert all(question.text in said for question in QUESTIONS)
    assert 6 <= len(QUESTIONS) <= 8
    assert "SAE Loupe shows what is inside a sparse autoencoder" in said


def test_every_question_has_a_page_and_an_answer():
    from ui.home.answers import ANSWERS

    assert {question.page for question in QUESTIONS} <= {page.path.stem for page in page_files()}
    assert [question.find for question in QUESTIONS] == sorted(ANSWERS, key=[q.find for q in QUESTIONS].index)


def test_findings_are_computed_for_the_open_dictionary_and_lead_to_it(open_home):
    at = fine(open_home())
    said = text_of(at)
    assert "of 12 features follow position" in said or "no clear elbow" in said
    assert "The page computes this." in said  # clusters take too long for a first page
    assert "tokens of an example use" in said
    assert links(at)["positions"]["feature"] == [str(planted_pages.POSITIONAL)]


def test_links_keep_the_settings_of_the_address(open_home):
    at = fine(open_home({"fold": "false", "tab": "Curves", "rows": "7"}))
    for query in links(at).values():
        assert query["fold"] == ["false"]
        assert query["rows"] == ["7"]
        assert query.get("tab") != ["Curves"]


def test_work_is_not_waited_for_and_named(open_home, monkeypatch):
    monkeypatch.setattr("ui.shared.progress.BACKGROUND_S", 0)
    monkeypatch.setattr("core.work.job.Job.finished_within", lambda *_: False)
    at = fine(open_home())
    said = text_of(at)
    assert "Computing: Positional statistics" in said
    assert QUESTIONS[0].text in said
    assert not at.get("progress")


def test_a_dictionary_that_does_not_open_leaves_the_ways_to_open_another(open_home):
    at = open_home({"sae": "folder/nowhere"})
    assert not at.exception
    assert len(at.error) == 1
    assert button(at, "Folder")


def test_your_notes_lead_to_their_features(open_home):
    from core.feature.notes import Note
    from ui.studies import opened
    from ui.studies.notes import note_store

    at = fine(open_home())
    note_store(opened.dictionary(at.session_state["sae"])).write(7, Note.of("fires on semicolons", ["syntax"]))
    at = fine(at.run())
    assert "7: syntax · fires on semicolons" in text_of(at)
    assert links(at)["feature"] | {"sae": [], "feature": ["7"], "tab": ["Notes"]} == links(at)["feature"] | {"sae": []}
