"""sae-lens' registry of pretrained dictionaries: read without importing sae-lens, and searched.

Values that the list lacks are None here: sae-lens itself fills in an L0 of 0.0 and a variance explained
of 1.00. Architecture and hook are known only from a dictionary's own config.
"""

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from core.errors import BadDictionaryError, UnknownNameError

LIST_FILE = "pretrained_saes.yaml"
_KINDS = (
    ("transcoder", r"transcoder|clt"),
    # Gemma Scope's attn_out is the place before the output projection.
    ("hook_z", r"hook[-_]z|gemma-scope.*[-_]att(n|-|\b)"),
    ("attn_out", r"attn[-_]out|l\d+a_"),
    ("mlp_out", r"mlp[-_]out|[-_]mlp[-_/]|-mlp\b|l\d+m_"),
    ("resid_mid", r"resid[-_]mid"),
    ("resid_pre", r"resid[-_]pre"),
    ("embed", r"embed"),
    ("resid_post", r"resid[-_]post|[-_]res([-_/]|\b)|l\d+r_|qwen-scope|goodfire|qresearch"),
)
_WIDTH = re.compile(
    r"width[-_](\d+pow\d+|\d+[km]?)|(?<![a-z0-9])(?<!math-)w?-?(\d+k)(?![a-z0-9])|[-_](\d+x)(?![a-z0-9])"
    r"|(?<!step)_([1-9]\d{2,5})(?![a-z0-9])|_ds(\d+)"
)


@dataclass(frozen=True)
class RegistryItem:
    """One dictionary of the registry."""

    release: str
    sae_id: str
    model: str
    repository: str
    path: str
    """Folder or file in the repository."""
    conversion: str | None
    """Name of sae-lens' function that reads the format; None is sae-lens' own format."""
    l0: float | None
    variance_explained: float | None
    neuronpedia: str | None
    norm_scaling_factor: float | None = None

    @property
    def id(self) -> str:
        return f"registry/{self.release}/{self.sae_id}"

    @property
    def hook_kind(self) -> str:
        """resid_post, mlp_out, transcoder, ..., from the names; '' if they do not say."""
        names = f"{self.release} {self.sae_id} {self.path}".lower()
        return next((kind for kind, pattern in _KINDS if re.search(pattern, names)), "")

    @property
    def width(self) -> str:
        """The number of features as the names write it, such as 16k, 2pow12 or 32x; '' if they do not say."""
        for name in (self.sae_id, self.path, self.release, self.repository):
            match = _WIDTH.search(name.lower())
            if match:
                return next(group for group in match.groups() if group)
        return ""


@dataclass(frozen=True)
class Found:
    """The first items of a search, in the order of the registry, and how many there are in all."""

    items: tuple[RegistryItem, ...]
    total: int


class RegistryIndex:
    """All items, and one lower-case line of text for each to search in."""

    def __init__(self, releases: Mapping[str, Any]):
        self.items: tuple[RegistryItem, ...] = tuple(_items(releases))
        self._by_id = {item.id: item for item in self.items}
        self._lines = tuple(_line(item) for item in self.items)

    @cached_property
    def models(self) -> tuple[str, ...]:
        return tuple(sorted({item.model for item in self.items}))

    def get(self, release: str, sae_id: str) -> RegistryItem:
        """Return one item, or raise UnknownNameError with names that are close."""
        id = f"registry/{release}/{sae_id}"
        if id not in self._by_id:
            of_release = [key for key in self._by_id if key.startswith(f"registry/{release}/")]
            raise UnknownNameError("dictionary in the registry", id, of_release or list(self._by_id))
        return self._by_id[id]

    def parse(self, key: str) -> RegistryItem:
        """Return the item of RELEASE/SAE_ID; ids of dictionaries may hold slashes, names of releases do not."""
        release, _, sae_id = key.partition("/")
        return self.get(release, sae_id)

    def search(self, text: str, *, limit: int = 200) -> Found:
        """Return the items in whose names all words of `text` occur, in any order and case."""
        words = text.lower().split()
        hits = [i for i, line in enumerate(self._lines) if all(word in line for word in words)]
        return Found(tuple(self.items[i] for i in hits[:limit]), len(hits))


def list_path() -> Path | None:
    """Return where sae-lens keeps its list; None when it is not installed."""
    spec = importlib.util.find_spec("sae_lens")  # does not import it
    folder = spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else None
    return Path(folder, LIST_FILE) if folder else None


@cache
def registry() -> RegistryIndex:
    """Return the index of the installed sae-lens' registry; the first call parses 1.5 MB in about half a second.

    Raises BadDictionaryError where sae-lens is not installed, or its list cannot be read.
    """
    path = list_path()
    if path is None or not path.is_file():
        raise BadDictionaryError(
            f"There is no {LIST_FILE} (looked in {path}). Expected it in the sae-lens package; install sae-lens again."
        )
    return read_registry(path)


def read_registry(path: Path) -> RegistryIndex:
    """Read a list of the registry; raise BadDictionaryError if it cannot be read as one."""
    import yaml

    # The C loader is five times faster, but PyYAML can be built without it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        with open(path, encoding="utf-8") as file:
            releases = yaml.load(file, Loader=loader)
        if not isinstance(releases, dict):
            raise TypeError(f"{type(releases).__name__} instead of a mapping")
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise BadDictionaryError(
            f"{path} is no list of dictionaries ({str(error)[:200]}). Expected the one that comes with sae-lens; "
            "install it again."
        ) from error
    return RegistryIndex(releases)


def _items(releases: Mapping[str, Any]):
    """Yield the entries that can be read; malformed ones are left out."""
    for release, value in releases.items():
        head = value if isinstance(value, dict) else {}
        listed = head.get("saes") if isinstance(head.get("saes"), list) else []
        for sae in listed:
            if not (isinstance(head.get("repo_id"), str) and isinstance(sae, dict)) or not {"id", "path"} <= set(sae):
                continue
            yield RegistryItem(
                release=str(release),
                sae_id=str(sae["id"]),
                model=str(head.get("model", "")),
                repository=head["repo_id"],
                path=str(sae["path"]),
                conversion=head.get("conversion_func"),
                l0=_number(sae.get("l0"), unknown=0.0),
                variance_explained=_number(sae.get("variance_explained"), unknown=1.0),
                neuronpedia=sae.get("neuronpedia") if isinstance(sae.get("neuronpedia"), str) else None,
                norm_scaling_factor=_number(sae.get("norm_scaling_factor"), unknown=None),
            )


def _number(value: object, *, unknown: float | None) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value == unknown:
        return None
    return float(value)


def _line(item: RegistryItem) -> str:
    parts = (item.release, item.sae_id, item.model, item.hook_kind, item.width, item.repository, item.path)
    return " ".join(parts).lower()
