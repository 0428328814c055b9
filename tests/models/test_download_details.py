"""What is fetched of a model on the hub: headers to their last byte, sizes, and what counts as whole."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from core.errors import HubDamagedError, OutOfSpaceError
from core.hub.client import HubFile
from core.models import downloads
from core.models.downloads import read_header
from core.models.search import find_model
from core.workspace import Workspace
from tests.doubles.hub_files import use_hub, write_gpt2
from tests.doubles.standin_hub import StandIn
from tests.doubles.watched import Watched


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with StandIn({"gpt2": write_gpt2(tmp_path / "hub" / "gpt2")}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@pytest.fixture
def workspace(tmp_path):
    return Workspace(models=(), cache=tmp_path / "app")


def header(monkeypatch, content: bytes):
    """Read the header of a file with this content."""
    monkeypatch.setattr(downloads.client, "read_range", lambda file, start, end: content[start:end])
    return read_header(HubFile("user/model", "model.safetensors", "0" * 40, len(content), "x"))


def written(entries: object, *, data: int = 0) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_a_header_ends_where_its_data_begin(monkeypatch):
    found, start = header(monkeypatch, written({"__metadata__": {"format": "pt"}, "w": ENTRY}, data=8))
    assert found == {"w": ENTRY}
    assert start == len(written({"__metadata__": {"format": "pt"}, "w": ENTRY}))
    assert header(monkeypatch, written({})) == ({}, 10)
    assert header(monkeypatch, save({"w": np.arange(2.0, dtype=np.float32)}))[0]["w"]["data_offsets"] == [0, 8]


@pytest.mark.parametrize(
    "change",
    [
        {"data_offsets": [0, 9]},
        {"data_offsets": [-4, 8]},
        {"data_offsets": [8, 4]},
        {"data_offsets": [0]},
        {"dtype": 32},
        {"shape": "2"},
        {"shape": None},
    ],
)
def test_an_entry_beside_the_data_or_of_no_kind_is_odd(monkeypatch, change):
    with pytest.raises(HubDamagedError, match="its entry for 'w' is odd"):
        header(monkeypatch, written({"w": ENTRY | change}, data=8))


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\x02" + bytes(7), b"\x01" + bytes(7) + b"{}", b"\x03" + bytes(7) + b"{}"]
)
def test_a_size_that_is_no_headers_is_odd(monkeypatch, content):
    with pytest.raises(HubDamagedError, match="its header would have"):
        header(monkeypatch, content)


def test_a_header_is_no_longer_than_any_real_one(monkeypatch):
    content = written({"w": ENTRY}, data=1000)
    length = int.from_bytes(content[:8], "little")
    monkeypatch.setattr(downloads, "LARGEST_HEADER", length)
    assert header(monkeypatch, content)[1] == 8 + length
    monkeypatch.setattr(downloads, "LARGEST_HEADER", length - 1)
    with pytest.raises(HubDamagedError, match=f"its header would have {length} bytes"):
        header(monkeypatch, content)


def test_a_plan_counts_all_bytes_and_progress_ends_at_its_sum(hub, workspace):
    plan, watched = downloads.tensor_plan("gpt2"), Watched()
    folder = downloads.download_tensors("gpt2", workspace, progress=watched)
    here, there = folder / "model.safetensors", hub.repositories["gpt2"] / "model.safetensors"
    beside = sum((folder / name).stat().st_size for name in ("config.json", "tokenizer.json"))
    tensors = load_file(here)
    assert plan.nbytes == beside + sum(tensor.nbytes for tensor in tensors.values())
    assert watched.told[-1] == (plan.nbytes, plan.nbytes)
    assert max(done for done, _ in watched.told) == plan.nbytes
    assert int.from_bytes(here.read_bytes()[:8], "little") % 8 == 0
    assert downloads.origin(folder)["nbytes"] == there.stat().st_size
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, load_file(there)[name])


def test_parts_without_room_for_them_are_refused_before_they_are_fetched(hub, workspace, monkeypatch):
    def full(nbytes: int) -> None:
        raise OutOfSpaceError(f"{nbytes} bytes")

    nbytes = downloads.tensor_plan("gpt2").nbytes
    monkeypatch.setattr(downloads.hub_download, "check_space", full)
    with pytest.raises(OutOfSpaceError, match=f"^{nbytes} bytes"):
        downloads.download_tensors("gpt2", workspace)
    assert not (workspace.cache / "models").exists()


def test_settings_of_a_tokenizer_are_fetched_only_with_one(hub):
    (hub.repositories["gpt2"] / "generation_config.json").write_text("{}")
    assert [file.path for file in downloads.tensor_plan("gpt2").tokenizer] == [
        "tokenizer.json",
        "generation_config.json",
    ]
    (hub.repositories["gpt2"] / "tokenizer.json").unlink()
    assert downloads.tensor_plan("gpt2").tokenizer == ()


def test_that_the_hub_has_no_tokenizer_is_noted_only_where_it_has_none(hub, tmp_path):
    downloads.download("gpt2")
    assert list((tmp_path / "cache").rglob(".no_exist/*/tokenizer.json")) == []


def test_an_index_may_not_lead_outside(hub, tmp_path):
    folder = hub.repositories["gpt2"] = write_gpt2(tmp_path / "other" / "gpt2", shards=2)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["wte.weight"] = "../model-00001-of-00002.safetensors"
    index.write_text(json.dumps(content))
    for ask in (downloads.cost, downloads.tensor_plan):
        with pytest.raises(HubDamagedError, match="it has no weight_map"):
            ask("gpt2")


def test_a_folder_is_whole_with_all_shards_and_all_files_of_a_tokenizer(tmp_path):
    folder = write_gpt2(tmp_path / "gpt2", shards=2)
    assert downloads.is_whole(folder)
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    assert not downloads.is_whole(folder)
    (folder / "merges.txt").write_text("")
    assert downloads.is_whole(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert not downloads.is_whole(folder)


def test_kept_tensors_are_found_by_their_weights(hub, workspace):
    folder = downloads.download_tensors("gpt2", workspace)
    assert downloads.local_folder("gpt2", workspace) == folder == find_model("gpt2", workspace).folder
    (folder / "model.safetensors").unlink()
    assert downloads.local_folder("gpt2", workspace) is None
