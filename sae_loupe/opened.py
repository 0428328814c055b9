"""A dictionary that is open in a notebook, with its model, the store of results, and where to compute."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from core.devices import device as devices
from core.devices.device import Device
from core.dictionaries.config import check_said
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.models.embeddings import TRAINED
from core.models.language_model import LanguageModel
from core.models.search import DEMO, check_fit, find_model, offer_others
from core.models.side_by_side import SideBySide
from core.work.artifacts import ArtifactStore
from core.work.wanted import Wanted
from core.workspace import Workspace
from sae_loupe.words import in_words

T = TypeVar("T")


class Opened:
    """What analyses share. Results come from memory, else from the app's cache, else they are computed and kept."""

    def __init__(
        self, dictionary: Dictionary, *, model: Path | None = None, device: str = "auto", cache: Path | None = None
    ):
        models = (*((Path(model).expanduser().resolve(),) if model else ()), DEMO)
        kept = {"cache": Path(cache).expanduser().resolve()} if cache else {}
        self.dictionary = dictionary
        self.workspace = Workspace(models=models, device=device, **kept)
        self.store = ArtifactStore(self.workspace.cache)
        self._held: dict[str, Any] = {}

    @cached_property
    @in_words
    def model(self) -> LanguageModel:
        """The language model that the dictionary reads. Raises a LoupeError where it is not here, or does not fit."""
        config = self.dictionary.config
        try:
            check_said(config, self.dictionary.title)
            # Of several models that are read together none is found by what fits, as each would.
            how = {"centred": config.center_writing_weights, "wpe": TRAINED}
            alone = None if config.read_models else config
            names = config.read_models or (config.model_name or "",)
            models = [find_model(name, self.workspace, config=alone, **how) for name in names]
        except LoupeError as error:
            offer_others(error, self.dictionary, self.workspace)
            raise
        model = models[0] if len(models) == 1 else SideBySide(models, config.side or 0)
        check_fit(config, model)
        return model

    def device(self, multiply_adds: int | None = None) -> Device:
        """Return where to compute, or where work of this size is best computed."""
        device = devices.chosen(self.workspace.device)
        return device if multiply_adds is None else device.for_work(multiply_adds)

    def wanted(self, result: Wanted[T]) -> T:
        """Return what is kept of a result that pages and sweeps name alike, or compute and keep it."""
        return self.held(result.key, lambda: result.get(self.store))

    def result(self, cls: type[T], key: str, work: Callable[[], T]) -> T:
        """Return what is kept under a key, or compute and keep it."""
        return self.held(key, lambda: self.store.cached(cls, key, work))

    def held(self, key: str, make: Callable[[], T]) -> T:
        """Return what was made under a key before, as long as this dictionary is open."""
        if key not in self._held:
            self._held[key] = make()
        return self._held[key]
