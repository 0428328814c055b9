"""The analyses that a sweep can do: which results each one is made of, by the names that the pages use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from core.activations.quantiles import wanted_quantiles
from core.activations.statistics import ActivationStatistics
from core.activations.store import on_device
from core.activations.token_pass import activation_pass, open_store, pass_device
from core.corpus.samples import SampleSettings, TextSample, along_positions, check_length
from core.corpus.streams import rows_sha256
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import directions
from core.geometry.study import wanted_neighbors
from core.logit_weights.study import wanted_logits
from core.logit_weights.unembedding import LogitSettings
from core.matching.matrix import wanted_pair
from core.maths.degenerate import degenerate
from core.models.language_model import LanguageModel
from core.models.search import check_fit, check_hooks
from core.positions.methods import choose_method, usual_positions, wanted_positions
from core.positions.statistics import PositionSettings
from core.work.artifacts import ArtifactStore
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted

Reads = Literal["weights", "model", "text", "pair"]
POSITION_ROWS = 256


@dataclass(frozen=True, eq=False)
class Subject:
    """What a task works on. Nothing is opened before an analysis asks for it."""

    dictionary: Dictionary
    store: ArtifactStore
    device: Device = CPU
    """The chosen device; each analysis decides whether its work is worth it."""
    open_model: Callable[[], LanguageModel] | None = None
    sample_of: Callable[[SampleSettings], TextSample] | None = None
    text: SampleSettings | None = None
    other: Dictionary | None = None

    @cached_property
    def model(self) -> LanguageModel:
        assert self.open_model
        return self.open_model()

    @cached_property
    def sample(self) -> TextSample:
        assert self.sample_of
        assert self.text
        return self.sample_of(self.text)


@dataclass(frozen=True)
class Analysis:
    """One kind of task."""

    title: str
    page: str
    """The file name of the page that reads its results first."""
    reads: Reads
    wanted: Callable[[Subject], list[Wanted]]
    """The results, in the order in which they are made."""


def _activations(subject: Subject) -> list[Wanted]:
    dictionary, model, sample = subject.dictionary, subject.model, subject.sample
    check_hooks(dictionary, model)
    device = pass_device(dictionary, sample.rows, subject.device)
    how = {"left_out": sample.left_out, "device": device}
    rows = rows_sha256(sample.rows)
    key = ActivationStatistics.key(dictionary.sha256, model.sha256, rows, **how)

    def work(progress: Progress) -> ActivationStatistics:
        return activation_pass(dictionary, model, sample.rows, subject.store, progress=progress, **how)

    statistics = Wanted(ActivationStatistics, key, f"Token pass of {dictionary.title}", work)
    store = open_store(dictionary, model, sample.rows, subject.store, **how)
    hashes = dictionary.sha256, on_device(model.sha256, device), rows
    # By the pass, also where its statistics are stored: quantiles need its blocks, and it makes those that are lost.
    return [statistics, wanted_quantiles(store, lambda: work(SILENT), hashes)]


def _logit_weights(subject: Subject) -> list[Wanted]:
    return [wanted_logits(subject.dictionary, subject.model, LogitSettings(), subject.device)]


def _neighbors(subject: Subject) -> list[Wanted]:
    found = [wanted_neighbors(subject.dictionary, device=subject.device)]
    if len(degenerate(directions(subject.dictionary, "decoder")).copies.row):
        found.append(wanted_neighbors(subject.dictionary, copies=False, device=subject.device))
    return found


def _positions(subject: Subject) -> list[Wanted]:
    """Over as many positions as its page shows first, and over all that the model has."""
    dictionary, model = subject.dictionary, subject.model
    check_fit(dictionary.config, model)
    first = usual_positions(dictionary.config, model)
    return [_over(subject, n_pos) for n_pos in dict.fromkeys((first, model.n_ctx))]


def _over(subject: Subject, n_pos: int) -> Wanted:
    settings, rows = PositionSettings(n_pos=n_pos), None
    if choose_method(subject.dictionary, subject.model, settings)[0] == "corpus":
        assert subject.sample_of
        assert subject.text
        sample = subject.sample_of(along_positions(subject.text, n_pos, POSITION_ROWS))
        check_length(sample, n_pos)
        rows = sample.rows
    return wanted_positions(subject.dictionary, subject.model, settings, rows, subject.device)


def _matching(subject: Subject) -> list[Wanted]:
    assert subject.other
    return [wanted_pair(subject.dictionary, subject.other)]


ANALYSES = {
    "activations": Analysis("Activations on text", "activations", "text", _activations),
    "positions": Analysis("Position and token", "positions", "text", _positions),
    "logit_weights": Analysis("Logit weights", "logit_weights", "model", _logit_weights),
    "neighbors": Analysis("Neighbours", "geometry", "weights", _neighbors),
    "matching": Analysis("Pairs of dictionaries", "splitting", "pair", _matching),
}
"""By the name in sweep.toml."""
