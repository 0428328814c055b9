"""Tokenizers made of older files, models without one, and what is downloaded of either."""

import json
import os

import pytest

from core.errors import BadDictionaryError, NotDownloadedError
from core.models import downloads
from core.models.language_model import LanguageModel
from core.models.search import find_model
from core.models.tokenizer_files import find_bos, special_tokens, tokenizer_sha256, unknown_token
from core.models.tokens import byte_alphabet
from core.workspace import Workspace
from tests.doubles import pages, planted_pages
from tests.doubles.hub_files import use_hub, write_gpt2
from tests.doubles.planted import SEPARATOR
from tests.doubles.standin_hub import StandIn

VOCABULARY = {name: i for i, name in enumerate([SEPARATOR, *sorted(byte_alphabet(), key=ord)])}
TEXT = "a né <|endoftext|> ab"


def make_old(folder, *, merges="#version: 0.2\n"):
    """Put GPT-2's two files in the place of tokenizer.json."""
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    (folder / "merges.txt").write_text(merges)
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with StandIn({"gpt2": write_gpt2(tmp_path / "hub" / "gpt2")}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


@pytest.fixture
def workspace(tmp_path):
    return Workspace(models=(), cache=tmp_path / "app")


def test_a_vocabulary_and_merges_make_the_tokenizer_that_one_file_would(tmp_path):
    new, old = LanguageModel(write_gpt2(tmp_path / "new")), LanguageModel(make_old(write_gpt2(tmp_path / "old")))
    assert old.has_tokenizer
    assert old.tokenizer.encode(TEXT).ids == new.tokenizer.encode(TEXT).ids
    assert old.tokenizer.decode(old.tokenizer.encode(TEXT).ids, skip_special_tokens=False) == TEXT
    assert (old.bos, old.separator, old.token_strings) == (new.bos, new.separator, new.token_strings)
    assert old.tokenizer_sha256 == LanguageModel(old.folder).tokenizer_sha256 != new.tokenizer_sha256


def test_a_sentencepiece_model_makes_a_tokenizer(tmp_path, capfd):
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = write_gpt2(tmp_path / "gpt2")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    words, prefix = ["the cat sat on the mat", "knot kite zone"] * 200, str(folder / "tokenizer")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_prefix=prefix, vocab_size=20, hard_vocab_limit=False
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")
    model = LanguageModel(folder)
    assert model.tokenizer.encode("the cat", add_special_tokens=False).ids == pieces.encode("the cat")


@pytest.mark.parametrize("vocabulary", ["[1, 2", "{}", json.dumps({"a": 0, "b": 0})])
def test_files_that_make_no_tokenizer_leave_ids_and_the_reason(tmp_path, vocabulary):
    model = LanguageModel(make_old(write_gpt2(tmp_path / "gpt2"), merges="a b\nc"))
    (model.folder / "vocab.json").write_text(vocabulary)
    assert not model.has_tokenizer
    assert model.token_strings[41] == "41"
    says = r"has no tokenizer.json, and none can be made of its vocab.json and merges.txt \(\w+: .+\). Expected one"
    with pytest.raises(BadDictionaryError, match=says):
        _ = model.tokenizer


def test_a_class_that_ignores_the_files_makes_no_tokenizer(tmp_path):
    folder = make_old(write_gpt2(tmp_path / "gpt2"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    with pytest.raises(BadDictionaryError, match=r"\(ValueError: .+ is None and not \d+, as in vocab.json\)"):
        _ = LanguageModel(folder).tokenizer


@pytest.mark.parametrize("tensors", [False, True])
@pytest.mark.parametrize("old", [False, True])
def test_a_model_of_the_hub_comes_with_its_tokenizer_and_what_names_its_bos(hub, workspace, old, tensors):
    folder = hub.repositories["gpt2"]
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "a"}))
    if old:
        make_old(folder)
    if tensors:
        downloads.download_tensors("gpt2", workspace)
    else:
        downloads.download("gpt2")
    found = find_model("gpt2", workspace)
    assert found.whole != tensors
    assert found.tokenizer.encode(TEXT).ids == LanguageModel(folder).tokenizer.encode(TEXT).ids
    assert found.bos == VOCABULARY["a"]
    here = {path.name for path in found.folder.iterdir()}
    assert ({"vocab.json", "merges.txt"} <= here, "tokenizer.json" in here) == (old, not old)


def test_a_model_of_the_hub_without_tokenizer_opens_and_is_whole(hub, workspace, tmp_path):
    (hub.repositories["gpt2"] / "tokenizer.json").unlink()
    downloads.download_tensors("gpt2", workspace)
    assert find_model("gpt2", workspace).token_strings[41] == "41"
    downloads.download("gpt2")
    found = find_model("gpt2", workspace)
    assert found.whole
    assert found.token_strings[41] == "41"
    # Without the note that the hub has none, the tokenizer may only not be downloaded yet.
    next((tmp_path / "cache").rglob(".no_exist/*/tokenizer.json")).unlink()
    (workspace.cache / "models" / "gpt2" / "model.safetensors").unlink(missing_ok=True)
    for kept in workspace.cache.glob("models/*/model.safetensors"):
        kept.unlink()
    with pytest.raises(NotDownloadedError):
        find_model("gpt2", workspace)


