"""The formats in which dictionaries are saved: one module per format, found by name.

A format module offers `NAME`, `TITLE`, `score(place)`, `files(place)` and `read(place)`. It sees the
disk through a `Place` only, which refuses what may not be read. It may offer `said(place)` too: what its
config says of a dictionary, for lists, without the weights. A new format is one new file here.
"""

import importlib
import json
import pkgutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core.dictionaries.formats import elsewhere
from core.dictionaries.origin import Choice
from core.dictionaries.weights import check_numbers
from core.errors import BadDictionaryError, PathNotAllowedError, UnknownNameError

LARGEST_CONFIG = 4 * 2**20
"""Bytes; configs have a few kilobytes."""
WEIGHT_FILES = elsewhere.WEIGHT_FILES
_SHOWN = 12
NO, MAYBE, NAMES_FIT, ALL_FITS = range(4)
"""Answers of `score`: not this format; one of its files; all its files; all its files, and their content fits."""


@dataclass(frozen=True)
class Contents:
    """A dictionary as a format module hands it over, in our names and sae-lens' present layout."""

    raw: dict[str, Any]
    tensors: dict[str, np.ndarray]
    config_file: str
    """Which file the fields of `raw` are from, for messages."""
    inferred: tuple[str, ...] = ()
    """Facts that were inferred, not read, one phrase each."""
    stated: tuple[str, ...] = ()
    """The files' own words and how they were understood, one phrase each."""
    notes: tuple[str, ...] = ()
    """Warnings, one sentence or more each."""
    choices: tuple[Choice, ...] = ()
    """What else of the files can be looked at."""
    side_norms: np.ndarray | None = None
    """Of a crosscoder: the length of each decoder row on every side, (side, d_sae)."""
    hook_needed: bool = False
    """Whether files of this format always say their hook."""


@dataclass(frozen=True)
class Said:
    """What files say of a dictionary besides its weights; None is unsaid."""

    kind: str | None = None
    d_sae: int | None = None
    hook_name: str | None = None
    model_name: str | None = None
    k: int | None = None
    seed: int | None = None
    data: str | None = None


