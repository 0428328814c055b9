"""The tokenizer of a model folder, and which of its tokens is BOS.

The folder holds the file of the library tokenizers, or older files that transformers can make it of.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError
from core.files.tensors import file_sha256

TOKENIZER_FILE = "tokenizer.json"
MADE_OF = (
    ("vocab.json", "merges.txt"),
    ("tokenizer.model",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("vocab.txt",),
)
"""Sets of files, of which one is enough to make a tokenizer without tokenizer.json."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json")
"""What may stand beside them, and says how the tokenizer is made and which token is BOS."""
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
            f"{folder} has no {TOKENIZER_FILE}{why_not(folder)}. Expected one; export it with the model. Without it "
            "the model reads no text, only files of token ids."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_str(_made(folder)[0])
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
    return (folder / TOKENIZER_FILE).is_file() or bool(_made(folder)[0])


def why_not(folder: Path) -> str:
    """Say why no tokenizer can be made of the files of a folder; empty if it has none to make it of."""
    reason = _made(folder)[1]
    return f", and none can be made of its {' and '.join(_sources(folder))} ({reason})" if reason else ""


def _sources(folder: Path) -> tuple[str, ...]:
    whole = (names for names in MADE_OF if all((folder / name).is_file() for name in names))
    return next(whole, ())


def _made(folder: Path) -> tuple[str, str]:
    """Return a tokenizer made of older files, as JSON, and else the reason why there is none; both may be empty."""
    sources = _sources(folder)
    if not sources or (folder / TOKENIZER_FILE).is_file():
        return "", ""
    files = [folder / name for name in (*sources, *SETTINGS, "config.json") if (folder / name).is_file()]
    return _make(folder, tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=8)
def _make(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> tuple[str, str]:
    # `stamps` tells changed files.
    from core.work.torch_library import import_model_library

    import_model_library()
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = found.backend_tokenizer
        _check_ids(folder, tokenizer)
    except Exception as error:  # transformers raises whatever the files make it stumble over
        return "", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return tokenizer.to_str(), ""


def _check_ids(folder: Path, tokenizer) -> None:
    """Raise ValueError for a tokenizer whose ids are not those of vocab.json: a class may ignore the file."""
    path = folder / "vocab.json"
    for token, i in (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}).items():
        if tokenizer.token_to_id(token) != i:
            raise ValueError(f"{token[:40]!r} is {tokenizer.token_to_id(token)} and not {i}, as in vocab.json")


def ids_as_text(d_vocab: int):
    """Return a `tokenizers.Tokenizer` that writes ids as numbers, for a model that has no tokenizer."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({str(i): i for i in range(d_vocab)}, unk_token="0"))


def tokenizer_sha256(folder: Path, d_vocab: int) -> str:
    """Return the content hash of the tokenizer's file, or of what was made; without either, a name for plain ids."""
    if (folder / TOKENIZER_FILE).is_file():
        return file_sha256(folder / TOKENIZER_FILE)
    made = _made(folder)[0]
    return hashlib.sha256(made.encode()).hexdigest() if made else f"{d_vocab} ids without tokenizer"


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
