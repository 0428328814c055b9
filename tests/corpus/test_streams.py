"""Text that is on the machine anyway, as token streams and rows."""

import numpy as np
import pytest

from core.corpus.streams import (
    Document,
    TokenStream,
    documents_sha256,
    python_files,
    read_documents,
    rows_that_fit,
    sample_rows,
    standard_library,
    standard_library_sha256,
    standard_library_stream,
    token_stream,
)
from core.errors import CancelledError, CorpusError
from core.models.language_model import LanguageModel
from tests.doubles.planted import SEPARATOR, planted_model, write_tokenizer
from tests.doubles.watched import Watched


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from tokenizers import Tokenizer

    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path, 257)
    return Tokenizer.from_file(str(path))


def test_files_come_in_one_order_and_without_tests_and_caches(tmp_path):
    for name in [
        "b.py",
        "a/z.py",
        "a.py",
        "test/x.py",
        "a/tests/y.py",
        "a/__pycache__/c.py",
        "site-packages/p.py",
        "n.txt",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.relative_to(tmp_path).as_posix() for path in python_files(tmp_path)] == ["a.py", "a/z.py", "b.py"]


def test_a_root_that_lies_below_a_skipped_name_is_read_nevertheless(tmp_path):
    root = tmp_path / "tests" / "lib"
    root.mkdir(parents=True)
    (root / "a.py").write_text("x")
    assert python_files(root) == [root / "a.py"]


def test_what_cannot_be_decoded_read_or_is_empty_is_left_out(tmp_path):
    (tmp_path / "latin.py").write_bytes("# caf\u00e9".encode("latin-1"))
    (tmp_path / "empty.py").write_text(" \n")
    (tmp_path / "good.py").write_text("pass", encoding="utf-8")
    (tmp_path / "folder.py").mkdir()
    files = [*python_files(tmp_path), tmp_path / "missing.py"]
    assert list(read_documents(tmp_path, files)) == [Document("good.py", "pass")]


def test_every_document_follows_a_separator(tokenizer):
    stream = token_stream(tokenizer, [Document("a", "xy"), Document("b", "z")], separator=0)
    assert stream.dtype == np.int32
    assert tokenizer.decode(stream.tolist(), skip_special_tokens=False) == f"{SEPARATOR}xy{SEPARATOR}z"
    assert token_stream(tokenizer, [], separator=0).shape == (0,)


def test_many_documents_keep_their_order(tokenizer):
    documents = [Document(str(i), f"{i};") for i in range(200)]  # more than one batch
    stream = token_stream(tokenizer, documents, separator=0)
    assert tokenizer.decode(stream.tolist()) == "".join(document.text for document in documents)


def test_rows_are_whole_slots_of_the_stream_and_none_comes_twice():
    rows = sample_rows(np.arange(103), n_rows=10, context=10, seed=0)
    assert rows.shape == (10, 10)
    assert (rows[:, 0] % 10 == 0).all()
    assert (np.diff(rows, axis=1) == 1).all()
    assert sorted(rows[:, 0]) == list(range(0, 100, 10))


def test_rows_of_a_smaller_sample_are_the_first_of_a_larger_one():
    stream = np.arange(1000)
    large = sample_rows(stream, n_rows=50, context=10, seed=3)
    for n in (1, 7, 49):
        np.testing.assert_array_equal(sample_rows(stream, n_rows=n, context=10, seed=3), large[:n])
    np.testing.assert_array_equal(sample_rows(stream, n_rows=50, context=10, seed=3), large)
    assert not np.array_equal(sample_rows(stream, n_rows=50, context=10, seed=4), large)


@pytest.mark.parametrize(
    ("n_tokens", "next_step"),
    [(0, "It is empty; choose another"), (9, "Choose rows of at most 9"), (29, "Ask for at most 2 rows")],
)
def test_too_short_a_text_says_what_it_holds(n_tokens, next_step):
    with pytest.raises(CorpusError, match=f"holds {n_tokens} tokens, too few for 3 rows of 10. {next_step}"):
        sample_rows(np.arange(n_tokens), n_rows=3, context=10, seed=0)


