"""Files of one's own, as text and as token ids."""

import numpy as np
import pytest

from core.corpus.files import TextFiles, files_stream, read_tokens, summarise
from core.corpus.streams import documents_sha256
from core.errors import CancelledError, CorpusError
from tests.doubles.planted import planted_model
from tests.doubles.watched import Watched


def read(path):
    return TextFiles.find(path).read()


def test_a_folder_of_text_is_read_in_order_without_what_is_hidden_undecodable_or_outside(tmp_path):
    root = tmp_path / "texts"
    for name in ["b.txt", "a/z.md", "a.txt", ".hidden", ".git/c.txt"]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"in {name}\r\n\ttab <script>".encode())
    (root / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    (root / "program.bin").write_bytes(b"ELF\0\0 all of it ASCII")
    (root / "blank.txt").write_text(" \n")
    (tmp_path / "secret.txt").write_text("outside")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    (root / "out").symlink_to(tmp_path)
    found = read(root)
    assert [document.name for document in found] == ["a.txt", "a/z.md", "b.txt"]
    assert found[1].text == "in a/z.md\r\n\ttab <script>"
    assert read(root / "b.txt") == [found[2]]
    assert TextFiles.find(root).title(len(found)) == "texts (3 files, 3 left out: empty or not UTF-8)"
    assert TextFiles.find(root / "b.txt").title(1) == "b.txt"


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfabc")
    assert read(tmp_path / "a.txt")[0].text == "abc"


def test_a_path_without_text_says_what_is_there(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "none").mkdir()
    (tmp_path / "bytes.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "all" / "bytes.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "all" / "empty.txt").write_text(" \n")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "two").mkdir()
    for name in "ab":
        (tmp_path / "two" / name).write_bytes(b"\xff")
    for path, held in (
        ("none", "There is nothing at none"),
        ("bytes.bin", "bytes.bin cannot be decoded"),
        ("all", "Of 2 files at all 1 cannot be decoded, the others are empty"),
        ("empty.txt", "empty.txt is empty"),
        ("two", "None of 2 files at two can be decoded"),
    ):
        with pytest.raises(CorpusError, match=rf"^{held}\. Expected plain text in UTF-8"):
            read(tmp_path / path)


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_more_than_can_be_held_is_refused_before_anything_is_read(tmp_path, monkeypatch, limit):
    for name in "ab":
        (tmp_path / name).write_text("xx")
    monkeypatch.setattr(f"core.corpus.files.{limit}", 1)
    with pytest.raises(CorpusError, match=r"holds 2 files with \d+ bytes\. Expected at most"):
        TextFiles.find(tmp_path)


def test_files_are_found_again_until_one_changes(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    first = TextFiles.find(tmp_path)
    assert TextFiles.find(tmp_path).stamp == first.stamp
    (tmp_path / "a.txt").write_text("other")
    assert TextFiles.find(tmp_path).stamp != first.stamp
    assert TextFiles.find(tmp_path / "a.txt").stamp != TextFiles.find(tmp_path).stamp


def test_files_become_a_stream_that_decodes_to_what_they_hold(tmp_path):
    model = planted_model(tmp_path)
    texts = ["line\r\n\ttab", "<script>alert(1)</script>", "caf\u00e9 \U0001f600"]
    (tmp_path / "texts").mkdir()
    for i, text in enumerate(texts):
        (tmp_path / "texts" / f"{i}.txt").write_bytes(text.encode())
    files = TextFiles.find(tmp_path / "texts")
    about = summarise(files)
    assert about.sha256 == documents_sha256(files.read())
    stream = files_stream(files, model, about)
    assert stream.title == "texts (3 files)"
    whole = model.tokenizer.decode(stream.tokens.tolist(), skip_special_tokens=False)
    assert whole.split("<|endoftext|>")[1:] == texts
    (tmp_path / "texts" / "0.txt").write_text("another")
    with pytest.raises(CorpusError, match="texts changed while it was read"):
        files_stream(files, model, about)


def test_reading_can_be_stopped(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)

    watched = Watched(stop_at=1)
    with pytest.raises(CancelledError):
        TextFiles.find(tmp_path).read(watched)
    assert {total for _, total in watched.told} == {3}
    assert watched.notes == []


@pytest.mark.parametrize("shape", [(7,), (2, 3)])
def test_token_ids_are_read_from_either_format(tmp_path, shape):
    from safetensors.numpy import save_file

    ids = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    np.save(tmp_path / "ids.npy", ids)
    save_file({"tokens": ids}, tmp_path / "ids.safetensors")
    for name in ("ids.npy", "ids.safetensors"):
        np.testing.assert_array_equal(read_tokens(tmp_path / name), ids)
    assert isinstance(read_tokens(tmp_path / "ids.npy"), np.memmap)  # a large file stays on disk


def test_files_that_hold_no_token_ids_are_refused_and_no_pickle_is_opened(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.arange(3), "b": np.arange(3)}, tmp_path / "two.safetensors")
    for name, array in (("float", np.ones(3)), ("deep", np.ones((1, 1, 1), int)), ("none", np.zeros(0, int))):
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.arange(3))
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "two.safetensors").read_bytes()[:-9])
    expected = {"two.safetensors": "holds 2 tensors", "float.npy": r"float64 of shape \(3,\)"}
    expected |= {"deep.npy": r"shape \(1, 1, 1\)", "none.npy": "none.npy", "several.npz": "holds"}
    expected |= dict.fromkeys(("pickle.npy", "text.npy", "cut.safetensors", "missing.npy"), "cannot be read as tokens")
    for name, message in expected.items():
        with pytest.raises(CorpusError, match=message) as error:
            read_tokens(tmp_path / name)
        assert str(tmp_path) not in str(error.value)


def test_utf_8_with_zero_bytes_opens_when_it_is_named_and_in_a_folder_where_they_are_few(tmp_path):
    (tmp_path / "log.txt").write_text("a line\n" * 100 + "\0")
    (tmp_path / "wide.txt").write_text("a\0b\0")
    assert [document.name for document in TextFiles.find(tmp_path).read()] == ["log.txt"]
    for name in ("log.txt", "wide.txt"):
        (document,) = TextFiles.find(tmp_path / name).read()
        assert "\0" in document.text
