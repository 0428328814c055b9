"""What of a text a tokenizer does not read: counted in the same way wherever the text comes from."""

import dataclasses

import numpy as np
import pytest

from core.corpus.files import TextFiles, files_stream, summarise
from core.corpus.samples import SampleSettings, sample_of
from core.corpus.streams import Document, TokenStream, documents_stream
from core.corpus.unread import Unread, lost_characters, unknown_tokens
from core.errors import CorpusError
from core.models.encoding import encode
from core.models.language_model import LanguageModel
from core.text.texts import tokenise
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model

TEXT = "knot kite zone, Uno knot"


@pytest.fixture
def model(tmp_path):
    """A model that knows three words in small letters, and [UNK]."""
    return with_tokenizer(tmp_path, words(), lowercase=True)


def words():
    from tokenizers import models

    vocabulary = {"|": 0, "[UNK]": 1, "knot": 2, "kite": 3, "uno": 4}
    return models.WordLevel(vocabulary, unk_token="[UNK]")


def with_tokenizer(tmp_path, kind, *, lowercase=False):
    from tokenizers import Tokenizer, normalizers, pre_tokenizers

    found = planted_model(tmp_path, d_vocab=5)
    tokenizer = Tokenizer(kind)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(found.folder / "tokenizer.json"))
    return LanguageModel(found.folder)


def test_the_count_is_that_of_a_slow_count_by_hand(model):
    ids = encode(model.tokenizer, [TEXT])[0].ids
    assert ids == [2, 3, 1, 1, 4, 2]  # zone and the comma are unknown
    assert unknown_tokens(np.array(ids), model) == 2
    # z, o, n, e and the comma; and U, which comes back as u. The letters of [UNK] stand for none of them.
    assert lost_characters(model.tokenizer, [TEXT], [ids]) == len("zone,") + len("U")


def test_text_is_counted_alike_from_a_file_a_folder_a_data_set_and_a_text_box(model, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "one.txt").write_text(TEXT)
    settings, config = SampleSettings(n_rows=1, context=7), planted_dictionary().config
    streams = [documents_stream(model.tokenizer, [Document("one", TEXT)], separator=0, title="data set")]
    for path in (folder, folder / "one.txt"):
        files = TextFiles.find(path)
        streams.append(files_stream(files, model, summarise(files)))
    expected = Unread(n_unknown=2, n_tokens=7, n_lost=6, n_characters=len(TEXT))
    for stream in streams:
        sample = sample_of(stream.tokens, stream.title, config, model, settings, stream.unread)
        assert sample.unread == expected
        assert "2 of 7 tokens unknown to the tokenizer, 6 of the text's 24 characters lost in its tokens" in sample.note
    assert tokenise(model, [TEXT]).unread == dataclasses.replace(expected, n_tokens=6)


def test_the_count_is_stored_with_the_tokens(model, tmp_path):
    store = ArtifactStore(tmp_path / "cache")
    key = TokenStream.key("tokenizer", "text", separator=1)
    store.save(documents_stream(model.tokenizer, [Document("one", TEXT)], separator=1, title="a"), key)
    assert store.load(TokenStream, key).unread == Unread(n_lost=6, n_characters=24)


def test_what_is_read_whole_is_not_spoken_of(tmp_path):
    model = planted_model(tmp_path)  # a token is a byte
    stream = documents_stream(model.tokenizer, [Document("one", "é <|endoftext|> 👍")] * 40, separator=0, title="a")
    assert (stream.n_lost, stream.unread.sentence, stream.unread.parts) == (0, "", ())
    assert stream.n_characters == 40 * 17


def test_a_sentence_names_both_counts():
    said = (Unread(1, 10, 0, 50) + Unread(2, 10, 3, 50)).sentence
    assert "does not know 3 of 20 tokens" in said
    assert "drops or changes 3 of 100 characters" in said


@pytest.mark.parametrize("kind", ["WordLevel", "WordPiece", "BPE", "Unigram"])
def test_a_tokenizer_without_an_unknown_token_refuses_text_with_an_error_of_the_family(tmp_path, kind):
    from tokenizers import models

    vocabulary = {"a": 0, "b": 1, "knot": 2, "c": 3}
    made = {
        "WordLevel": lambda: models.WordLevel(vocabulary),
        "WordPiece": lambda: models.WordPiece(vocabulary),
        "BPE": lambda: models.BPE(vocabulary, [], unk_token="[UNK]"),
        "Unigram": lambda: models.Unigram([(token, -1.0) for token in vocabulary]),
    }
    model = with_tokenizer(tmp_path, made[kind]())
    says = r"The tokenizer cannot read 'b zone' \(.+\)\. Expected text of its own vocabulary, .+ Choose other text"
    for read in (
        lambda text: encode(model.tokenizer, [text]),
        lambda text: tokenise(model, [text]),
        lambda text: documents_stream(model.tokenizer, [Document("one", text)], separator=0, title=""),
    ):
        with pytest.raises(CorpusError, match=says):
            read("a b\nb zone\nzone")
    assert tokenise(model, ["a b"]).unread.n_lost == 0
