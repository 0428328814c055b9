"""Text of a person's own: documents, tokens, lines and sentences, rows."""

from itertools import pairwise

import numpy as np
import pytest

from core.corpus.unread import Unread
from core.errors import BadSettingError, CorpusError
from core.text.texts import MAX_BYTES, UNITS, OwnText, _starts, cut_rows, read_upload, split_documents, tokenise, units
from tests.doubles.planted import planted_model

ODD = "<script>alert(1)</script>\n\t👍 שלום\u202e \x00 e\u0301"


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path)


def test_tokens_know_their_document_and_their_first_character(model):
    text = tokenise(model, ["ab\n", "éc"])  # a token is a byte
    assert text.document.tolist() == [0, 0, 0, 1, 1, 1]
    assert text.start.tolist() == [0, 1, 2, 0, 0, 1]
    assert text.unread.sentence == ""


def test_odd_text_comes_through_whole(model):
    text = tokenise(model, [ODD])
    assert model.tokenizer.decode(text.ids.tolist()) == ODD


def test_the_name_of_a_text_follows_from_its_tokens_and_where_documents_begin(model):
    names = [tokenise(model, parts).sha256 for parts in (["ab"], ["a", "b"], ["ba"], ["ab"])]
    assert names[0] == names[3]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("documents", "says"),
    [
        ([], r"The text is empty, expected at least one letter\. Type"),
        ([""], "The text is empty"),
        ([" \n\t "], "4 characters of white space, expected at least one letter"),
        (["a\ud800b"], r"Character 2 of the text is half of a surrogate pair \(U\+D800\), expected Unicode"),
    ],
)
def test_text_without_letters_or_with_half_characters_is_refused(model, documents, says):
    with pytest.raises(CorpusError, match=says):
        tokenise(model, documents)


def test_a_text_of_too_many_characters_is_refused_before_it_is_tokenised(model):
    with pytest.raises(CorpusError, match="2,000,001 characters, expected at most 2,000,000"):
        tokenise(model, ["a" * 1_000_001, "b" * 1_000_000])


def test_a_text_that_is_too_long_is_refused_with_both_numbers(model, monkeypatch):
    monkeypatch.setattr("core.text.texts.MAX_TOKENS", 5)
    assert len(tokenise(model, ["abcde"]).ids) == 5
    with pytest.raises(CorpusError, match="has 6 tokens, expected at most 5"):
        tokenise(model, ["abc", "def"])


def test_characters_that_the_tokenizer_drops_are_counted(tmp_path):
    model = planted_model(tmp_path, d_vocab=100)  # the separator and 99 bytes, none of a letter beyond ASCII
    assert tokenise(model, ["aбвb c"]).unread == Unread(0, 3, 2, 6)
    with pytest.raises(CorpusError, match="gives no token for these 2 characters"):
        tokenise(model, ["бв"])


def test_documents_are_parted_at_lines_that_hold_the_separator_alone():
    text = "a\n=====\n\n=====\nb =====\n  ===== \nc"
    assert split_documents(text, "=====") == ("a\n", "b =====\n", "c")
    assert split_documents(text, "") == (text,)


def test_lines_number_tokens_and_blank_lines_belong_to_what_is_before(model):
    text = tokenise(model, ["\nab\n\n  \n c\n", "d"])
    found = units(text, "line")
    assert "".join(map(str, found)) == "0" * 8 + "1" * 3 + "2"
    assert units(text, "document").tolist() == text.document.tolist()


def test_sentences_end_at_marks_before_space_and_at_blank_lines(model):
    sentences = ["A 1.5 b.", ' "C?"', " D!?\n", "\nE…", " F"]
    text = tokenise(model, ["".join(sentences)])
    assert np.bincount(units(text, "sentence")).tolist() == [len(sentence.encode()) for sentence in sentences]
    assert units(tokenise(model, ["一。二。"]), "sentence").tolist() == [0] * 6 + [1] * 6


def test_units_are_numbered_without_gaps(model):
    text = tokenise(model, ["ab\ncd\nef"])
    text.start[3:6] = 2  # as if one token held the whole second line
    assert units(text, "line").tolist() == [0, 0, 0, 0, 0, 0, 1, 1]


def test_units_of_documents_are_those_of_each_alone_also_where_one_has_no_token():
    documents = ("a\nb", "never read", "c\n\nd\ne", "f")
    document, start = np.array([0, 0, 2, 2, 2, 3]), np.array([0, 2, 0, 3, 5, 0])
    text = OwnText(documents, np.zeros(6, np.int64), document, start, Unread(0, 6, 0, 20))
    assert units(text, "document").tolist() == [0, 0, 1, 1, 1, 2]
    assert units(text, "line").tolist() == [0, 1, 2, 3, 4, 5]
    assert [(part.start, part.stop) for part in cut_rows(text, 2, bos=False)] == [(0, 2), (2, 4), (4, 5), (5, 6)]


def test_documents_begin_rows_and_are_cut_at_their_length(model):
    text = tokenise(model, ["abcde", "fg"])
    rows = [text.ids[part].size for part in cut_rows(text, 3, bos=False)]
    assert rows == [3, 2, 2]
    assert [(part.start, part.stop) for part in cut_rows(text, 3, bos=True)] == [(0, 2), (2, 4), (4, 5), (5, 7)]
    with pytest.raises(BadSettingError, match=r"Rows of 1 tokens with BOS hold no text\. Expected at least 2"):
        list(cut_rows(text, 1, bos=True))


def test_uploads_are_text_in_utf_8_or_say_why_not():
    assert read_upload("a.txt", "\ufeffé\r\n".encode()) == "é\n"
    with pytest.raises(CorpusError, match=r"'a\.bin' is not text in UTF-8: byte 2 is 0xff\. Save it"):
        read_upload("a.bin", b"ab\xff")
    with pytest.raises(CorpusError, match="5,000,001 bytes, expected at most 5,000,000"):
        read_upload("a.txt", b"a" * (MAX_BYTES + 1))


@pytest.mark.parametrize("kind", UNITS)
@pytest.mark.parametrize("piece", [".", "。", '."', "\n", "\n ", "a", "... "])
def test_units_of_long_runs_are_found_in_time_that_grows_with_the_text(kind, piece):
    text = piece * 200_000 + "x"  # the square of which would take an hour
    starts = _starts(text, kind)
    assert starts == sorted(set(starts))
    assert 0 <= starts[0] <= starts[-1] < len(text)


def test_marks_in_the_middle_of_a_word_do_not_end_a_sentence():
    text = 'One... two."three" Four?!) five.six 7。8！！9\n \nTen.'
    assert [text[a:b] for a, b in pairwise([*_starts(text, "sentence"), len(text)])] == [
        "One...",
        ' two."three" Four?!)',
        " five.six 7。",
        "8！！",
        "9\n",
        " \nTen.",
    ]
