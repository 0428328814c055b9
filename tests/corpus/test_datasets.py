"""Datasets of the hub: names, bounds and failures on a stand-in loader, and `datasets` itself on a hub on loopback."""

import json
from pathlib import Path

import numpy as np
import pytest

from core import errors
from core.corpus.datasets import DatasetName, DatasetTexts, fetch_texts
from core.corpus.streams import Document, documents_sha256
from core.hub.client import describe_dataset
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT
from tests.doubles.hub_files import use_hub
from tests.doubles.standin_hub import Fault, StandIn, commit_of
from tests.doubles.watched import Watched

ROWS = [{"id": i, "text": f"Story {i} \u00e9\n"} for i in range(5)]  # 11 bytes each
TEXTS = [row["text"] for row in ROWS]


def fetch(found, name="me/tales", *, max_bytes=1000, progress=SILENT):
    """Fetch from splits or rows given directly; an exception among the rows is raised there."""

    def rows():
        for row in found:
            if isinstance(row, Exception):
                raise row
            yield row

    splits = found if isinstance(found, dict) else {"train": rows()}
    return fetch_texts(
        DatasetName.parse(name),
        max_bytes=max_bytes,
        describe=lambda repository, revision: (repository, "c" * 40),
        load=lambda path, **how: splits,
        progress=progress,
    )


def texts(found):
    return [document.text for document in found.documents()]


def test_all_documents_come_with_where_they_are_from():
    found = fetch(ROWS)
    assert texts(found) == TEXTS
    assert [document.name for document in found.documents()] == [f"me/tales#{i}" for i in range(5)]
    assert found.title == "me/tales (train, all 5 documents, revision ccccccc)"
    assert found.sha256 == documents_sha256(Document(f"me/tales#{i}", text) for i, text in enumerate(TEXTS))


def test_the_library_is_asked_for_the_commit_the_config_and_a_stream_and_never_for_code():
    asked = []

    def load(path, **how):
        asked.append((path, how))
        return {"train": ROWS}

    fetch_texts(
        DatasetName.parse("old:c@d"), max_bytes=9, describe=lambda name, revision: ("new/name", "e" * 40), load=load
    )
    assert asked == [("hf://datasets/new/name", {"name": "c@d", "revision": "e" * 40, "streaming": True})]


@pytest.mark.parametrize(
    ("max_bytes", "expected"),
    [(22, TEXTS[:2]), (23, [*TEXTS[:2], "S"]), (9, ["Story 0 "]), (10, ["Story 0 \u00e9"])],
)
def test_text_ends_where_the_bytes_end_at_a_whole_character(max_bytes, expected):
    seen = []
    found = fetch((seen.append(i) or row for i, row in enumerate(ROWS)), max_bytes=max_bytes)
    assert texts(found) == expected
    assert not found.whole
    assert len(seen) == len(expected)  # no row more was asked for
    assert f"the first {len(expected)} documents" in found.title


def test_no_more_rows_are_read_than_the_limit_even_if_they_are_empty(monkeypatch):
    monkeypatch.setattr("core.corpus.datasets.MAX_ROWS", 3)
    found = fetch([{"text": "a"}, {"text": " "}, {"text": None}, {"text": "x"}])
    assert texts(found) == ["a"]
    assert not found.whole


@pytest.mark.parametrize(
    ("row", "name", "column"),
    [
        ({"content": "a", "text": "b"}, "me/a", "text"),
        ({"url": "a", "content": "b"}, "me/a", "content"),
        ({"meta": {"x": 1}, "body": "b"}, "me/a", "body"),
        ({"url": "a", "text": None}, "me/a", "text"),
        ({"url": "b", "text": "a"}, "me/a:::url", "url"),
    ],
)
def test_the_column_of_text_is_found_or_named(row, name, column):
    found = fetch([row, {column: "b"}], name)
    assert found.column == column
    assert texts(found)[-1] == "b"


def test_a_split_is_train_or_the_first_or_the_named():
    splits = {"test": [{"text": "t"}], "train": [{"text": "r"}], "more": [{"text": "m"}]}
    assert texts(fetch(splits)) == ["r"]
    assert texts(fetch({"test": splits["test"], "more": splits["more"]})) == ["t"]
    assert texts(fetch(splits, "me/a::more")) == ["m"]
    with pytest.raises(errors.UnknownNameError, match=r"no split called 'mor'\. Did you mean more"):
        fetch(splits, "me/a::mor")