def test_pages_on_weights_show_ids_and_say_why(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    for path in tmp_path.rglob("tokenizer.json"):
        path.unlink()
        (path.parent / "vocab.json").write_text("[")
        (path.parent / "merges.txt").write_text("")
    with pages.page(tmp_path, monkeypatch, "logit_weights") as open_page:
        at = pages.fine(open_page())
    assert "none can be made of its vocab.json and merges.txt (" in pages.text_of(at, "caption")


def small_tokenizer(*special: str, words=("a", "b"), after: str | None = None, before: str | None = None):
    """Return a tokenizer of a few words, which puts a special token before or after a text."""
    from tokenizers import Tokenizer, models, processors

    names = [*words, *special]
    found = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=words[0]))
    found.add_special_tokens(list(special))
    if before or after:
        single = " ".join(filter(None, (before, "$A", after)))
        ids = [(name, names.index(name)) for name in (before, after) if name]
        found.post_processor = processors.TemplateProcessing(single=single, special_tokens=ids)
    return found


@pytest.mark.parametrize(
    ("files", "tokenizer", "d_vocab", "expected"),
    [
        ({}, small_tokenizer(), 2, None),
        ({"config": 1}, small_tokenizer(), 2, 1),
        ({"config": 1, "generation_config": 0}, small_tokenizer(), 2, 1),
        ({"generation_config": 0}, small_tokenizer(), 2, 0),
        ({"tokenizer_config": "b", "config": 0}, small_tokenizer(), 2, 1),
        ({"tokenizer_config": {"content": "b"}, "config": 0}, small_tokenizer(), 2, 1),
        ({"tokenizer_config": "z", "config": 0}, small_tokenizer(), 2, 0),
        ({"config": 2, "generation_config": 1}, small_tokenizer(), 2, 1),
        ({"config": 2, "generation_config": 1}, small_tokenizer(), 3, 1),
        ({"config": True, "generation_config": 0}, small_tokenizer(), 2, 0),
        ({"config": -1, "generation_config": 0}, small_tokenizer(), 2, 0),
        ({"config": "1"}, None, 2, None),
        ({"config": 1, "tokenizer_config": "a"}, None, 2, 1),
        ({}, small_tokenizer("[X]", before="[X]"), 3, 2),
        ({}, small_tokenizer("[X]", after="[X]"), 3, None),
        ({}, small_tokenizer("<S>"), 3, 2),
        ({}, small_tokenizer("[X]", "<S>", before="[X]"), 4, 2),
        ({}, small_tokenizer(words=("a", "<s>")), 2, None),
        ({}, small_tokenizer(SEPARATOR, "<BOS>"), 4, 3),
        ({}, small_tokenizer(SEPARATOR), 3, 2),
        ({}, small_tokenizer(SEPARATOR), 2, None),
    ],
)
def test_bos_is_the_first_token_named_that_the_vocabulary_has(tmp_path, files, tokenizer, d_vocab, expected):
    for name, value in files.items():
        key = "bos_token" if name == "tokenizer_config" else "bos_token_id"
        (tmp_path / f"{name}.json").write_text(json.dumps({key: value}))
    assert find_bos(tmp_path, tokenizer, d_vocab) == expected


def test_only_marked_tokens_are_special_and_a_unigram_model_has_its_unknown_one():
    from tokenizers import Tokenizer, models

    found = small_tokenizer("[X]")
    found.add_tokens(["more"])
    assert special_tokens(found) == {2: "[X]"}
    assert unknown_token(found) == 0
    assert unknown_token(Tokenizer(models.Unigram([("a", -1.0), ("?", -2.0)], unk_id=1))) == 1
    assert unknown_token(Tokenizer(models.Unigram([("a", -1.0), ("?", -2.0)]))) is None
    assert unknown_token(Tokenizer(models.BPE())) is None


def test_files_that_change_make_another_tokenizer_even_at_the_same_size(tmp_path):
    folder = make_old(write_gpt2(tmp_path / "gpt2"))
    before = LanguageModel(folder)
    ids, sha256 = before.tokenizer.encode("ab").ids, before.tokenizer_sha256
    text = (folder / "vocab.json").read_text()
    turned = dict(zip(VOCABULARY, [0, *range(256, 0, -1)], strict=True))
    other = json.dumps(turned)
    (folder / "vocab.json").write_text(other.ljust(len(text)))
    os.utime(folder / "vocab.json", (10**9, 10**9))
    assert (folder / "vocab.json").stat().st_size == len(text)
    assert LanguageModel(folder).tokenizer.encode("ab").ids == [257 - i for i in ids]
    assert LanguageModel(folder).tokenizer_sha256 != sha256


def test_a_tokenizer_reads_all_of_a_text_and_nothing_besides(tmp_path):
    folder = write_gpt2(tmp_path / "gpt2")
    stored = LanguageModel(folder).tokenizer
    whole = stored.encode("a long text").ids
    stored.enable_truncation(3)
    stored.enable_padding(length=20)
    stored.save(str(folder / "tokenizer.json"))
    assert LanguageModel(folder).tokenizer.encode("a long text").ids == whole


def test_plain_ids_are_named_by_their_number(tmp_path):
    assert tokenizer_sha256(tmp_path, 7) != tokenizer_sha256(tmp_path, 8)
