"""A folder or file on this machine, in any format of core.dictionaries.formats: folder/PATH[#NAME=VALUE&...].

The settings behind the # override the files; SETTINGS lists their names.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.characters import whole
from core.dictionaries import prefix
from core.dictionaries.claims import architecture_word
from core.dictionaries.config import DictionaryConfig
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats import Contents, Place, choose, holds_one, unreadable
from core.dictionaries.formats import inside as dictionaries_inside
from core.dictionaries.formats.stored import unseen_turns
from core.dictionaries.hooks import norm_warning
from core.dictionaries.origin import UNKNOWN, Origin
from core.dictionaries.parsing import not_applied, parse_config
from core.dictionaries.sources import PARTS, Entry, check_open
from core.dictionaries.sources.folder_entries import dictionaries_at, labels_of, labels_when_open, said_by, titles
from core.dictionaries.weights import check_tensors
from core.errors import BadDictionaryError, PathNotAllowedError, UnknownNameError
from core.files.fields import short
from core.files.npz import unpacked_bytes
from core.files.stamps import stamp
from core.policy import ClosedInPublicError
from core.workspace import Workspace, located, split_tail

NAME = "folder"
TITLE = "Folder"
WHOLE_NUMBERS = ("context_size", "k", "hook_head_index", "layer", "target", "side", "level", "features")
_FROM_ZERO = ("hook_head_index", "layer", "target", "side")
FLAGS = ("prepend_bos", "apply_b_dec_to_input")
_OF_FILES = ("format", "dict_class", "hook_names", "model_names", *PARTS)
_OF_TOP = ("architecture", "k", "apply_b_dec_to_input", "normalize_activations")
SETTINGS = (
    *("format", "dict_class", "architecture", "normalize_activations", "apply_b_dec_to_input"),
    *("model_name", "hook_name", "hook_name_out", "hook_head_index", "context_size", "k", "prepend_bos"),
    *("hook_names", "model_names", *PARTS),
)
"""The settings behind a path, in the order of an id."""
_LONGEST_SETTING = 200
_WITH_K = {"standard": "topk", "transcoder": "topk_transcoder", "skip_transcoder": "topk_skip_transcoder"}
_EXAMPLES = {"model_name": "gpt2-small", "hook_name": "blocks.8.hook_resid_pre"}
_EXAMPLES |= {"model_names": "gemma-2-2b,gemma-2-2b-it", "hook_names": "blocks.13.hook_resid_post"}


@dataclass(frozen=True)
class Found:
    """What an id means on disk now."""

    id: str
    place: Place
    settings: Mapping[str, str]
    stamp: str
    """Changes when a file that would be read does."""
    nbytes: int
    """What the weights need in memory, about."""


def entries(workspace: Workspace) -> list[Entry]:
    """List the folders and files named on the command line, with what their configs and what follows the # say.

    A folder whose subfolders hold dictionaries stands for all of them.
    """
    keys = list(dict.fromkeys(workspace.offered or (str(located(path)) for path in workspace.pinned)))
    split = [(key, "") if Path(key).exists() else split_tail(key) for key in keys]
    each = dict.fromkeys((place, tail) for path, tail in split for place in dictionaries_at(Path(path)))
    names = titles([place for place, _ in each])
    return [_entry(*parts, name) for parts, name in zip(each, names, strict=True)]


def inside(key: str, workspace: Workspace) -> list[str]:
    """Return the names of the dictionaries below a folder that is none itself, none where it may not be read.

    Raises ClosedInPublicError in a public app.
    """
    try:
        place = _place(workspace.allowed_path(key), workspace)
    except PathNotAllowedError:
        return []
    if place.file or holds_one(place):
        return []
    return [path.relative_to(place.folder).as_posix() for path in dictionaries_inside(place)]


def _entry(path: Path, tail: str, title: str) -> Entry:
    settings = typed(dict(pair.split("=", 1) for pair in tail.split("&"))) if tail else {}
    said = said_by(path, settings)
    return Entry(
        id=f"{NAME}/{path}" + (f"#{tail}" if tail else ""),
        title=whole(f"{title}#{tail}" if tail else title),
        hook_name=said.hook_name,
        model_name=said.model_name,
        kind=said.kind,
        d_sae=said.d_sae,
        labels=labels_of(said, path),
    )


def open(key: str, workspace: Workspace, *, fold_decoder_norms: bool = True) -> Dictionary:
    """Open a folder or file that lies below an allowed root. Raises what `find` and `read_place` raise."""
    target = find(key, workspace)
    return read_place(
        target.place,
        id=target.id,
        title={entry.id: entry.title for entry in entries(workspace)}.get(target.id, whole(target.place.path.name)),
        settings=target.settings,
        fold_decoder_norms=fold_decoder_norms,
    )


def find(key: str, workspace: Workspace) -> Found:
    """Check that a key may be read and return what it means; read nothing large.

    Raises PathNotAllowedError, UnknownNameError for a setting or format, BadDictionaryError for files of no format.
    """
    check_open(f"{NAME}/{key}", workspace)
    path, settings = None, {}
    if "#" in key:
        with suppress(PathNotAllowedError, ClosedInPublicError):  # a folder may be called lr=1#seed=2
            path = _allowed(key, workspace)
    if path is None:
        text, settings = split_settings(key)
        path = _allowed(text, workspace)
    place = _place(path, workspace, settings)
    with readable(path):
        module, _ = choose(place, settings.get("format"))
        files = [place.need(name) for name in module.files(place)]
        nbytes = module.nbytes(place) if hasattr(module, "nbytes") else sum(map(_size, files))
        state = stamp(files)
    tail = "&".join(f"{name}={settings[name]}" for name in SETTINGS if name in settings)
    return Found(
        id=f"{NAME}/{path}" + (f"#{tail}" if tail else ""),
        place=place,
        settings=settings,
        stamp=state,
        nbytes=nbytes,
    )


def _allowed(text: str, workspace: Workspace) -> Path:
    """Return the path that a key names: any that is allowed, or one that a public app lists."""
    path = Path(text)
    listed = workspace.policy.public and path.is_absolute() and workspace.is_pinned(located(path)) and path.exists()
    return located(path) if listed else workspace.allowed_path(text)


def _size(file: Path) -> int:
    return unpacked_bytes(file) if file.suffix == ".npz" else file.stat().st_size


def _place(path: Path, workspace: Workspace, settings: Mapping[str, str] | None = None) -> Place:
    # What was named on the command line may link where it likes, and its format may look beside it.
    trusted = workspace.is_pinned(path)
    check = (lambda file: None) if trusted else (lambda file: workspace.check_files(file.parent, (file.name,)))
    return Place(path, check, settings=typed(settings or {}))


def split_settings(key: str) -> tuple[str, dict[str, str]]:
    """Split PATH#NAME=VALUE&NAME=VALUE; raise UnknownNameError for an unknown setting.

    A # that no setting follows belongs to the path.
    """
    path, tail = split_tail(key)
    if not tail:
        return key, {}
    settings = dict(pair.split("=", 1) for pair in tail.split("&"))
    for name in settings:
        if name not in SETTINGS:
            raise UnknownNameError("setting", name, SETTINGS)
    return path, settings


def typed(settings: Mapping[str, str]) -> dict[str, str | int | bool]:
    """Return settings with their types: numbers, switches, texts. Raises BadDictionaryError for a wrong value."""
    return {name: _value(name, text) for name, text in settings.items()}


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise BadDictionaryError if a file cannot be read: no permission, a failing disk, a name that is too long."""
    try:
        yield
    except OSError as error:
        raise unreadable(path, error) from error


