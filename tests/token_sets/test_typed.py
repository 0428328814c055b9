"""Token sets that a person types or uploads, and what is wrong with them."""

import types

import pytest

from core.errors import TokenSetError
from core.token_sets import parts_of_speech
from core.token_sets.typed import MAX_BYTES, MAX_LINES, set_from_text, set_from_upload
from core.work.patterns import TooSlowError, search_all

STRINGS = ["the", " the", "The", " New", " York", "\n", "\t", " ", "/", "a\\b", "é", "\\xe2", "1", " 12", "-" * 64]


def made(text: str):
    found = set_from_text("mine", text, STRINGS)
    return [STRINGS[token] for token in found.tokens]


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("the", ["the", " the"]),
        ("The", ["The"]),
        (" the", [" the"]),
        (r"\sthe", [" the"]),
        (r"\n", ["\n"]),
        (r"\x09", ["\t"]),
        (r"\u00e9", ["é"]),
        (r"\s", [" "]),
        (r"a\\b", ["a\\b"]),
        ("/", ["/"]),
        (r"/^ ?\d+$/", ["1", " 12"]),
        ("/th/", ["the", " the"]),
        ("/(?i)^THE/", ["the", "The"]),
        ("the   \r\n\n\n1", ["the", " the", "1"]),
    ],
)
def test_a_line_is_a_word_a_token_or_a_regular_expression(line, tokens):
    assert made(line) == tokens


def test_words_of_several_tokens_and_unknown_ones_are_reported_never_added():
    found = set_from_text(" my  set ", "the\nNew York\nzebra\n/q+/\n1", STRINGS)
    assert found.name == "my set"
    assert [STRINGS[token] for token in found.tokens] == ["the", " the", "1"]
    assert (found.several, found.missing) == (("New York",), ("zebra", "/q+/"))
    assert found.rule == "the, New York, zebra, /q+/, 1"


def test_a_long_list_is_cut_in_the_table_but_not_in_the_set():
    found = set_from_text("long", "\n".join(["the"] + [f"word{i}" for i in range(200)]), STRINGS)
    assert len(found.rule) < 550
    assert found.rule.endswith("more lines")
    assert len(found.missing) == 200


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("s", "the\n/a(b/", ["Line 2", "/a(b/", "character 2", "missing )", "Python's syntax"]),
        ("s", "/[z-a]/", ["Line 1", "bad character range z-a", "character 2"]),
        ("s", "/a{99999999999}/", ["Line 1", "no regular expression"]),
        ("s", "", ["'s' is empty", "no line has text"]),
        ("s", "\n \n", ["no line has text"]),
        ("s", "zebra\nlion", ["'s' is empty", "2 lines", "'zebra'", "check spelling"]),
        ("s", "/(?s)^/", ["all 15 tokens", "narrower"]),
        ("s", r"the" + "\n" + r"a\q", ["Line 2", r"\\q", "character 2", r"\n"]),
        ("s", "ends\\", ["Line 1", "character 5"]),
        ("s", "x" * 201, ["Line 1", "201 characters", "at most 200"]),
        ("s", "a" * (MAX_BYTES + 1), [f"{MAX_BYTES + 1:,} characters", "at most"]),
        ("s", "a\n" * (MAX_LINES + 1), [f"{MAX_LINES + 1:,} lines", "at most"]),
        ("", "the", ["cannot be called ''", "1 to 60"]),
        ("x" * 61, "the", ["61 characters"]),
        ("a\x00b", "the", ["cannot be called"]),
    ],
)
def test_bad_input_is_named_with_the_place_and_the_next_step(name, text, parts):
    with pytest.raises(TokenSetError) as caught:
        set_from_text(name, text, STRINGS)
    for part in parts:
        assert part in str(caught.value)


def test_a_regular_expression_that_never_ends_is_stopped_and_named(monkeypatch):
    monkeypatch.setattr("core.token_sets.typed.search_all", lambda *given: search_all(*given, seconds=0.3))
    with pytest.raises(TokenSetError, match=r"Line 3: /\(-\+\)\+x/ took more than"):
        made("the\n/t/\n/(-+)+x/\n/a/")


def test_searching_says_how_many_patterns_were_done():
    assert search_all(["a", r"\d"], ["a1", "b", "é2"]) == [[0], [0, 2]]
    assert search_all([], ["a"]) == []
    with pytest.raises(TooSlowError) as caught:
        search_all(["a", "(-+)+x", "b"], ["a", "-" * 64], seconds=0.3)
    assert caught.value.done == 1


def test_an_upload_is_utf8_text_of_the_same_syntax():
    assert set_from_upload("up", b"\xef\xbb\xbfthe\r\n\xc3\xa9\r\n", STRINGS).tokens.tolist() == [0, 1, 10]


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (b"the\n\xff\xfe", ["not text in UTF-8", "0xff", "line 2"]),
        (b"a" * (MAX_BYTES + 1), ["1,000,001 bytes", "at most 1,000,000"]),
    ],
)
def test_an_upload_that_is_no_short_text_is_refused(data, parts):
    with pytest.raises(TokenSetError) as caught:
        set_from_upload("up", data, STRINGS)
    for part in parts:
        assert part in str(caught.value)


def fake_nltk(version: str, tag) -> types.ModuleType:
    module = types.ModuleType("nltk")
    module.__version__, module.pos_tag = version, tag
    return module


def test_parts_of_speech_are_those_of_the_tagger_on_each_token_alone(monkeypatch):
    seen = []

    def tag(words):
        seen.extend(words)
        return [(word, "DT" if word.lower() == "the" else "X.") for word in words]

    monkeypatch.setitem(__import__("sys").modules, "nltk", fake_nltk("3.10.4", tag))
    found = parts_of_speech.pos_sets(STRINGS, smallest=2)
    assert found.named("nltk_pos_DT").tokens.tolist() == [0, 1, 2]
    assert found.names == ("nltk_pos_DT", "nltk_pos_X.")
    assert " the" not in seen
    assert "" not in seen


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (None, "NLTK is not installed"),
        (fake_nltk("3.8.1", None), "as a pickle; install 3.9"),
        (fake_nltk("3.9b1", None), "NLTK 3.9b1 may keep"),
        (fake_nltk("of my own", None), "NLTK of my own may keep"),
        (fake_nltk("3.9", lambda words: {}["x"]), "no data on this machine"),
    ],
)
def test_without_the_tagger_one_line_says_what_is_missing(monkeypatch, module, says):
    monkeypatch.setitem(__import__("sys").modules, "nltk", module)
    found = parts_of_speech.pos_sets(STRINGS)
    assert len(found) == 0
    ((name, reason),) = found.left_out
    assert name == "nltk_pos"
    assert says in reason
