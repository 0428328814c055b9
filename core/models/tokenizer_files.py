"""What the files of a model folder say of its tokenizer: the tokenizer itself, and which token is BOS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError
from core.files.tensors import file_sha256

TOKENIZER_FILE = "tokenizer.json"
BOS_NAMES = ("<bos>", "<s>", "<|begin_of_text|>", "<|startoftext|>", "<|bos|>", "[bos]", "<sos>", "<|sos|>", "[sos]")
"""What tokenizers call a BOS token of its own, in lower case."""
SEPARATOR_NAME = "<|endoftext|>"
"""GPT-2's separator of documents, which is its BOS too."""


def read_tokenizer(folder: Path):
    """Return the `tokenizers.Tokenizer` of a folder, which reads all of a text and adds no padding.

    Files of sentence-transformers say where to cut and how far to pad; that is for batches of sentences.
    Raises BadDictionaryError where there is none that can be read.
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
    except Exception as error:  # tokenizers raises nothing more exact
        raise BadDictionaryError(
            f"{path} cannot be read ({str(error)[:200]}). Expected a file of the library tokenizers; export it "
            "with the model again."
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has one; models of board games, say, are trained on ids that are no text."""
    return (folder / TOKENIZER_FILE).is_file()


def ids_as_text(d_vocab: int):
    """Return a `tokenizers.Tokenizer` that writes ids as numbers, for showing what a model without one reads."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({str(i): i for i in range(d_vocab)}, unk_token="0"))


def tokenizer_sha256(folder: Path, d_vocab: int) -> str:
    """Return the content hash of the tokenizer's file; without one, what the ids are."""
    return file_sha256(folder / TOKENIZER_FILE) if has_tokenizer(folder) else f"{d_vocab} ids without tokenizer"


def special_tokens(tokenizer) -> dict[int, str]:
    """Return the tokens that a tokenizer marks as special, by id."""
    return {i: token.content for i, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def unknown_token(tokenizer) -> int | None:
    """Return the id that stands for text outside the vocabulary; None where the tokenizer has none."""
    if type(tokenizer.model).__name__ == "Unigram":  # which keeps the id to itself
        return json.loads(tokenizer.to_str())["model"].get("unk_id")
    named = tokenizer.model.unk_token
    return None if named is None else tokenizer.token_to_id(named)


def find_bos(folder: Path, tokenizer, d_vocab: int) -> int | None:
    """Return the id of BOS: the first that the files name, within the vocabulary. None where nothing names one.

    In order: tokenizer_config.json, config.json, generation_config.json, the token that the tokenizer itself puts
    before a text, a special token with a usual name. A config may hold its family's default, which is the id of
    another vocabulary; such an id is passed over. Without tokenizer the configs alone are asked.
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
    """Return the special token that the tokenizer puts before a text, where it puts one."""
    try:
        bare, whole = (tokenizer.encode("a", add_special_tokens=add) for add in (False, True))
    except Exception:  # a vocabulary without unknown token refuses what it does not have
        return None
    before = len(whole.ids) > len(bare.ids) and whole.special_tokens_mask[0]
    return whole.ids[0] if before else None


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