def read_folder(
    path: Path,
    *,
    id: str,
    title: str,
    fold_decoder_norms: bool = True,
    origin: Origin = UNKNOWN,
) -> Dictionary:
    """Read a folder or file that may be read wherever its links lead (see read_place)."""
    return read_place(Place(path), id=id, title=title, fold_decoder_norms=fold_decoder_norms, origin=origin)


def read_place(
    place: Place,
    *,
    id: str,
    title: str,
    settings: Mapping[str, str] | None = None,
    fold_decoder_norms: bool = True,
    origin: Origin = UNKNOWN,
) -> Dictionary:
    """Find the format, read config and weights, check them, and return the dictionary.

    `origin` also says how the files were read. Raises BadDictionaryError if the files hold no dictionary.
    """
    settings = settings or {}
    place.settings = typed(settings)
    with readable(place.path):
        module, others = choose(place, settings.get("format"))
        contents: Contents = module.read(place)
    raw, tensors = overridden(contents.raw, settings, place), contents.tensors
    how = {"config_file": contents.config_file, "hook_needed": contents.hook_needed}
    config = whole = parse_config(raw, place.folder, **how)
    n = prefix.number_asked(whole, typed(settings), title)
    inferred, notes = contents.inferred + unseen_turns(tensors), contents.notes
    if n is not None:
        check_tensors(whole, tensors)
        raw, tensors = prefix.first_features(raw, tensors, whole, n)
        config, said = parse_config(raw, place.folder, **how), prefix.said_of(whole, n)
        inferred, notes = inferred + said[0], notes + said[1]
    if others:
        inferred += (f"format {module.NAME}, though {' and '.join(others)} would fit as well",)
    set_here = ", ".join(f"{name} {value}" for name, value in settings.items())
    return Dictionary(
        id=id,
        title=_titled(title, settings),
        config=config,
        raw_config=raw,
        tensors=tensors,
        side_norms=None if contents.side_norms is None else contents.side_norms[:, : config.d_sae],
        fold_decoder_norms=fold_decoder_norms,
        origin=replace(
            origin,
            labels=origin.labels or labels_when_open(place, module, config, raw),
            notes=notes + not_applied(raw) + unsaid(config) + translated(raw, config),
            format=module.NAME,
            stated=contents.stated,
            choices=contents.choices + prefix.choices(whole, n),
            inferred=inferred + ((f"set by hand: {set_here}",) if set_here else ()),
        ),
    )


