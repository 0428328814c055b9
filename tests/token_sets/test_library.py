"""Token sets: every rule takes what it should and nothing else, in every kind of vocabulary."""

import json
import re
import subprocess
import sys
import tomllib
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.catalogue import STATISTICS
from core.errors import UnknownNameError
from core.models.tokens import decode_token
from core.models.vocabulary import Vocabulary
from core.token_sets import rules as token_sets_rules
from core.token_sets.sets import TokenSet, TokenSets, built_in_sets, collect, raw_string_sets

ROOT = Path(__file__).parents[2]
GPT2 = ROOT.parent / "shared" / "data" / "gpt2" / "vocab.json"
needs_gpt2 = pytest.mark.skipif(not GPT2.is_file(), reason="GPT-2's vocabulary is not beside the project")

# name: (takes, does not take), as decoded tokens; all of them stand in GPT-2's vocabulary.
RULES = {
    "starts_with_space": ([" the", " ", " ("], ["the", "("]),
    "starts_with_capital": ([" The", "The", "A"], [" the", " 1"]),
    "starts_with_lower": ([" the", "the"], [" The", "1"]),
    "all_digits": (["12", " 12"], ["A", " the"]),
    "is_punctuation": (["(", " (", "?!"], ["the", " ", "_"]),
    "contains_close_bracket": ([")", ");", " )"], ["(", "]"]),
    "contains_open_bracket": (["(", "()", " ("], [")", "["]),
    "all_caps": ([" USA", "ER", "A"], [" The", "er"]),
    "1 digit": (["1", " 7"], ["12"]),
    "2 digits": (["12", " 19"], ["1", "123"]),
    "3 digits": (["123", " 200"], ["12", "2016"]),
    "4 digits": ([" 2016", "0000"], ["123"]),
    "length_1": (["a", " a", "1"], ["an", "("]),
    "length_2": (["an", " an"], ["a", " the"]),
    "length_3": ([" the", "ing"], ["an", " that"]),
    "length_4": ([" that"], [" the", " their"]),
    "length_5": ([" their"], [" that", "ations"]),
    "letter_a": (["a", " and", " An"], [" the", "b", "1"]),
    "letter_z": (["z", " Z", " zero"], ["a", " size"]),
}
RAW_ONLY = {  # Ġ and Ċ are word characters, which a length counts; © is none
    "is_punctuation": (["(", "?!"], ["Ġ(", "Ċ"]),
    "length_1": (["a", "Ġ", "Ċ", "Ġa"], ["an"]),
    "length_2": (["an", "Ġa", "Ġan"], ["a", "Ã©"]),
    "length_3": (["ing", "Ġthe", "Ġan"], ["an"]),
    "length_4": (["Ġthat", "Ġthe"], ["Ġtheir"]),
    "length_5": (["Ġtheir", "Ġthat"], ["ing"]),
}


@cache
def gpt2() -> tuple[str, ...]:
    vocabulary = json.loads(GPT2.read_text(encoding="utf-8"))
    return tuple(sorted(vocabulary, key=vocabulary.get))


@cache
def gpt2_strings() -> tuple[str, ...]:
    return tuple(map(decode_token, gpt2()))


@cache
def gpt2_sets() -> TokenSets:
    return built_in_sets(gpt2_strings())


def sentencepiece() -> list[str]:
    """Raw strings of a SentencePiece vocabulary that has every token of RULES, byte tokens and more."""
    texts = {text for takes, leaves in RULES.values() for text in (*takes, *leaves)}
    texts |= {"café", " é", "ā", "слово", " 水", "\n", "\t", "January", " January", " january"}
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    return ["<unk>", "<s>", *byte_tokens, *sorted(text.replace(" ", "▁") for text in texts), "▁▁"]


def texts_of(item: TokenSet, strings) -> list[str]:
    return [strings[token] for token in item.tokens]


def check(sets: TokenSets, texts, rules) -> None:
    for name, (takes, leaves) in rules.items():
        found = set(texts_of(sets.named(name), texts))
        assert set(takes) <= found, name
        assert not set(leaves) & found, name


@needs_gpt2
def test_the_rules_of_the_original_hold_on_gpt2():
    assert {text for takes, leaves in RULES.values() for text in (*takes, *leaves)} <= set(gpt2_strings())
    check(gpt2_sets(), gpt2_strings(), RULES)


def test_the_rules_of_the_original_hold_on_a_sentencepiece_vocabulary():
    raw = sentencepiece()
    for known in (None, raw):
        sets = built_in_sets([decode_token(token) for token in raw], raw=known, smallest=1)
        check(sets, Vocabulary([decode_token(token) for token in raw], known).texts, RULES)


