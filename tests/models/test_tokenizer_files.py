"""Tokenizers made of older files, models without one, and what is downloaded of either."""

import json

import pytest

from core.errors import BadDictionaryError, NotDownloadedError
from core.models import downloads
from core.models.language_model import LanguageModel
from core.models.search import find_model
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