def _titled(title: str, settings: Mapping[str, str]) -> str:
    """Tell a part of what files hold from the others by its title."""
    part = "&".join(f"{name}={settings[name]}" for name in PARTS if name in settings)
    return title if not part or part in title else f"{title}#{part}"


def overridden(raw: dict[str, Any], settings: Mapping[str, str], place: Place) -> dict[str, Any]:
    """Return a config with the settings made by hand; parsing it names values of a wrong type.

    Raises BadDictionaryError for a k of a dictionary that has none.
    """
    values = {name: value for name, value in typed(settings).items() if name not in _OF_FILES}
    if not values:
        return raw
    raw, said = dict(raw), str(raw.get("architecture"))
    if "k" in values and "k" not in raw and "architecture" not in values:
        if said not in _WITH_K:
            raise BadDictionaryError(
                f"{place.path} is a {said[:80]} dictionary, which has no k to be set to "
                f"{values['k']!s:.20}. Expected one only for TopK dictionaries; leave it out after the #."
            )
        raw["architecture"] = _WITH_K[said]
    raw |= {name: values.pop(name) for name in _OF_TOP if name in values}
    raw["architecture"] = architecture_word(str(raw["architecture"])) or raw["architecture"]
    metadata = raw.get("metadata")
    raw["metadata"] = (metadata if isinstance(metadata, dict) else {}) | values
    if "hook_name" in values:
        raw["metadata"].pop("hf_hook_name", None)
    return raw


def translated(raw: Mapping[str, Any], config: DictionaryConfig) -> tuple[str, ...]:
    """Return a warning if the hook's name was translated to the nearest hook, and that lies before a norm's weights."""
    metadata = raw.get("metadata")
    said = metadata.get("hook_name") if isinstance(metadata, Mapping) else None
    return norm_warning(config.hook_name) if said != config.hook_name else ()


def _value(name: str, text: str) -> str | int | bool:
    number = text.isascii() and text.isdecimal() and len(text) < 20
    if name in WHOLE_NUMBERS and number and (int(text) or name in _FROM_ZERO):
        return int(text)
    if name in FLAGS and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if name not in WHOLE_NUMBERS + FLAGS and text.isprintable() and len(text) <= _LONGEST_SETTING:
        return text
    expected = "a whole number from 0" if name in _FROM_ZERO else "a whole number from 1"
    if name not in WHOLE_NUMBERS:
        expected = "true or false" if name in FLAGS else "a short text"
    raise BadDictionaryError(f"What follows the # has {name} {short(text)}; expected {expected}. Correct it there.")


def unsaid(config: DictionaryConfig) -> tuple[str, ...]:
    """Return a note on facts about the model that the files lack."""
    lacking = config.unsaid
    if not lacking:
        return ()
    example = "&".join(f"{name}={_EXAMPLES[name]}" for name in lacking)
    return (
        f"The files do not say {' and '.join(lacking)}. Pages that read the weights alone need neither. For all other "
        f"pages, write them after the path, such as #{example}",
    )
