"""The tokenizer of a model folder, and which of its tokens is BOS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError
from core.files.tensors import file_sha256

TOKENIZER_FILE = "tokenizer.json"
BOS_NAMES = ("<bos>", "<s>", "<|begin_of_text|>", "<|startoftext|>", "<|bos|>", "[bos]", "<sos>", "<|sos|>", "[sos]")
"""Usual names, in lower case, of a token that is BOS only."""
SEPARATOR_NAME = "<|endoftext|>"
"""GPT-2's separator of documents; it is also its BOS."""


def read_tokenizer(folder: Path):
    """Return the `tokenizers.Tokenizer` of a folder, set to read the whole text and add no padding.

    Some files, such as those of sentence-transformers, store a length at which to cut or pad; it is ignored.
    Raises BadDictionaryError if the file is missing or cannot be read.
    """
    from tokenizers import Tokenizer

    path = folder / TOKENIZER_FILE
    if not has_tokenizer(folder):
        raise BadDictionaryError(
            f"{folder} has no {TOKENIZER_FILE}. Expected one; export it with the model. Without it the model reads "
            "no text, only files of token ids."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise BadDictionaryError(
            f"{path} cannot be read ({str(error)[:200]}). Expected a file of the library tokenizers; export it "
            "with the model again."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has a tokenizer. Some models have none: those of board games, say, read moves, not text."""
    return (folder / TOKENIZER_FILE).is_file()


def ids_as_text(d_vocab: int):
    """Return a `tokenizers.Tokenizer` that writes ids as numbers, for a model that has no tokenizer."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({str(i): i for i in range(d_vocab)}, unk_token="0"))


def tokenizer_sha256(folder: Path, d_vocab: int) -> str:
    """Return the content hash of the tokenizer's file; without a tokenizer, a name for plain ids."""
    return file_sha256(folder / TOKENIZER_FILE) if has_tokenizer(folder) else f"{d_vocab} ids without tokenizer"


def special_tokens(tokenizer) -> dict[int, str]:
    """Return the tokens that a tokenizer marks as special, by id."""
    return {i: token.content for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def unknown_token(tokenizer) -> int | None:
    """Return the id that stands for text outside the vocabulary; None if the tokenizer has no such token."""
    if type(tokenizer.model).__name__ == "Unigram":  # has no attribute for the id
        return json.loads(tokenizer.to_str())["model"].get("unk_id")
    named = tokenizer.model.unk_token
    return None if named is None else tokenizer.token_to_id(named)


def find_bos(folder: Path, tokenizer, d_vocab: int) -> int | None:
    """Return the id of BOS: the first one named below that lies within the vocabulary; None if none does.

    In order: tokenizer_config.json, config.json, generation_config.json, the token that the tokenizer itself puts
    before a text, a special token with a usual name, GPT-2's separator. Without a tokenizer, only config.json and
    generation_config.json count. Ids outside the vocabulary are skipped: a config may still hold the default of its
    family, which belongs to another vocabulary.
    """
    for i in _by_config(folder) if tokenizer is None else _named(folder, tokenizer):
        inside = type(i) is int and 0 <= i < d_vocab
        if inside and (tokenizer is None or tokenizer.id_to_token(i) is not None):
            return i
    return None


def _named(folder: Path, tokenizer) -> Iterator[Any]:
    token = _read(folder / "tokenizer_config.json").get("bos_token")
    token = token.get("content") if isinstance(token, dict) else token
    yield tokenizer.token_to_id(token) if isinstance(token, str) else None
    yield from _by_config(folder)
    yield _put_first(tokenizer)
    special = {name.lower(): i for i, name in special_tokens(tokenizer).items()}
    yield next((special[name] for name in BOS_NAMES if name in special), None)
    yield tokenizer.token_to_id(SEPARATOR_NAME)


def _by_config(folder: Path) -> Iterator[Any]:
    return (_read(folder / name).get("bos_token_id") for name in ("config.json", "generation_config.json"))


def _put_first(tokenizer) -> int | None:
    """Return the special token that the tokenizer puts before a text; None if it puts none."""
    try:
        bare, whole = (tokenizer.encode("a", add_special_tokens=add) for add in (False, True))
    except Exception:  # without an unknown token, a tokenizer cannot encode text outside its vocabulary
        return None
    before = len(whole.ids) > len(bare.ids) and whole.special_tokens_mask[0]
    return whole.ids[0] if before else None


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
