"""The usual hooks of a model and their widths, kept: a page about weights need not import torch to know them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version as installed
from typing import ClassVar

import numpy as np
from jaxtyping import Int

from core.models.architecture import Architecture
from core.models.places import Places
from core.work.artifacts import ArtifactStore, artifact_key


@dataclass(frozen=True)
class HookTable:
    """What a config says of all layers."""

    names: tuple[str, ...]
    widths: Int[np.ndarray, " hook"]
    version: ClassVar[int] = 2

    @classmethod
    def key(cls, config_json: str, n_layers: int) -> str:
        # The files may decide the number of layers, where a config contradicts itself.
        libraries = " ".join(installed(name) for name in ("transformers", "transformer-lens"))
        config = hashlib.sha256(config_json.encode()).hexdigest()
        return artifact_key("hook-table", cls.version, config=config, layers=n_layers, libraries=libraries)

    @cached_property
    def by_name(self) -> dict[str, int]:
        return dict(zip(self.names, self.widths.tolist(), strict=True))


def hook_table(
    config_json: str, n_layers: int, architecture: Callable[[], Architecture], store: ArtifactStore | None = None
) -> HookTable:
    """Return what is kept for a config in Hugging Face's layout, or find it out, for which torch is imported."""

    def find() -> HookTable:
        places = Places(architecture())
        names = [name for layer in range(places.n_layers) for name in places.points(layer)]
        names += places.around()
        return HookTable(tuple(names), np.array([places.get(name).width for name in names], np.int64))

    return store.cached(HookTable, HookTable.key(config_json, n_layers), find) if store is not None else find()
