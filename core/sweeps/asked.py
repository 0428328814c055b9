"""sweep.toml: what a person asks for, read and checked before anything starts."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from core.corpus.samples import DATASET, FILES, LIBRARY, SampleSettings
from core.devices.device import CPU
from core.errors import SweepError, UnknownNameError
from core.matching.matrix import FACTORS
from core.sweeps.analyses import ANALYSES

MOST_BYTES = 2**20
_TEXT = {"source", "name", *(field.name for field in fields(SampleSettings))} - {"n_rows"} | {"rows"}


@dataclass(frozen=True)
class Series:
    """Dictionaries that differ from one in a single factor."""

    of: str
    by: str


@dataclass(frozen=True)
class Asked:
    """A sweep as its file says it, with absolute paths."""

    name: str
    dictionaries: tuple[str, ...]
    """Patterns over ids, and paths, which may be patterns too and have settings behind a #."""
    analyses: tuple[str, ...]
    series: tuple[Series, ...] = ()
    texts: tuple[SampleSettings, ...] = (SampleSettings(),)
    models: tuple[Path, ...] = ()
    """Folders of models that are not among the downloads."""
    device: str = CPU.setting
    """cpu, cuda, cuda:N or mps: where large work runs. It is part of the names of results."""
    card: str = ""
    """The driver's name of that device, where the plan is made on a machine without one."""
    dtype: str = "own"
    tokens_per_task: int = 5_000_000
    """A longer token pass is cut into parts of about this size."""
    together_gb: int = 16
    """One run of a model feeds as many dictionaries as have weights of so many GB together; 0: each runs it alone."""
    download: bool = False
    """Whether workers may download dictionaries and models that are not there."""
    store: str = ""
    """Where results go; empty for the app's own folder."""


def read_asked(path: Path) -> Asked:
    """Read a sweep.toml. Relative paths start at its folder. Raises SweepError, UnknownNameError."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SweepError(f"{path} is larger than 1 MB. Expected a sweep.toml; see docs/scale.md.")
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SweepError(f"{path} cannot be read ({error.strerror}). Expected a sweep.toml; check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SweepError(f"{path} is no TOML: {error}. Expected a file as in docs/scale.md; correct it.") from error
    return parse_asked(said, path.resolve().parent, path.stem)


def parse_asked(said: Mapping[str, Any], folder: Path, name: str) -> Asked:
    """Check what a file says. Raises SweepError and UnknownNameError that name the entry."""
    known = [field.name for field in fields(Asked) if field.name != "texts"] + ["text"]
    for entry in said:
        if entry not in known:
            raise UnknownNameError("entry of sweep.toml", entry, known)
    analyses = _names(said, "analyses")
    for analysis in analyses:
        if analysis not in ANALYSES:
            raise UnknownNameError("analysis", analysis, list(ANALYSES))
    patterns, series = _names(said, "dictionaries", needed=False), tuple(map(_series, _tables(said, "series")))
    if not patterns and not series:
        raise SweepError(
            "sweep.toml names no dictionaries. Expected `dictionaries`, a list such as "
            '["demo/layer*-standard-2048"], or a [[series]]; add one.'
        )
    texts = tuple(_text(one, folder) for one in _tables(said, "text"))
    return Asked(
        name=_one(said, "name", str, name),
        dictionaries=tuple(_located(pattern, folder) for pattern in patterns),
        analyses=tuple(dict.fromkeys(analyses)),
        series=series,
        texts=texts or (SampleSettings(),),
        models=tuple((folder / Path(model).expanduser()).resolve() for model in _names(said, "models", needed=False)),
        device=_one(said, "device", str, CPU.setting),
        card=_one(said, "card", str, ""),
        dtype=_one(said, "dtype", str, "own"),
        tokens_per_task=_one(said, "tokens_per_task", int, Asked.tokens_per_task),
        together_gb=_one(said, "together_gb", int, Asked.together_gb, least=0),
        download=_one(said, "download", bool, False),
        store=_one(said, "store", str, ""),
    )


def _located(pattern: str, folder: Path) -> str:
    """Make a path absolute; leave the pattern of an id as it is."""
    path = pattern.removeprefix("folder/")
    if path != pattern or pattern.startswith((".", "/", "~")):
        return f"folder/{folder / Path(path).expanduser()}"
    return pattern


def _series(said: Mapping[str, Any]) -> Series:
    for entry in said:
        if entry not in ("of", "by"):
            raise UnknownNameError("entry of [[series]]", entry, ["of", "by"])
    series = Series(_one(said, "of", str, ""), _one(said, "by", str, ""))
    if series.by not in FACTORS:
        raise UnknownNameError("factor of a series", series.by, FACTORS)
    return series


def _text(said: Mapping[str, Any], folder: Path) -> SampleSettings:
    for entry in said:
        if entry not in _TEXT:
            raise UnknownNameError("entry of [[text]]", entry, sorted(_TEXT))
    source, name = _one(said, "source", str, LIBRARY), _one(said, "name", str, "")
    if source not in (LIBRARY, FILES, DATASET):
        raise UnknownNameError("source of text", source, [LIBRARY, FILES, DATASET])
    if source == FILES:
        name = str((folder / Path(name).expanduser()).resolve())
        if not Path(name).exists():
            raise SweepError(f"There is no text at {name}. Expected a file or folder; check `name` under [[text]].")
    usual = SampleSettings()
    return SampleSettings(
        source=source,
        name=name,
        n_rows=_one(said, "rows", int, usual.n_rows),
        context=_one(said, "context", int, None),
        bos=_one(said, "bos", bool, None),
        seed=_one(said, "seed", int, usual.seed, least=0),
        special=_one(said, "special", bool, usual.special),
        megabytes=_one(said, "megabytes", int, usual.megabytes),
    )


def _one(said: Mapping[str, Any], name: str, kind: type, default: Any, *, least: int = 1) -> Any:
    """Return one value of a type; whole numbers are at least `least`."""
    value = said.get(name, default)
    if value is default or (type(value) is kind and (kind is not int or value >= least)):
        return value
    expected = {str: "a text", bool: "true or false", int: f"a whole number from {least}"}[kind]
    raise SweepError(f"sweep.toml says {name} = {str(value)[:80]!r}; expected {expected}. Correct it.")


def _names(said: Mapping[str, Any], name: str, *, needed: bool = True) -> tuple[str, ...]:
    value = said.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise SweepError(f"sweep.toml says {name} = {str(value)[:80]!r}; expected a list of texts. Correct it.")
    if needed and not value:
        raise SweepError(f"sweep.toml names no {name}. Expected a list such as {name} = {_EXAMPLES[name]}; add it.")
    return tuple(one.strip() for one in value)


def _tables(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = said.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise SweepError(f"sweep.toml says {name} = {str(value)[:80]!r}; expected tables under [[{name}]]. Correct it.")
    return value


_EXAMPLES = {"analyses": '["activations", "logit_weights"]'}