class Place:
    """A folder or a file that a person named, and the files around it that may be read.

    `check` raises PathNotAllowedError for a file that may not.
    """

    def __init__(
        self,
        path: Path,
        check: Callable[[Path], None] = lambda path: None,
        settings: Mapping[str, str | int | bool] | None = None,
    ):
        self.path = path
        self.settings = settings or {}
        """Settings that a person wrote behind the path. They override the files."""
        self.file = None if path.is_dir() else path.name
        self.folder = path if path.is_dir() else path.parent
        self._check = check

    def has(self, name: str) -> bool:
        """Whether the folder has this file. Reading it may still be refused."""
        with suppress(OSError):  # no permission, or a failing disk
            return self._at(name).is_file()
        return False

    def names(self, name: str) -> bool:
        """Whether this file is there and was meant: it was named itself, or its folder was."""
        return self.file in (None, name) and self.has(name)

    def may_read(self, name: str) -> bool:
        """Whether a file that could be left out is there and may be read."""
        with suppress(PathNotAllowedError):
            self._check(self._at(name))
            return self.has(name)
        return False

    def need(self, name: str) -> Path:
        """Return the path of a file; raise unless it is there and may be read."""
        self._check(self._at(name))
        if not self.has(name):
            raise BadDictionaryError(
                f"There is no {name} in {self.folder}. Expected it there; choose another folder, or copy it into this."
            )
        return self._at(name)

    def _at(self, name: str) -> Path:
        # One folder up, or down into the checkpoints of a run, is as far as a format may look.
        bare = name.removeprefix("../").removeprefix("checkpoints/")
        assert bare not in ("", "..") and "/" not in bare  # noqa: PT018
        return self.folder.parent / name[3:] if name.startswith("../") else self.folder / name

    def at(self, path: Path) -> "Place":
        """Return another place below this one, of which the same may be read."""
        return Place(path, self._check)

    def itself(self) -> Path:
        """Return the path of the file that was named; raise BadDictionaryError for a folder."""
        if self.file is None:
            raise BadDictionaryError(f"{self.path} is a folder. Expected a file of this format; name the file itself.")
        return self.need(self.file)

    def json(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file; raise BadDictionaryError if it holds none."""
        path = self.need(name)
        try:
            size = path.stat().st_size
            if size > LARGEST_CONFIG:
                raise BadDictionaryError(
                    f"{path} has {size:,} bytes, expected a config of at most {LARGEST_CONFIG:,}. "
                    "Check that it is the right file."
                )
            raw = json.loads(path.read_text(encoding="utf-8"))
            # Half characters (lone surrogates) can be neither shown nor hashed.
            json.dumps(raw, ensure_ascii=False).encode()
        except OSError as error:
            raise unreadable(path, error) from error
        except (ValueError, RecursionError) as error:
            raise BadDictionaryError(
                f"{path} is not valid JSON ({str(error)[:200]}). Expected the dictionary's config; save the dictionary "
                "again."
            ) from error
        if not isinstance(raw, dict):
            raise BadDictionaryError(
                f"{path} holds a JSON {type(raw).__name__}, expected an object with the dictionary's config. "
                "Save the dictionary again."
            )
        return raw

    def yaml(self, name: str) -> dict[str, Any]:
        """Return the plain mapping in a YAML file; raise BadDictionaryError if it holds none."""
        import yaml

        path = self.need(name)
        try:
            text = path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST_CONFIG else ""
            # Aliases can make a few bytes hold a billion values.
            plain = not any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text))
            raw = yaml.safe_load(text) if plain else None
        except OSError as error:
            raise unreadable(path, error) from error
        except (yaml.YAMLError, ValueError, RecursionError):
            raw = None
        if not isinstance(raw, dict):
            raise BadDictionaryError(
                f"{path} is no plain YAML mapping. Expected the dictionary's config without aliases; download it again."
            )
        return {str(key): value for key, value in raw.items()}

    def glance(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file, for a guess at its format; empty if it cannot be had."""
        with suppress(BadDictionaryError):
            return self.json(name) if self.may_read(name) else {}
        return {}


@cache
def formats() -> dict[str, ModuleType]:
    """Return the format modules of this package by name."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def choose(place: Place, name: str | None = None) -> tuple[ModuleType, tuple[str, ...]]:
    """Return the format of a place, or the one named, and the names of others that fit as well.

    Raises BadDictionaryError where none fits and UnknownNameError for an unknown name.
    """
    if name is not None and name not in formats():
        raise UnknownNameError("format", name, sorted(formats()))
    scores = {known: module.score(place) for known, module in formats().items()}
    best = max(scores, key=lambda known: (scores[known], known))
    if name is None and not scores[best]:
        raise nothing_found(place)
    chosen = name or best
    # A lone cfg.json fits many formats. Beside a format that has all its files, this needs no remark.
    others = [known for known, score in scores.items() if score > MAYBE and known != chosen]
    return formats()[chosen], tuple(others)


def inside(place: Place) -> list[Path]:
    """Return the folders and files below a folder that hold dictionaries, by name; links to folders are not followed.

    What lies in a dictionary's own folder belongs to it. The search ends after MOST_INSIDE dictionaries or folders.
    """
    found: list[Path] = []
    for folder, names in elsewhere.walk(place.folder):
        if any(above in found for above in folder.parents):
            continue
        if folder != place.folder and holds_one(place.at(folder)):
            found.append(folder)
            continue
        found += [folder / name for name in names if name.endswith(WEIGHT_FILES) and holds_one(place.at(folder / name))]
        if len(found) >= elsewhere.MOST_INSIDE:
            break
    return sorted(found[: elsewhere.MOST_INSIDE], key=elsewhere.by_number)


def holds_one(place: Place) -> bool:
    """Whether the files of a place are all that a format asks for."""
    with suppress(OSError):
        return max(module.score(place) for module in formats().values()) > MAYBE
    return False


def nothing_found(place: Place) -> BadDictionaryError:
    """Return the error for a place in no known format, with the files that could be named instead."""
    hint = elsewhere.tensors_in(place.path) if place.file else _hint(place)
    known = "; ".join(f"{name}: {module.TITLE}" for name, module in sorted(formats().items()))
    return BadDictionaryError(
        f"{place.path} holds no dictionary in a known format ({known}).{hint} "
        "Expected one of these; choose the folder that directly contains the files, or the file itself."
    )


def _hint(place: Place) -> str:
    there = [path.relative_to(place.folder).as_posix() for path in inside(place)]
    if not there or (len(there) == 1 and there[0].endswith(WEIGHT_FILES)):
        return elsewhere.hint(place.folder)
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    return f" It holds {len(there):,} of them ({', '.join(there[:_SHOWN])}{more}): write one of these names behind it."


def unreadable(path: Path, error: OSError) -> BadDictionaryError:
    """Return the error for a file that cannot be read."""
    return BadDictionaryError(
        f"{path} cannot be read ({error.strerror or type(error).__name__}). Expected a file that this app may read, on "
        "a disk that answers; check its rights and try again."
    )


def rename(
    arrays: Mapping[str, Any], names: Mapping[str, str], file: Path, *, spare: Collection[str] = ()
) -> dict[str, np.ndarray]:
    """Return arrays under our names; theirs with .T at the end are transposed.

    Raises BadDictionaryError, naming them, for missing arrays and for any besides these and the `spare` ones: they
    would change what is computed, in a way that nobody here knows of.
    """
    theirs = {ours: name.removesuffix(".T") for ours, name in names.items()}
    there = {str(name) for name, value in arrays.items() if isinstance(value, np.ndarray)}
    missing, odd = sorted(set(theirs.values()) - there), sorted(there - set(theirs.values()) - set(spare))
    if missing or odd:
        what = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has {', '.join(odd)[:200]} besides"] * bool(odd)
        raise BadDictionaryError(
            f"{file} {' and '.join(what)}; found {', '.join(sorted(there))[:300] or 'no arrays'}. "
            f"Expected {', '.join(sorted(theirs.values()))}; check that it is whole and goes with its config, or set "
            "the format."
        )
    for name in theirs.values():
        if not np.issubdtype(arrays[name].dtype, np.floating):
            check_numbers(name, arrays[name])
    return {
        ours: np.ascontiguousarray(arrays[theirs[ours]].T if name.endswith(".T") else arrays[theirs[ours]])
        for ours, name in names.items()
    }


def layout(
    architecture: str, tensors: Mapping[str, np.ndarray], file: Path, *, metadata: Mapping[str, Any], **fields: Any
) -> dict[str, Any]:
    """Return a config in sae-lens' present layout, with the sizes of the weights unless `fields` says others.

    Raises BadDictionaryError for weights without two axes.
    """
    shapes = [tensors[name].shape for name in ("W_enc", "W_dec")]
    if any(len(shape) != 2 or not all(shape) for shape in shapes):
        raise BadDictionaryError(
            f"The encoder and decoder in {file} have shapes {shapes[0]} and {shapes[1]}; expected two axes each, "
            "without a length of 0 (three are those of a crosscoder: set #format=crosscoder). Check that it is one "
            "dictionary."
        )
    (d_in, d_sae), d_out = shapes[0], shapes[1][1]
    said = {name: value for name, value in fields.items() if value is not None}
    hook = metadata.get("hook_name")
    raw = {
        "architecture": architecture,
        "d_in": d_in,
        "d_sae": d_sae,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if isinstance(hook, str) and hook.endswith("hook_z") else "none",
        "metadata": {name: value for name, value in metadata.items() if value is not None},
    }
    return raw | ({"d_out": d_out} if "transcoder" in architecture else {}) | said


def last_part(name: object) -> str | None:
    """Return a model's name as TransformerLens has it: without the organisation before it."""
    return name.rstrip("/").split("/")[-1] or None if isinstance(name, str) else None