@needs_gpt2
@pytest.mark.parametrize("part", range(2))
def test_every_set_holds_exactly_the_tokens_of_the_regular_expression_it_shows(part):
    """On every 16th token of GPT-2; looked-up families must equal their expressions."""
    strings = gpt2_strings()[part::16]
    texts = Vocabulary(strings).texts
    shown = [item for item in built_in_sets(strings, smallest=1).sets if item.rule.startswith("/")]
    assert len(shown) > 200
    for item in shown:
        search = re.compile(item.rule[1:-1]).search
        assert item.tokens.tolist() == [i for i, text in enumerate(texts) if search(text)], item.name


@needs_gpt2
def test_every_set_of_words_holds_exactly_these_words_with_or_without_one_space():
    sets, strings = gpt2_sets(), gpt2_strings()
    lists = tomllib.loads((ROOT / "core" / "token_sets" / "lists" / "words.toml").read_text(encoding="utf-8"))
    several = 0
    for name, entry in lists.items():
        if name not in sets.names:
            continue
        item, any_case = sets.named(name), entry["case"] == "any"
        words = [" ".join(word.split()) for word in entry["words"].split(",")]
        assert max(Counter(words).values()) == 1, name
        fold = str.lower if any_case else str
        wanted = {fold(word) for word in words} | {fold(" " + word) for word in words}
        assert set(item.tokens.tolist()) == {i for i, text in enumerate(strings) if fold(text) in wanted}, name
        assert item.missing == ()  # every byte is a token
        several += len(item.several)
    assert several > 20


@needs_gpt2
def test_words_of_several_tokens_are_reported_and_their_pieces_left_out():
    states = gpt2_sets().named("us_states")
    assert {"New York", "West Virginia"} <= set(states.several)
    assert not {" New", " York"} & set(texts_of(states, gpt2_strings()))
    assert " Texas" in texts_of(states, gpt2_strings())


@needs_gpt2
@pytest.mark.parametrize(
    ("name", "takes", "leaves"),
    [
        ("year", " 1999", "1200"),
        ("day_of_month", "31", "32"),
        ("months", " March", " march"),
        ("pronouns", " Them", " then"),
        ("ends_ing", " going", "ing"),
        ("begins_un", " unable", " un"),
        ("python_keywords", " def", " Def"),
        ("contains_question_mark", "?!", "!"),
        ("script_greek", "α", " a"),
        ("camel_case", " iPhone", " Phone"),
        ("stray_bytes", "\\xa1", "\\"),
        ("contains_backslash", "\\", "\\xa1"),
        ("only_white_space", "\n", " a"),
        ("space_and_capital", " The", "The"),
        ("boys_names", " John", " Mary"),
    ],
)
def test_further_rules_take_and_leave(name, takes, leaves):
    found = texts_of(gpt2_sets().named(name), gpt2_strings())
    assert takes in found
    assert leaves in gpt2_strings()
    assert leaves not in found


@needs_gpt2
def test_scripts_are_those_of_the_unicode_names():
    strings = [text for text in gpt2_strings() if not text.isascii()]
    texts = Vocabulary(strings).texts
    for item in built_in_sets(strings).sets:
        if item.group == "Scripts":
            script = item.rule.rpartition(" ")[2]
            named = [any(re.match(rf"{script}\b", unicodedata.name(c, "")) for c in text) for text in texts]
            assert item.tokens.tolist() == np.flatnonzero(named).tolist(), item.preview(strings)


ORIGINAL = {
    "starts_with_space": "Ġ.*",
    "starts_with_capital": "^Ġ*[A-Z].*",
    "starts_with_lower": "^Ġ*[a-z].*",
    "all_digits": "^Ġ*\\d+$",
    "is_punctuation": "^[^\\w\\s]+$",
    "contains_close_bracket": ".*\\).*",
    "contains_open_bracket": ".*\\(.*",
    "all_caps": "Ġ*[A-Z]+$",
    "1 digit": "Ġ*\\d{1}$",
    "2 digits": "Ġ*\\d{2}$",
    "3 digits": "Ġ*\\d{3}$",
    "4 digits": "Ġ*\\d{4}$",
    "length_1": "^Ġ*\\w{1}$",
    "length_2": "^Ġ*\\w{2}$",
    "length_3": "^Ġ*\\w{3}$",
    "length_4": "^Ġ*\\w{4}$",
    "length_5": "^Ġ*\\w{5}$",
}


