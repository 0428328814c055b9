"""Dictionaries, models and texts of a sweep, opened once in each process and held while there is room."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from filelock import FileLock

from core.corpus.chosen import ChosenTokens, chosen_sample, chosen_tokens
from core.corpus.samples import SampleSettings, TextSample
from core.devices.device import CPU, Device
from core.dictionaries.config import DictionaryConfig, check_said
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import download, open_dictionary
from core.errors import NotDownloadedError
from core.models import downloads
from core.models.language_model import LanguageModel
from core.models.search import check_fit, find_model
from core.models.side_by_side import read_by
from core.sweeps.analyses import Subject
from core.work.artifacts import ArtifactStore
from core.work.memory import Loaded, free_memory
from core.work.progress import SILENT, Progress
from core.workspace import Workspace

T = TypeVar("T")


@dataclass
class Opened:
    """What tasks work on, by id."""

    workspace: Workspace
    store: ArtifactStore
    device: Device = CPU
    may_download: bool = False
    held: Loaded = field(default_factory=lambda: Loaded(max(1, free_memory() // 2)))

    def subject(self, id: str, text: SampleSettings | None = None, other: str | None = None) -> Subject:
        """Open a dictionary for an analysis, and a second one for a pair. Raises LoupeError."""
        dictionary = self.dictionary(id)
        return Subject(
            dictionary=dictionary,
            store=self.store,
            device=self.device,
            open_model=lambda: self.model(dictionary),
            sample_of=lambda settings: self.sample(dictionary, settings),
            text=text,
            other=self.dictionary(other) if other else None,
        )

    def dictionary(self, id: str) -> Dictionary:
        """Open a dictionary as the app does; download it first if that is allowed."""

        def read() -> Dictionary:
            return self._here(lambda: open_dictionary(id, self.workspace), lambda: download(id))

        return self.held.get(f"dictionary {id}", read, name=id)

    def model(self, dictionary: Dictionary) -> LanguageModel:
        """Open the model that a dictionary reads, and check that the two fit."""
        config = dictionary.config
        check_said(config, dictionary.title)
        model = read_by(config, lambda name: self._model(name, config))
        check_fit(config, model)
        return model

    def _model(self, name: str, config: DictionaryConfig) -> LanguageModel:
        alone, centred = None if config.read_models else config, config.center_writing_weights

        def read() -> LanguageModel:
            def find() -> LanguageModel:
                return find_model(name, self.workspace, centred=centred, config=alone)

            return self._here(find, lambda: downloads.download(name))

        key = f"model {name} {centred} {alone.hooks_in if alone else ''}"
        return self.held.get(key, read, name=f"The model {name}")

    def sample(self, dictionary: Dictionary, settings: SampleSettings, progress: Progress = SILENT) -> TextSample:
        """Return the rows that settings mean for a dictionary."""
        model = self.model(dictionary)
        key = f"text {settings.source} {settings.name} {settings.megabytes} {model.tokenizer_sha256} {model.separator}"

        def read() -> ChosenTokens:
            return chosen_tokens(settings, model, self.store, progress)

        text = self.held.get(key, read, name="The text")
        return chosen_sample(settings, text, dictionary.config, model)

    def _here(self, find: Callable[[], T], fetch: Callable[[], object]) -> T:
        try:
            return find()
        except NotDownloadedError:
            if not self.may_download:
                raise
        self.workspace.cache.mkdir(parents=True, exist_ok=True)
        with FileLock(self.workspace.cache / "download.lock"):  # once for all processes of a machine
            try:
                return find()
            except NotDownloadedError:
                fetch()
        return find()
