"""What a public app shows of its machine, and what it takes from a visitor."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from core.installation import PROJECT
from tests.doubles import pages, planted_pages
from ui.shared import escape

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def as_before():
    before = {name: config.get_option(name) for name in ("server.maxUploadSize", "client.showErrorDetails")}
    yield
    escape.hide(())
    for name, value in before.items():
        config.set_option(name, value)


@pytest.fixture
def public(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    return tmp_path


def sent(block) -> str:
    """All that the server sent for a block, without the escapes of Markdown."""
    children = getattr(block, "children", {}).values()
    own = str(getattr(block, "proto", "")).replace("\\", "").replace(escape.BREAK, "")
    return own + "".join(map(sent, children))


@pytest.mark.parametrize("name", ["home", "overview", "text", "positions", "matching", "interventions"])
def test_no_page_sends_where_folders_lie(public, monkeypatch, name):
    with pages.page(public, monkeypatch, name, "--public") as open_page:
        at = pages.fine(open_page())
    found = sent(at._tree)
    assert "dictionary" in found
    assert str(public) not in found
    assert str(PROJECT) not in found


def test_an_error_of_a_damaged_file_names_it_but_not_its_place(public, monkeypatch):
    weights = next((public / "dictionary").glob("*.safetensors"))
    weights.write_bytes(b"damaged")
    with pages.page(public, monkeypatch, "overview", "--public") as open_page:
        at = open_page()
    said = pages.text_of(at, "error")
    assert "…/dictionary" in said
    assert str(public) not in sent(at._tree)
    with pages.page(public, monkeypatch, "overview") as open_page:
        assert str(public) in pages.text_of(open_page(), "error")  # a person's own app names the place


def test_streamlit_is_told_to_take_little_and_to_say_nothing_of_a_crash(public, monkeypatch):
    with pages.page(public, monkeypatch, "overview", "--public") as open_page:
        open_page()
    assert config.get_option("server.maxUploadSize") == 1
    assert config.get_option("client.showErrorDetails") == "none"


def test_folders_are_hidden_by_their_whole_names_the_longest_first():
    escape.hide([Path("/srv/app"), Path("/srv/app/data"), Path("/")])
    assert escape.signs("/srv/app/data/x, /srv/apple, /srv/app, /srv/app.old") == (
        "…/data/x, /srv/apple, …/app, /srv/app.old"
    )
    table = escape.signs_in_table(pd.DataFrame({"place": ["/srv/app/x", "y"]}))
    assert table["place"].tolist() == ["…/app/x", "y"]


def test_downloads_name_folders_by_their_last_part_alone(public, monkeypatch):
    id = planted_pages.id_of(public)
    said = {"dictionaries": [{"id": id, "sha256": "abc"}], "settings": {"n": 3, "of": (id,)}}
    with pages.page(public, monkeypatch, "overview", "--public") as open_page:
        pages.fine(open_page())
        cleaned = escape.without_folders(said)
    assert str(public) not in str(cleaned)
    assert cleaned["dictionaries"][0] == {"id": "folder/…/dictionary", "sha256": "abc"}
    assert cleaned["settings"] == {"n": 3, "of": ("folder/…/dictionary",)}
    with pages.page(public, monkeypatch, "overview") as open_page:
        pages.fine(open_page())
        assert escape.without_folders(said) == said


@pytest.mark.parametrize(("options", "asks"), [(("--public",), False), ((), True)])
def test_a_public_app_draws_no_field_for_a_path(public, monkeypatch, options, asks):
    with pages.page(public, monkeypatch, "dashboards", *options) as open_page:
        assert ("Folder" in {field.label for field in pages.fine(open_page()).text_input}) == asks
    with pages.page(public, monkeypatch, "activations", *options) as open_page:
        source = next(box for box in pages.fine(open_page()).selectbox if box.label == "Source")
        assert ("File or folder" in source.options) == asks
    with pages.app(monkeypatch, *planted_pages.arguments(public), *options):
        finder = AppTest.from_function(_find_another, default_timeout=120).run()
        assert ("Folder" in {tab.label for tab in finder.tabs}) == asks


def _find_another():
    from ui.sidebar import dictionary_finder

    dictionary_finder.contents()


def test_every_field_for_uploads_asks_the_policy():
    elsewhere = ROOT / "ui" / "studies" / "uploads.py"
    files = [path for folder in ("ui", "pages") for path in (ROOT / folder).rglob("*.py") if path != elsewhere]
    assert [path.name for path in files if "st.file_uploader" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("name", "query", "field", "file", "data"),
    [
        ("feature", {}, "File", "probe.npy", np.lib.format.magic(1, 0) + bytes(2**20)),
        ("feature", {"tab": "Notes"}, "JSON as downloaded here", "notes.json", b" " * 2**21),
        ("text", {}, "files in place of the typed text", "a.txt", b"x" * (2**20 + 1)),
    ],
)
def test_a_large_upload_is_refused_by_name(public, monkeypatch, name, query, field, file, data):
    with pages.page(public, monkeypatch, name, "--public") as open_page:
        at = open_page(query)
        place = next(place for place in at.file_uploader if field in place.label)
        assert place.proto.max_upload_size_mb == 1
        place.set_value((file, data, "")).run()
    assert not at.exception
    said = pages.text_of(at, "error")
    assert re.search(rf"'{file}': this public app holds uploads in memory alone, .* Upload a smaller file", said)
