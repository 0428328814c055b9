"""A whole matching as one JSON file, sae-match/v1, which other programs and this one can read.

The fields: `version`; `a`, `b`: the dictionaries by content hash; `method`, `metric` (the similarity), `params`;
`columns` and `pairs`, one list for each pair; `unmatched_a`, `unmatched_b`, `left_out_a`, `left_out_b`: all other
features; `stats`, `null`: numbers of core/matching/numbers.py; `not_proven`: words for those of `stats` that rest on
pairs not proven to be the best, missing if there are none; `app`; `gap`: as in `Matching`, 0 if the pairs are
proven to be the best, missing in files of earlier versions. Cosines are float32 in their shortest form, so that a
reader gets the same numbers. A number without meaning is null.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.amounts import of_bytes
from core.characters import whole
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.installation import APP_VERSION
from core.matching.pairs import SIMILARITIES, Matching
from core.matching.proof import METHODS

VERSION = "sae-match/v1"
COLUMNS = ["a", "b", "score", "decoder", "encoder"]
MOST_BYTES = 64 * 2**20
"""About ten times the file of two dictionaries with 65,536 features."""
_LISTS = ("unmatched_a", "unmatched_b", "left_out_a", "left_out_b")
_OBJECTS = ("a", "b", "params", "stats", "null")


class MatchFileError(LoupeError):
    """A file is not a matching that this app can read."""

    def __init__(self, what: str):
        super().__init__(f"{what} Expected a file in {VERSION}, as this app exports it; export it again.")


@dataclass(frozen=True)
class MatchFile:
    """A matching and its origin. The mappings hold only values of JSON."""

    a: Mapping[str, Any]
    b: Mapping[str, Any]
    matching: Matching
    settings: Mapping[str, Any]
    stats: Mapping[str, Any]
    null: Mapping[str, Any]
    app: str
    not_proven: Mapping[str, Any] = field(default_factory=dict)
    """What `numbers.doubts` says of the numbers in `stats`."""


def match_file(
    a: Dictionary,
    b: Dictionary,
    matching: Matching,
    *,
    settings: Mapping[str, Any],
    stats: Mapping[str, Any],
    null: Mapping[str, Any],
    not_proven: Mapping[str, str] | None = None,
) -> MatchFile:
    """Put a matching together with its provenance, which names no date and no path of this machine."""
    numbers = dict(settings), dict(stats), dict(null)
    return MatchFile(_named(a), _named(b), matching, *numbers, f"SAE Loupe {APP_VERSION}", dict(not_proven or {}))


def to_json(file: MatchFile) -> bytes:
    """Write a matching; equal matchings give equal bytes. Raises ValueError for settings with NaN or infinity."""
    matching = file.matching
    ends = matching.a.tolist(), matching.b.tolist()
    cosines = matching.score, matching.decoder, matching.encoder
    content = {
        "version": VERSION,
        "app": file.app,
        "a": file.a,
        "b": file.b,
        "method": matching.method,
        "metric": matching.similarity,
        "params": {**file.settings, "k": matching.k},
        "stats": file.stats,
        "null": file.null,
        **({"not_proven": file.not_proven} if file.not_proven else {}),
        "gap": matching.gap if math.isfinite(matching.gap) else None,
        "columns": COLUMNS,
        "pairs": list(zip(*ends, *map(_shortest, cosines), strict=True)),
        **{name: getattr(matching, name).tolist() for name in _LISTS},
    }
    return (json.dumps(content, allow_nan=False) + "\n").encode("ascii")


def from_json(data: bytes) -> MatchFile:
    """Read a matching. Raises MatchFileError, which names the version or the part, for a file that is not whole."""
    content = _parsed(data)
    version = content.get("version")
    if version != VERSION:
        newer = isinstance(version, str) and version.startswith("sae-match/")
        hint = ", which another version of this app may read" if newer else ""
        raise MatchFileError(f"The file's version is {str(version)[:60]!r}{hint}.")
    for name in _OBJECTS:
        _require(isinstance(content.get(name), dict), f"{name} is no object")
    texts = {"app": content.get("app")} | {f"sha256 of {name}": content[name].get("sha256") for name in "ab"}
    for name, text in texts.items():
        _require(isinstance(text, str), f"{name} is no text")
    _require(content.get("columns") == COLUMNS, f"columns are not {', '.join(COLUMNS)}")
    settings = dict(content["params"])
    matching = _matching(content, settings.pop("k", None))
    not_proven = content.get("not_proven", {})
    _require(isinstance(not_proven, dict), "not_proven is no object")
    numbers = content["stats"], content["null"], content["app"], not_proven
    return MatchFile(content["a"], content["b"], matching, settings, *numbers)


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > MOST_BYTES:
        raise MatchFileError(f"The file has {of_bytes(len(data))}; at most {of_bytes(MOST_BYTES)} are read.")
    try:
        content = json.loads(data.decode("utf-8"), parse_constant=_finite, parse_float=_finite, object_hook=_showable)
    except (ValueError, RecursionError) as error:
        raise MatchFileError(f"The file is no JSON ({type(error).__name__}: {str(error)[:100]}).") from error
    if not isinstance(content, dict):
        raise MatchFileError(f"The file holds a {type(content).__name__}, not an object.")
    return content


def _showable(values: dict[str, Any]) -> dict[str, Any]:
    """Put U+FFFD for single surrogates, which JSON can hold but no table, export or page can show."""
    return {whole(name): whole(value) if isinstance(value, str) else value for name, value in values.items()}


def _matching(content: Mapping[str, Any], k: Any) -> Matching:
    """Check every part of the matching against the others."""
    _require(content.get("method") in list(METHODS), f"method is {str(content.get('method'))[:60]!r}")
    _require(content.get("metric") in list(SIMILARITIES), f"metric is {str(content.get('metric'))[:60]!r}")
    _require(_is_count(k) and k > 0, "params have no k of at least 1")
    pairs = content.get("pairs")
    whole = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == len(COLUMNS) for pair in pairs)
    _require(whole, f"pairs is no list of lists of {len(COLUMNS)}")
    columns = list(zip(*pairs, strict=True)) or [()] * len(COLUMNS)
    ends = {name: _features(columns[i], f"pairs, column {name}") for i, name in enumerate("ab")}
    lists = {name: _features(content.get(name), name) for name in _LISTS}
    sizes = {name: content[name].get("d_sae") for name in "ab"}
    for name, size in sizes.items():
        all_of_them = np.concatenate([ends[name], lists[f"unmatched_{name}"], lists[f"left_out_{name}"]])
        # Each feature must stand in exactly one list. This also limits d_sae by the size of the file.
        fits = _is_count(size) and size == len(all_of_them) and (np.sort(all_of_them) == np.arange(size)).all()
        _require(bool(fits), f"pairs, unmatched_{name} and left_out_{name} do not name each feature of {name} once")
    for name in _LISTS:
        _require(bool((np.diff(lists[name]) > 0).all()), f"{name} is not in order")
    _require(bool((np.diff(ends["a"]) > 0).all()), "pairs are not in order of a")
    cosines = {name: _cosines(columns[i], name) for i, name in enumerate(COLUMNS) if i > 1}
    left_out = {f"left_out_{name}": lists[f"left_out_{name}"] for name in "ab"}
    parts = ends | cosines | left_out | {"gap": _gap(content.get("gap"))}
    return Matching(content["metric"], content["method"], k, sizes["a"], sizes["b"], **parts)


def _gap(value: Any) -> float:
    if value is None:
        return math.nan
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300
    _require(good, "gap is no number of 0 or more")
    return float(value)


def _features(values: Any, name: str) -> np.ndarray:
    good = isinstance(values, list | tuple) and all(_is_count(value) and value < 2**31 for value in values)
    _require(good, f"{name} holds something that is no feature")
    return np.array(values, dtype=np.int32)


def _cosines(values: tuple[Any, ...], name: str) -> np.ndarray:
    # Rounding may bring the cosine of equal directions a little over 1.
    good = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) <= 1 + 1e-6 for v in values)
    _require(good, f"pairs, column {name}, holds something that is no cosine")
    return np.array(values, dtype=np.float32)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shortest(values: np.ndarray) -> list[float]:
    return [float(text) for text in values.astype(np.float32).astype(str)]


def _require(good: bool, what: str) -> None:
    if not good:
        raise MatchFileError(f"The file is not whole: {what}.")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:30]} is no number")
    return value


def _named(dictionary: Dictionary) -> dict[str, Any]:
    source, _, rest = dictionary.id.partition("/")
    # The path of a folder is private; the hash names its content.
    id = f"{source}/{rest.rpartition('/')[2]}" if source == "folder" else dictionary.id
    return {
        "id": id,
        "title": dictionary.title,
        "sha256": dictionary.sha256,
        "d_sae": dictionary.d_sae,
        "d_in": dictionary.d_in,
        "model_name": dictionary.config.model_name,
        "hook_name": dictionary.config.hook_name,
        "decoder_norms_folded": dictionary.folded,
        "labels": dictionary.origin.labels,
    }