@pytest.mark.parametrize("n_tokens", [0, 8, 9, 27, 100])
@pytest.mark.parametrize("bos", [None, 0])
def test_as_many_rows_can_be_drawn_as_are_said_to_fit(n_tokens, bos):
    most = rows_that_fit(n_tokens, 10, bos=bos is not None)
    stream = np.arange(n_tokens)
    assert sample_rows(stream, n_rows=most, context=10, seed=0, bos=bos).shape == (most, 10)
    with pytest.raises(CorpusError):
        sample_rows(stream, n_rows=most + 1, context=10, seed=0, bos=bos)


def test_the_standard_library_is_there_in_a_fixed_order():
    names = [document.name for document in standard_library()]
    topics = [name for name in names if name.startswith("pydoc_data/topics.py#")]
    assert len(topics) > 50
    assert names == sorted(topics) + sorted(names[len(topics) :])
    assert {"abc.py", "json/decoder.py"} <= set(names)
    assert len(names) == len(set(names))


def test_the_library_has_a_name_that_follows_its_files(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    (tmp_path / "a.py").write_text("one")
    first = standard_library_sha256()
    assert standard_library_sha256() == first
    (tmp_path / "b.py").write_text("two")
    assert standard_library_sha256() != first


def test_an_interpreter_without_sources_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("core.corpus.streams.help_topics", list)
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(CorpusError, match=r"has 0 sources, expected a few hundred\. Run the app with"):
        standard_library()


def test_the_library_stream_reports_its_progress_and_can_be_stopped(monkeypatch, tokenizer):
    documents = [Document(str(i), f"{i}") for i in range(100)]
    monkeypatch.setattr("core.corpus.streams.standard_library", lambda: documents)

    watched = Watched()
    stream = standard_library_stream(tokenizer, separator=0, progress=watched)
    assert watched.notes == []
    assert watched.told == [(64, 100), (100, 100)]
    np.testing.assert_array_equal(stream.tokens, token_stream(tokenizer, documents, separator=0))
    assert stream.title.startswith("standard library of Python 3.")
    with pytest.raises(CancelledError):
        standard_library_stream(tokenizer, separator=0, progress=Watched(stop_at=64))


def test_bos_stands_before_the_same_text_that_shorter_rows_hold():
    stream = np.arange(1, 1000, dtype=np.int32)
    rows = sample_rows(stream, n_rows=20, context=10, seed=3, bos=0)
    assert rows.shape == (20, 10)
    assert (rows[:, 0] == 0).all()
    np.testing.assert_array_equal(rows[:, 1:], sample_rows(stream, n_rows=20, context=9, seed=3))
    assert rows.dtype == stream.dtype
    with pytest.raises(CorpusError, match="Rows of 1 tokens have no room"):
        sample_rows(stream, n_rows=1, context=1, seed=0, bos=0)


def test_documents_have_a_name_that_follows_names_and_texts():
    lists = [[("a", "bc")], [("ab", "c")], [("a", "b"), ("c", "d")], [("a", "b"), ("c", "e")], []]
    names = {documents_sha256(Document(*pair) for pair in pairs) for pairs in lists}
    assert len(names) == len(lists)
    assert documents_sha256([Document("a", "bc")]) in names


def test_a_stream_is_named_by_tokenizer_text_and_separator():
    keys = [("a", "b", 0), ("b", "a", 0), ("a", "b", 1)]
    assert len({TokenStream.key(tokenizer, text, separator=separator) for tokenizer, text, separator in keys}) == 3


def test_a_tokenizer_that_cuts_and_pads_reads_all_of_a_text(tmp_path):
    model = planted_model(tmp_path)
    whole = token_stream(model.tokenizer, [Document("a", "x" * 300), Document("b", "y")], separator=0)
    cutting = model.tokenizer
    cutting.enable_truncation(4)
    cutting.enable_padding(length=8)
    cutting.save(str(model.folder / "tokenizer.json"))
    found = LanguageModel(model.folder)
    stream = token_stream(found.tokenizer, [Document("a", "x" * 300), Document("b", "y")], separator=0)
    assert len(stream) == 303
    np.testing.assert_array_equal(stream, whole)
