"""The text picker on a planted workspace: what is read, what the link says, and what is fetched."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.corpus.samples import SampleSettings
from core.corpus.streams import Document
from tests.doubles import pages, planted_pages
from tests.doubles.pages import button, fine, text_of
from tests.doubles.planted import planted_dictionary, planted_model
from ui.studies import corpus

APP = Path(__file__).with_name("text_app.py")
LIBRARY = [Document("module.py", "def f(x):\n    return x\n" * 40)]  # 920 bytes and a separator: 153 rows of 6


@pytest.fixture
def open_app(tmp_path, monkeypatch):
    """Return a function that opens the app with a query on a workspace with texts in `tmp_path/texts`."""
    planted_pages.write_workspace(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("abcdefghijklmnopqrstuvwxyz" * 4)
    monkeypatch.setattr("core.corpus.streams.standard_library", lambda: LIBRARY)
    monkeypatch.setattr("ui.studies.corpus.standard_library_sha256", lambda: "short")
    with pages.app(monkeypatch, *planted_pages.arguments(tmp_path)):
        yield lambda **query: pages.run(APP, query)


def sampled(at: AppTest) -> str:
    return fine(at).text[0].value + "\n" + at.main.markdown[0].value.replace("\\", "")


def said(at: AppTest) -> str:
    assert not at.exception
    return text_of(at, "error", "warning") + text_of(at.sidebar, "caption", "markdown")


def test_without_a_word_the_library_is_read_in_rows_of_the_training_context(open_app):
    at = open_app()
    assert sampled(at).startswith(f"(128, {planted_pages.C})")
    assert "128 rows of 6 tokens, standard library of Python 3" in sampled(at)
    assert "128 rows of 6 tokens of the standard library" in said(at)  # nothing was at hand yet
    assert "768 tokens: 128 rows of 6 tokens" in said(at.run())


QUERY = {"rows": 5, "length": 9, "bos": "With", "text_seed": 3, "special": "false"}


@pytest.mark.parametrize("off", [{}, {"off": 1}])
def test_a_link_says_everything_about_the_rows_with_or_without_the_picker(open_app, off):
    found = sampled(open_app(**QUERY, **off))
    assert found.startswith("(5, 9) [0, ")
    assert "(0,)" in found
    assert "each after BOS, special tokens not counted, seed 3" in found


def test_the_widgets_mean_what_the_link_means(open_app):
    at = open_app()
    for key in ("rows", "length", "text_seed"):
        at.number_input(key=key).set_value(QUERY[key])
    at.selectbox(key="bos").set_value("With")
    at.toggle(key="special").set_value(False)
    assert sampled(at.run()) == sampled(open_app(**QUERY))


def test_each_setting_alone_changes_what_is_read(open_app):
    at = open_app()
    seen = {sampled(at)}
    for kind, key, value in (
        ("number_input", "rows", 5),
        ("number_input", "text_seed", 3),
        ("toggle", "special", False),
        ("selectbox", "bos", "With"),
        ("number_input", "length", 9),
    ):
        getattr(at, kind)(key=key).set_value(value)
        assert sampled(at.run()) not in seen
        seen.add(sampled(at))


@pytest.mark.parametrize("off", [{}, {"off": 1}])
def test_what_a_link_cannot_mean_is_as_if_it_were_not_there(open_app, off):
    for bad in ("0", "<script>"):
        found = sampled(open_app(rows=bad, length=bad, text=bad, bos=bad, text_seed="-1", special=bad, **off))
        assert found.startswith("(128, 6)")
        assert "standard library" in found
        assert "seed 0" in found


def test_more_rows_than_the_text_holds_are_as_many_as_it_holds_and_it_says_so(open_app):
    at = open_app(rows=1000).run()
    assert sampled(at).startswith("(153, 6)")
    assert "The text has no more than 153 such rows" in said(at)


def test_a_length_kept_from_a_model_that_reads_more_goes_back_to_the_training_context(open_app, tmp_path, monkeypatch):
    wide = planted_model(tmp_path / "more", n_ctx=24).folder
    config = json.loads((wide / "config.json").read_text())
    (wide / "config.json").write_text(json.dumps(config | {"model_name": "wide"}))
    planted_dictionary(metadata={"model_name": "wide"}).save(tmp_path / "more" / "dictionary")
    more = ["--model", str(wide), "--sae", str(tmp_path / "more" / "dictionary")]
    monkeypatch.setattr("sys.argv", [*sys.argv, *more])
    at = open_app(rows=4, length=20, sae=f"folder/{(tmp_path / 'more' / 'dictionary').resolve()}")
    assert sampled(at).startswith("(4, 20)")
    at.selectbox(key="sae").set_value(f"folder/{(tmp_path / 'dictionary').resolve()}").run()
    assert sampled(at).startswith("(4, 6)")
    assert "planted reads 12 tokens, not 20. The app uses the training context" in said(at)
    at.number_input(key="length").set_value(8).run()
    assert sampled(at).startswith("(4, 8)")
    assert "Back to" not in said(at)


def test_a_length_that_a_model_cannot_read_is_cut_where_no_picker_is_drawn(open_app):
    assert sampled(open_app(off=1, rows=4, length=99)).startswith("(4, 12)")


def test_a_folder_below_a_root_is_in_the_link_by_its_short_name(open_app, tmp_path):
    at = open_app(text="File or folder")
    at.text_input(key="text_path").set_value(str(tmp_path / "texts")).run()
    assert "17 rows of 6 tokens, texts (1 file)" in sampled(at)
    assert at.query_params["text_name"] == "texts"
    assert str(tmp_path) not in json.dumps({k: v for k, v in at.query_params.items() if k != "sae"})
    assert sampled(open_app(text="File or folder", text_name="texts")) == sampled(at)
    assert sampled(open_app(text="File or folder", text_name="texts", off=1)) == sampled(at)
    at.selectbox(key="text").set_value("Standard library").run()
    assert "text_name" not in at.query_params
    at.selectbox(key="text").set_value("File or folder").run()
    assert "texts (1 file)" in sampled(at)


def test_a_pinned_path_outside_the_roots_stays_out_of_the_link(open_app, tmp_path, monkeypatch, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "own.txt").write_text("x" * 50)
    at = open_app(text="File or folder")
    at.text_input(key="text_path").set_value(str(outside / "own.txt")).run()
    assert "is not a folder or file that this app may read" in said(at)
    monkeypatch.setattr("sys.argv", ["app.py", *planted_pages.arguments(tmp_path), "--sae", str(outside)])
    pages.forget()
    at.run()
    assert "own.txt" in sampled(at)
    assert "text_name" not in at.query_params
    assert sampled(at.run())


def test_a_changed_file_is_read_anew(open_app, tmp_path):
    text, ids = tmp_path / "texts" / "one.txt", tmp_path / "texts" / "ids.npy"
    np.save(ids, np.arange(50))
    for path, change in ((text, lambda: text.write_text("z" * 104)), (ids, lambda: np.save(ids, np.arange(1, 51)))):
        at = open_app(text="File or folder", text_name=f"texts/{path.name}", rows=1, length=12)
        before = sampled(at)
        change()
        assert sampled(at.run()) != before


def test_names_of_files_are_shown_letter_by_letter(open_app, tmp_path):
    name = "*a* <b> [c](d) $e$.txt"
    (tmp_path / "texts" / name).write_text("x" * 50)
    at = open_app(text="File or folder", text_name=f"texts/{name}", rows=2).run()
    assert name in sampled(at)
    shown = next(c.value for c in at.sidebar.caption if "rows of" in c.value)
    assert "\\*a\\* \\<b\\> \\[c\\]\\(d\\) \\$e\\$" in shown


def test_a_table_of_ids_is_read_as_it_stands_and_one_the_model_does_not_know_is_refused(open_app, tmp_path):
    table = np.arange(40).reshape(5, 8)
    np.save(tmp_path / "texts" / "rows.npy", table)
    np.save(tmp_path / "texts" / "large.npy", table + 250)
    at = open_app(text="File or folder", text_name="texts/rows.npy", rows=3)
    assert sampled(at).startswith("(3, 6) [0, 1, 2, 3, 4, 5]")
    assert "rows.npy, no BOS, in the order of the file" in sampled(at)
    at = open_app(text="File or folder", text_name="texts/large.npy")
    assert "Token ids of large.npy go from 250 to 287, but planted knows 0 to 256" in said(at)


def test_a_text_that_cannot_be_read_says_why_and_the_picker_stays(open_app, tmp_path):
    for file, content in (("short.txt", "x"), ("empty.txt", ""), ("none.npy", "")):
        (tmp_path / "texts" / file).write_text(content)
    at = open_app(text="File or folder")
    for name, message in (
        ("", "is not a folder or file that this app may read"),
        ("../secret", "is not a folder or file that this app may read"),
        ("texts/short.txt", "The text holds 2 tokens, too few for 1 rows of 6. Choose rows of at most 2"),
        ("texts/empty.txt", "empty.txt is empty. Expected plain text in UTF-8"),
        ("texts/none.npy", "none.npy cannot be read as tokens"),
    ):
        at.text_input(key="text_path").set_value(name).run()
        assert message in said(at)
    at.selectbox(key="text").set_value("Standard library").run()
    assert sampled(at).startswith("(128, 6)")


@pytest.fixture
def hub(monkeypatch):
    """Stand in for the hub and `datasets`: a list of what was asked; what is put into `hub.rows` comes."""

    class Hub:
        rows: list | Exception = [{"text": f"Story {i}, told to its end. "} for i in range(9)]  # noqa: RUF012

        def __init__(self):
            self.asked = []

        def describe(self, repository, revision):
            self.asked.append((repository, revision))
            return repository, "a" * 40

        def load(self, path, **how):
            if isinstance(self.rows, Exception):
                raise self.rows
            return {"train": self.rows}

    found = Hub()
    monkeypatch.setattr("core.hub.client.describe_dataset", found.describe)
    monkeypatch.setattr("core.corpus.datasets._load_dataset", found.load)
    return found


def test_a_dataset_is_fetched_when_asked_and_read_from_disk_ever_after(open_app, hub):
    at = open_app(text="Dataset", text_name="me/tales")
    assert "fetches its first documents, up to 4 MB of text (about 1,000,000 tokens)" in said(at)
    assert "The dataset 'me/tales' is not on this machine" in said(at)
    assert hub.asked == []
    button(at, "Download").click().run()
    assert hub.asked == [("me/tales", "main")]
    assert "me/tales (train, all 9 documents, revision aaaaaaa)" in sampled(at.run())
    assert not [b for b in at.button if b.label == "Download"]
    pages.forget()
    again = open_app(text="Dataset", text_name="me/tales")
    assert sampled(again) == sampled(at)
    assert len(hub.asked) == 1
    assert "not on this machine" in said(open_app(text="Dataset", text_name="me/tales", text_mb="16 MB"))


def test_a_download_that_breaks_off_says_so_and_can_be_tried_again(open_app, hub):
    hub.rows, whole = ConnectionError("gone"), hub.rows
    at = open_app(text="Dataset", text_name="me/tales")
    button(at, "Download").click().run()
    assert "The connection for me/tales failed (gone)" in said(at)
    at.run()
    assert len(hub.asked) == 1  # a rerun asks nothing
    hub.rows = whole
    button(at, "Download").click().run()
    assert "all 9 documents" in sampled(at.run())


def test_a_name_that_no_dataset_has_is_refused_where_it_is_typed(open_app, hub):
    at = open_app(text="Dataset")
    at.text_input(key="text_dataset").set_value("../../etc/passwd").run()
    assert "cannot be a dataset of the hub. Expected NAME" in said(at)
    assert not [b for b in at.button if b.label == "Download"]
    assert hub.asked == []


def test_explicit_settings_are_not_those_of_the_picker(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["app.py", "--cache", str(tmp_path / "cache")])
    monkeypatch.setattr("core.corpus.streams.standard_library", lambda: LIBRARY)
    monkeypatch.setattr("ui.studies.corpus.standard_library_sha256", lambda: "short")
    pages.forget()
    dictionary, model = planted_dictionary(metadata={"prepend_bos": True}), planted_model(tmp_path)
    found = corpus.sample(dictionary, model, SampleSettings(n_rows=2, context=4))
    assert found.rows.shape == (2, 4)
    assert found.bos
    pages.forget()