@pytest.mark.parametrize(
    ("rows", "name", "kind", "message"),
    [
        ([{"id": 1, "tags": ["a"]}], "me/a", errors.CorpusError, r"columns id \(int\), tags \(list\)\. Expected one"),
        ([{"a": "x", "b": "y"}], "me/a", errors.CorpusError, "name the column: NAME:CONFIG:SPLIT:COLUMN"),
        ([{"a": "x", "b": 1}], "me/a:::b", errors.CorpusError, r"columns a \(str\), b \(int\)"),
        ([{"a": "x"}], "me/a:::b", errors.UnknownNameError, "no column called 'b'"),
        ([], "me/a", errors.CorpusError, "holds no text in its split 'train'"),
        ([{"text": " "}], "me/a", errors.CorpusError, "holds no text in its split 'train', column 'text'"),
        ([ROWS[0], ConnectionError("gone")], "me/a", errors.HubUnreachableError, r"failed \(gone\).*Nothing was kept"),
        ([ROWS[0], TimeoutError("slow")], "me/a", errors.HubUnreachableError, "press Download again"),
        ([FileNotFoundError("This is a gated dataset")], "me/a", errors.HubAccessError, "accept its terms"),
        ([FileNotFoundError("no data files")], "me/a", errors.HubNotFoundError, "no files of data"),
        ([ValueError("Config name is missing: pick x, y")], "me/a", errors.HubError, "pick x, y.*Expected NAME"),
    ],
)
def test_what_goes_wrong_has_its_own_message(rows, name, kind, message):
    with pytest.raises(kind, match=message):
        fetch(rows, name)


@pytest.mark.parametrize(
    "text", ["", "../etc", "/etc/passwd", "a/b/c", "a:b:c:d:e", "https://x.y/z", "me/a:b\nc", "me/a@../x"]
)
def test_what_cannot_be_a_dataset_is_refused_before_anything_is_asked(text):
    with pytest.raises(errors.HubNotFoundError, match=r"cannot be a dataset of the hub\. Expected NAME"):
        DatasetName.parse(text)


def test_the_address_of_a_page_is_a_name_too():
    assert DatasetName.parse("https://huggingface.co/datasets/me/a") == DatasetName("me/a")


@pytest.mark.parametrize("text", ["me/a", "me/a:c", "me/a::s", "me/a:c:s:x", "me/a@v1.0::s"])
def test_names_say_what_was_typed_and_each_is_kept_apart(text):
    assert str(DatasetName.parse(f" {text} ")) == text
    keys = {DatasetTexts.key(DatasetName.parse(text), max_bytes=n) for n in (1, 2)}
    assert len(keys | {DatasetTexts.key(DatasetName.parse("me/b"), max_bytes=1)}) == 3


def test_fetching_reports_bytes_and_can_be_stopped():
    watched = Watched(stop_at=22)

    with pytest.raises(errors.CancelledError):
        fetch(ROWS, progress=watched)
    assert watched.told == [(11, 1000), (22, 1000)]


def test_texts_are_the_same_from_disk(tmp_path):
    store, found = ArtifactStore(tmp_path), fetch(ROWS)
    key = DatasetTexts.key(DatasetName.parse("me/tales"), max_bytes=1000)
    store.save(found, key)
    again = store.load(DatasetTexts, key)
    assert texts(again) == TEXTS
    np.testing.assert_array_equal(again.ends, [11, 22, 33, 44, 55])
    assert (again.title, again.commit, again.sha256) == (found.title, found.commit, found.sha256)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    folder = tmp_path / "tales"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with StandIn({"me/tales": folder}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


def test_the_hub_names_a_dataset_and_its_commit(hub):
    assert describe_dataset("me/tales") == ("me/tales", commit_of(hub.repositories["me/tales"]))
    with pytest.raises(errors.HubNotFoundError, match="api/datasets/me/none/revision/main: status 404"):
        describe_dataset("me/none")
    hub.faults.append(Fault("api/datasets", status=401, code="GatedRepo", times=1))
    with pytest.raises(errors.HubAccessError):
        describe_dataset("me/tales")


def test_the_hub_is_not_asked_in_offline_mode(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(errors.HubUnreachableError, match="HF_HUB_OFFLINE is set"):
        fetch_texts(DatasetName.parse("me/tales"), max_bytes=100)
    assert hub.requests == []


def test_the_real_library_streams_from_a_hub_at_the_commit_that_was_named(hub, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(datasets.config, "TORCH_AVAILABLE", False)  # seconds of import that text does not need
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    (tmp_path / "me" / "tales").mkdir(parents=True)  # a folder of that name is not taken for it
    (tmp_path / "me" / "tales" / "wrong.txt").write_text("wrong")
    monkeypatch.chdir(tmp_path)
    found = fetch_texts(DatasetName.parse("me/tales"), max_bytes=25)
    assert texts(found) == [*TEXTS[:2], "Sto"]
    commit = commit_of(hub.repositories["me/tales"])
    assert found.commit == commit
    data = [path for method, path, _, _ in hub.requests if method == "GET" and "train.jsonl" in path]
    assert data
    assert all(commit in path for path in data)
    assert all(Path(path).suffix != ".py" for method, path, _, status in hub.requests if status == 200)