@needs_gpt2
def test_the_raw_variant_is_the_original_code_on_raw_strings():
    raw, sets = gpt2(), raw_string_sets(gpt2())
    assert len(sets) == len(ORIGINAL) + 26
    for name, pattern in ORIGINAL.items():
        assert sets.named(name).tokens.tolist() == [i for i, text in enumerate(raw) if re.match(pattern, text)]
    for letter in "abcdefghijklmnopqrstuvwxyz":
        bare = [text.strip("Ġ") for text in raw]
        wanted = [i for i, text in enumerate(bare) if text.isalpha() and text[0].lower() == letter]
        assert sets.named(f"letter_{letter}").tokens.tolist() == wanted
    in_raw = {name: [[t.replace(" ", "Ġ") for t in part] for part in rule] for name, rule in RULES.items()}
    check(sets, raw, in_raw | RAW_ONLY)


def test_the_raw_variant_says_what_it_does_not_reproduce():
    reasons = dict(raw_string_sets(["a", "Ġb", "1"]).left_out)
    assert "babe" in reasons["boys_names and girls_names of the original"]
    assert reasons["contains_open_bracket"] == "0 tokens, fewer than 1"


def test_sets_that_are_too_small_or_everything_are_left_out_with_the_reason():
    strings = [f" {word}" for word in ("one", "two", "three", "four", "five", "six")]
    sets = built_in_sets(strings, smallest=5)
    reasons = dict(sets.left_out)
    assert "all 6 tokens" in reasons["starts_with_space"]
    assert reasons["all_digits"] == "0 tokens, fewer than 5"
    assert reasons["letter_o"] == "1 token, fewer than 5"
    assert not set(sets.names) & set(reasons)


def test_members_are_listed_by_token_as_in_a_double_loop():
    rng = np.random.default_rng(0)
    chosen = [np.flatnonzero(rng.random(40) < share) for share in (0.5, 0.1, 0.9)]
    sets = TokenSets(tuple(TokenSet(f"s{i}", "", "", tokens) for i, tokens in enumerate(chosen)))
    indptr, indices = sets.membership(41)
    assert len(indptr) == 42
    for token in range(41):
        wanted = [i for i, tokens in enumerate(chosen) if token in tokens]
        assert indices[indptr[token] : indptr[token + 1]].tolist() == wanted
    assert sets.sizes.tolist() == [len(tokens) for tokens in chosen]
    assert sets.nbytes == 8 * len(indices)
    empty = TokenSets(()).membership(3)
    assert (empty[0].tolist(), empty[1].tolist()) == ([0, 0, 0, 0], [])


def test_the_hash_follows_names_and_tokens_only():
    def sha(name="a", tokens=(1, 2), rule="r"):
        return TokenSets((TokenSet(name, "g", rule, np.array(tokens)),)).sha256

    assert sha() == sha(rule="another") == sha()
    assert len({sha(), sha(name="b"), sha(tokens=(1, 3))}) == 3


def test_sets_are_found_by_name_and_joined_in_order():
    first, second = (TokenSets((TokenSet(name, "", "", np.array([0])),), ((name * 2, "r"),)) for name in "ab")
    both = first.joined(second)
    assert both.names == ("a", "b")
    assert [name for name, _ in both.left_out] == ["aa", "bb"]
    assert both.named("b") is second.sets[0]
    with pytest.raises(UnknownNameError, match="no token set called 'c'"):
        both.named("c")
    with pytest.raises(AssertionError, match="one name"):
        both.joined(first)


def test_the_table_shows_size_rule_and_preview_and_the_reasons_below():
    strings = ["a", " b\n", "c"]
    sets = TokenSets((TokenSet("few", "g", "/x/", np.array([0, 1]), ("m",), ("s",)),), (("gone", "why"),))
    table = sets.to_frame(strings)
    assert set(table.columns) <= set(STATISTICS)
    assert table.iloc[0].tolist() == ["few", "g", 2, "/x/", "'a', ' b\\n'", "s", "m", ""]
    assert table["left_out_because"].tolist() == ["", "why"]
    assert sets.sets[0].preview(strings, 1) == "'a', …"


@needs_gpt2
def test_the_same_vocabulary_gives_the_same_library_whether_or_not_raw_strings_are_given():
    part = slice(0, None, 8)
    with_raw = built_in_sets(gpt2_strings()[part], raw=gpt2()[part])
    assert with_raw.sha256 == built_in_sets(gpt2_strings()[part]).sha256
    assert with_raw.left_out == built_in_sets(gpt2_strings()[part]).left_out


def test_names_are_unique_over_the_library_and_collecting_keeps_order():
    found = list(token_sets_rules.candidates(["a", " b", "1"]))
    assert max(Counter(item.name for item in found).values()) == 1
    assert collect(found, n_tokens=3, smallest=1).names == tuple(
        item.name for item in found if 0 < len(item.tokens) < 3
    )


def test_token_sets_load_nothing_heavy():
    script = (
        "import core.token_sets.sets, core.token_sets.typed, core.token_sets.parts_of_speech, sys; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "nltk", "numba", "scipy", "streamlit"} & set(done.stdout.split())
