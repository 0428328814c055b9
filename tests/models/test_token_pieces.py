"""Tokens as pieces of their text: joined they are what the tokenizer decodes, whatever the bytes."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models

from core.models.pieces import _pieces_by_decoding, token_pieces
from tests.doubles.planted import write_tokenizer
from ui.shared.token_text import Passage, draw_passages, shaded

GPT2 = Path(__file__).resolve().parents[3] / "shared" / "data" / "gpt2"
TEXTS = [
    "",
    "x",
    "a\n\n\tb\r\nc",
    "naïve café — 日本語 😀👩‍👩‍👧",
    "<script>alert(1)</script>&amp;",
    "\x00\x07\u202e\u200b",
    "{typename}{0}%s",
    "<|endoftext|> twice <|endoftext|>",
]
"""With characters of one to four bytes, controls, a right-to-left mark, HTML, and the separator."""


@pytest.fixture(scope="module")
def by_bytes(tmp_path_factory) -> Tokenizer:
    """One token per byte: every character that is not ASCII is spread over several."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path, 257)
    return Tokenizer.from_file(str(path))


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    if not GPT2.is_dir():
        pytest.skip(f"needs the GPT-2 vocabulary in {GPT2}")
    found = Tokenizer(models.BPE.from_file(str(GPT2 / "vocab.json"), str(GPT2 / "merges.txt")))
    from tokenizers import pre_tokenizers

    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_special_tokens(["<|endoftext|>"])
    return found


@pytest.fixture(scope="module")
def sentence_piece() -> Tokenizer:
    """Bars for spaces, single bytes by name, and a leading space that decoding takes off."""
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁a", "b", "▁日"]
    found = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    found.decoder = decoders.Sequence(steps)
    return found


def check(tokenizer: Tokenizer, ids) -> list[str]:
    pieces = token_pieces(tokenizer, ids)
    assert len(pieces) == len(ids)
    assert "".join(pieces) == tokenizer.decode(list(ids), skip_special_tokens=False)
    return pieces


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("name", ["by_bytes", "gpt2"])
def test_pieces_join_to_the_text_that_was_tokenized(request, name, text):
    tokenizer = request.getfixturevalue(name)
    assert "".join(check(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids)) == text


@pytest.mark.parametrize("name", ["by_bytes", "gpt2", "sentence_piece"])
def test_pieces_of_any_ids_join_to_what_the_tokenizer_decodes(request, name):
    tokenizer = request.getfixturevalue(name)
    rng = np.random.default_rng(0)
    size = tokenizer.get_vocab_size()
    for _ in range(60):  # cut characters, bytes that are none, ids beyond the vocabulary
        check(tokenizer, rng.integers(0, size + 3, rng.integers(0, 12)).tolist())


def test_an_added_token_is_text_as_it_stands_and_not_bytes(tmp_path):
    write_tokenizer(tmp_path / "tokenizer.json", 257)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_tokens(["two words", "é日"])
    assert check(tokenizer, tokenizer.encode("a two words é日").ids)[-3:] == ["two words", " ", "é日"]


def test_a_character_of_several_tokens_is_shown_once_where_it_is_complete(by_bytes):
    ids = by_bytes.encode("a日b").ids
    assert check(by_bytes, ids) == ["a", "", "", "日", "b"]
    assert check(by_bytes, ids[:3]) == ["a", "", "\ufffd"]  # cut off: nothing hides
    assert _pieces_by_decoding(by_bytes, ids) == ["a", "", "", "日", "b"]


def test_a_token_without_text_is_marked_and_nothing_of_a_text_is_markup(by_bytes, monkeypatch):
    pieces = [*check(by_bytes, by_bytes.encode("日").ids), "<script>", "\n", '"', "\x1b"]
    drawn = []
    monkeypatch.setattr("streamlit.html", drawn.append)
    titles = [f'"><script>{piece}' for piece in pieces]
    draw_passages([Passage(pieces, [0, 0, 1, 2, 0, 0, -4], titles, "<script>", marked=3)])
    assert drawn[0].count("‥") == 2
    assert drawn[0].count("<script>") == 0
    assert drawn[0].count('class="strongest"') == 1
    assert "日" in drawn[0]
    assert "⏎\n" in drawn[0]
    assert "\\x1b" in drawn[0]
    assert "rgba(37,99,235,0.85)" in drawn[0]  # the largest by size is a negative one
    assert "⏎\n" not in shaded(["\n"], [1.0], 1.0, one_line=True)
