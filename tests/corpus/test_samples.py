"""Rows of token ids as settings, dictionary and model want them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from core.corpus.samples import SampleSettings, bos_token, fitting, sample_of, special_tokens
from core.errors import CorpusError, DoesNotFitError
from core.models.language_model import LanguageModel
from tests.doubles.hub_files import write_gpt2
from tests.doubles.planted import planted_dictionary, planted_model

STREAM = np.arange(1, 200, dtype=np.int32)
CONFIG = planted_dictionary(context_size=6).config


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return planted_model(tmp_path_factory.mktemp("text"))


def take(tokens, model, config=CONFIG, **settings):
    return sample_of(tokens, "a text", config, model, SampleSettings(**settings))


def with_tokens(tmp_path, tokens, *, d_vocab=257, config=None):
    """A model folder whose tokenizer has these tokens first; pairs say which are special."""
    from tokenizers import AddedToken, Tokenizer, models

    folder = write_gpt2(tmp_path / "gpt2") if config else planted_model(tmp_path, d_vocab=d_vocab).folder
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, (name, _) in enumerate(tokens)}, merges=[]))
    for name, special in tokens:
        if special is not None:
            tokenizer.add_special_tokens([AddedToken(name)]) if special else tokenizer.add_tokens([AddedToken(name)])
    tokenizer.save(str(folder / "tokenizer.json"))
    if config:
        stated = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(stated | config))
    return LanguageModel(folder)


def test_rows_are_as_long_as_in_training_as_far_as_the_model_reads(model):
    assert take(STREAM, model, n_rows=3).rows.shape == (3, 6)
    assert take(STREAM, model, replace(CONFIG, context_size=99), n_rows=3).rows.shape == (3, 12)
    assert take(STREAM, model, replace(CONFIG, context_size=None), n_rows=3).rows.shape == (3, 12)
    assert take(STREAM, model, n_rows=3, context=9).rows.shape == (3, 9)


@pytest.mark.parametrize("context", [13, -1])
def test_rows_that_the_model_cannot_read_are_refused(model, context):
    for tokens in (STREAM, np.tile(STREAM, (3, 1))):
        with pytest.raises(DoesNotFitError, match=f"Rows of {context} tokens do not fit planted: expected 1 to 12"):
            take(tokens, model, n_rows=1, context=context)


def test_bos_is_as_trained_unless_chosen(model):
    trained = replace(CONFIG, prepend_bos=True)
    assert [take(STREAM, model, trained, bos=bos, n_rows=2).bos for bos in (None, True, False)] == [True, True, False]
    assert [take(STREAM, model, bos=bos, n_rows=2).bos for bos in (None, True, False)] == [False, True, False]
    rows = take(STREAM, model, trained, n_rows=2).rows
    assert (rows[:, 0] == 0).all()
    assert (rows[:, 1:] > 0).all()


def test_ids_outside_the_vocabulary_are_refused_with_the_next_step(model):
    for tokens in (np.full(50, 257), np.full((9, 6), 257, np.uint16), np.full(50, -1)):
        with pytest.raises(DoesNotFitError, match=r"a text go from .* but planted knows 0 to 256.*its own tokenizer"):
            take(tokens, model, n_rows=2)


def test_rows_of_a_table_are_used_as_they_stand(model):
    table = np.arange(40, dtype=np.uint16).reshape(5, 8)
    found = take(table, model, n_rows=3, bos=True, seed=4)
    np.testing.assert_array_equal(found.rows, table[:3, :6])
    assert not found.bos
    assert found.note == "3 rows of 6 tokens, a text, no BOS, in the order of the file"
    assert take(table[:1], model, n_rows=1).bos  # its row does begin with token 0
    assert take(table, model, n_rows=5, context=12).rows.shape == (5, 8)
    with pytest.raises(CorpusError, match=r"a text holds 5 rows, not 6\. Ask for at most 5"):
        take(table, model, n_rows=6)


@pytest.mark.parametrize("tokens", [STREAM, STREAM[:30], np.tile(STREAM, (4, 1)), np.tile(STREAM[:3], (4, 1))])
@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("context", [None, 5, 99])
def test_fitted_settings_can_always_be_had_and_ask_for_no_less_than_there_is(model, tokens, bos, context):
    asked = SampleSettings(n_rows=1000, context=context, bos=bos)
    fitted = fitting(tokens, CONFIG, model, asked)
    found = sample_of(tokens, "a text", CONFIG, model, fitted)
    assert len(found.rows) == fitted.n_rows
    with pytest.raises(CorpusError):
        sample_of(tokens, "a text", CONFIG, model, replace(fitted, n_rows=fitted.n_rows + 1))
    few = SampleSettings(n_rows=1, context=3, bos=bos)
    assert fitting(tokens, CONFIG, model, few) == few


def test_a_text_too_short_for_one_row_says_so(model):
    with pytest.raises(CorpusError, match=r"holds 1 tokens, too few for 1 rows of 6\. Choose rows of at most 1"):
        sample_of(STREAM[:1], "a text", CONFIG, model, fitting(STREAM[:1], CONFIG, model, SampleSettings()))


GPT2 = [("a", None), ("b", None), ("<|endoftext|>", True)]
SENTENCEPIECE = [("<unk>", True), ("<s>", True), ("</s>", True), ("<0x0A>", None), ("\n\n", False), ("a", None)]
GEMMA = [("<pad>", True), ("<eos>", True), ("<bos>", True), ("a", None)]
OPT = [("<s>", True), ("<pad>", True), ("</s>", True), ("a", None)]
PHI = [("<unk>", True), ("<s>", True), ("</s>", True), ("<|endoftext|>", True)]


@pytest.mark.parametrize(
    ("tokens", "config", "bos", "special"),
    [
        (GPT2, None, 2, (2,)),
        (SENTENCEPIECE, None, 1, (0, 1, 2)),
        (SENTENCEPIECE, {"bos_token_id": 1}, 1, (0, 1, 2)),
        (GEMMA, None, 2, (0, 1, 2)),
        (OPT, {"bos_token_id": 2}, 2, (0, 1, 2)),  # the config knows better than the name
        (PHI, {"bos_token_id": 1}, 1, (0, 1, 2, 3)),
        ([("a", None), ("b", None)], None, 0, ()),  # no token is special: 0 is text
    ],
)
def test_bos_and_special_tokens_are_those_of_the_tokenizer(tmp_path, tokens, config, bos, special):
    found = with_tokens(tmp_path, tokens, config=config)
    assert bos_token(found) == bos
    assert special_tokens(found) == special
    rows = sample_of(np.zeros(20, int), "a text", CONFIG, found, SampleSettings(n_rows=2, bos=True, special=False))
    assert (rows.rows[:, 0] == bos).all()
    assert rows.left_out == special
    assert ("special tokens not counted" in rows.note) == bool(special)


def test_special_tokens_that_the_model_has_no_row_for_are_not_among_them(tmp_path):
    found = with_tokens(tmp_path, [*GEMMA, ("<mask>", True)], d_vocab=4)
    assert special_tokens(found) == (0, 1, 2)


SAYS_BOS = {
    "config.json": {"config": {"bos_token_id": 1}},
    "tokenizer_config.json": {"files": {"tokenizer_config.json": {"bos_token": "<|B|>"}}},
    "tokenizer_config.json, as an object": {"files": {"tokenizer_config.json": {"bos_token": {"content": "<|B|>"}}}},
    "tokenizer_config.json against config.json": {
        "config": {"bos_token_id": 2},
        "files": {"tokenizer_config.json": {"bos_token": "<|B|>"}},
    },
    "generation_config.json": {"files": {"generation_config.json": {"bos_token_id": 1}}},
    "the name <|bos|>": {"name": "<|bos|>"},
    "the name <SOS>": {"name": "<SOS>"},
    "a default of another vocabulary": {"config": {"bos_token_id": 50256}, "name": "<s>"},
    "odd values": {
        "config": {"bos_token_id": [1]},
        "files": {"tokenizer_config.json": {"bos_token": 7}, "generation_config.json": []},
        "name": "<s>",
    },
}


@pytest.mark.parametrize("says", SAYS_BOS.values(), ids=SAYS_BOS)
def test_bos_is_what_the_files_of_the_model_say(tmp_path, says):
    tokens = [("<pad>", True), (says.get("name", "<|B|>"), True), ("<|E|>", True), ("a", None)]
    if "<|B|>" in dict(tokens):
        tokens.append(("<|endoftext|>", True))
    found = with_tokens(tmp_path, tokens, config=says.get("config"))
    for name, content in says.get("files", {}).items():
        (found.folder / name).write_text(json.dumps(content))
    assert bos_token(found) == 1


def test_bos_is_what_the_tokenizer_puts_before_a_text(tmp_path):
    from tokenizers import Tokenizer, processors

    folder = with_tokens(tmp_path, [("<pad>", True), ("<|B|>", True), ("a", None)]).folder
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<|B|> $A", special_tokens=[("<|B|>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert bos_token(LanguageModel(folder)) == 1


def test_no_id_outside_the_vocabulary_separates_texts(tmp_path):
    found = with_tokens(tmp_path, [("a", None), ("b", None)], config={"bos_token_id": 50256, "vocab_size": 2})
    assert (found.bos, found.separator, bos_token(found), special_tokens(found)) == (None, 0, 0, ())
    found = with_tokens(tmp_path, [("a", None), ("<|endoftext|>", True)], d_vocab=1)
    assert (found.bos, found.separator) == (None, 0)


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "Unigram"])
def test_tokens_that_stand_for_unknown_text_are_counted_in_the_note(tmp_path, kind):
    from tokenizers import Tokenizer, models

    model = planted_model(tmp_path, d_vocab=3)
    names = ["a", "[UNK]", "b"]
    made = {
        "WordLevel": lambda: models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"),
        "WordPiece": lambda: models.WordPiece({name: i for i, name in enumerate(names)}, unk_token="[UNK]"),
        "Unigram": lambda: models.Unigram([(name, -1.0) for name in names], unk_id=1),
    }
    Tokenizer(made[kind]()).save(str(model.folder / "tokenizer.json"))
    table = np.array([[0, 1, 2, 1], [2, 1, 0, 0]])
    note = take(table, LanguageModel(model.folder), n_rows=2).note
    assert "3 of 8 tokens unknown to the tokenizer" in note
    assert "unknown" not in take(np.zeros((2, 4), int), LanguageModel(model.folder), n_rows=2).note
