"""Tokens as a person can read them."""

import pytest

from core.models.tokens import byte_alphabet, decode_token, decode_vocabulary, label


def test_every_byte_has_its_own_character():
    alphabet = byte_alphabet()
    assert sorted(alphabet.values()) == list(range(256))
    assert {alphabet["\u0120"], alphabet["\u010a"], alphabet["\u0109"]} == {
        0x20,
        0x0A,
        0x09,
    }  # as in GPT-2's vocabulary


def test_the_alphabet_is_the_one_that_tokenizers_uses():
    from tokenizers import pre_tokenizers

    alphabet = byte_alphabet()
    assert set(alphabet) == set(pre_tokenizers.ByteLevel.alphabet())
    encode = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str
    every_character = "".join(map(chr, [*range(0x180), 0x20AC, 0x1F600]))
    (piece,) = encode(every_character)
    assert bytes(alphabet[character] for character in piece[0]) == every_character.encode()


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("def", "def"),
        ("\u0120self", " self"),
        ("\u010a\u0120\u0120", "\n  "),
        ("\u00c3\u00a9", "\u00e9"),
        ("\u00e2\u0124\u00ac", "\u20ac"),
        ("\u00e2\u0124", "\\xe2\\x82"),  # the first two of the Euro sign's three bytes
        ("a\u00c3", "a\\xc3"),
        ("<|endoftext|>", "<|endoftext|>"),
        ("   ", "   "),  # an added token, not in the alphabet
        ("\u2581the", " the"),  # SentencePiece
        ("", ""),
    ],
)
def test_a_vocabulary_entry_becomes_text(raw, text):
    assert decode_token(raw) == text


def test_letters_of_a_sentencepiece_vocabulary_are_not_taken_for_bytes():
    raw = ["\u2581the", "\u2581caf\u00e9", "\u00e9", "\u0101", "x", ""]
    assert decode_vocabulary(raw) == (" the", " caf\u00e9", "\u00e9", "\u0101", "x", "")


def test_a_byte_level_vocabulary_is_decoded_entry_by_entry():
    raw = ["\u0120self", "\u00c3\u00a9", "\u00c3"]
    assert decode_vocabulary(raw) == (" self", "\u00e9", "\\xc3")


def test_a_label_shows_blanks_and_line_breaks():
    assert label(" a\n") == "' a\\n'"
