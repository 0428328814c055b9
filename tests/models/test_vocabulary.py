"""A vocabulary as text: bytes, spaces and words in both kinds of vocabulary."""

from core.models.tokens import decode_token
from core.models.vocabulary import STRAY, Vocabulary
from core.token_sets.rules import find_words


def test_raw_strings_tell_a_stray_byte_from_its_escape_in_a_text():
    raw = ["\\xff", "ÿ", "Ġ\u0122", "Ċ"]  # four characters of a program, the byte 0xff, a space with 0x80, a line break
    strings = [decode_token(token) for token in raw]
    assert strings[:2] == ["\\xff", "\\xff"]
    assert Vocabulary(strings, raw).texts == ("\\xff", STRAY, " " + STRAY, "\n")
    assert Vocabulary(strings).texts == (STRAY, STRAY, " " + STRAY, "\n")


def test_sentencepiece_bytes_and_accents_are_read_as_characters():
    raw = ["▁the", "▁a", "<0x0A>", "<0xE9>", "é", "▁é", "ā"]
    texts = Vocabulary([decode_token(token) for token in raw], raw).texts
    assert texts == (" the", " a", "\n", STRAY, "é", " é", "ā")


def test_sentencepiece_bytes_together_write_a_character_that_is_no_token():
    raw = ["▁the", "▁a", *(f"<0x{byte:02X}>" for byte in range(256))]
    vocabulary = Vocabulary([decode_token(token) for token in raw], raw)
    assert vocabulary.can_write("日")
    assert Vocabulary(raw).can_write("日")
    assert not Vocabulary(raw[:-100], raw[:-100]).can_write("日")
    assert find_words(vocabulary, ["日", "a"], any_case=False) == ([1, 2 + ord("a")], (), ("日",))


def test_a_word_counts_with_and_without_one_space_but_not_with_two():
    vocabulary = Vocabulary(["May", " May", "  May", " may", "Mayor", "MAY"])
    assert vocabulary.word("May") == [0, 1]
    assert sorted(vocabulary.word("May", any_case=True)) == [0, 1, 3, 5]
    assert vocabulary.exactly("  May") == [2]


def test_words_that_are_no_token_are_told_apart_by_whether_tokens_can_write_them():
    vocabulary = Vocabulary([" New", " York", "a", "\\xc3", "\\xa9"])
    found = find_words(vocabulary, ["New York", "a", "b", "é", "York"], any_case=False)
    assert found == ([1, 2], ("b",), ("New York", "é"))
