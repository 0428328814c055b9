"""The one place where Streamlit's caches meet core.

Cached functions take ids and numbers and look the objects up inside. Weights and results are shared
between sessions and never changed; anything over a second runs as a job.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import numpy as np
import streamlit as st

from core.activations import reconstruction
from core.activations.reconstruction import ErrorByPosition
from core.corpus.streams import TokenStream, rows_sha256, sample_rows, standard_library_sha256, standard_library_stream
from core.dictionaries.config import check_said
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import entries, open_dictionary, sources
from core.models.downloads import local_folder
from core.models.language_model import TRAINED, LanguageModel
from core.models.search import check_fit, find_model
from core.positions import grids as feature_grids
from core.positions import units
from core.positions.methods import choose_method, position_statistics
from core.positions.statistics import PositionSettings, PositionStatistics
from core.positions.study import Study
from core.positions.units import UnitCurves
from core.work.artifacts import ArtifactStore
from core.work.jobs import Jobs, Progress
from core.work.memory import Loaded, free_memory
from core.work.torch_library import import_model_library
from core.workspace import Workspace, parse_arguments
from ui.shared import progress as job_view
from ui.shared.errors import NotStoredError

T = TypeVar("T")
_only_stored: ContextVar[bool] = ContextVar("only_stored", default=False)


@st.cache_resource(show_spinner=False)
def workspace() -> Workspace:
    return parse_arguments(sys.argv[1:])


@st.cache_resource(show_spinner=False)
def store() -> ArtifactStore:
    return ArtifactStore(workspace().cache)


@st.cache_resource(show_spinner=False)
def jobs() -> Jobs:
    return Jobs(workers=1, keep=2)


def dictionary_ids() -> list[str]:
    """Return the ids on offer; the first is the default."""
    return [entry.id for entry in entries(workspace())]


def full_id(text: str) -> str:
    """Turn what was typed into an id: a bare path means a folder."""
    text = text.strip()
    if text.partition("/")[0] in sources():
        return text
    return f"folder/{text}" if "/" in text or "\\" in text or text.startswith((".", "~")) else text


@st.cache_resource(show_spinner=False)
def loaded() -> Loaded:
    """Everything held in memory; half of what was free at the start, or what --memory says."""
    return Loaded(workspace().memory_bytes or free_memory() // 2)


def dictionary(id: str | None = None) -> Dictionary:
    """Open the dictionary with this id, by default the picked one (raises LoupeError)."""
    id = full_id(id or st.session_state.get("sae") or "")
    stamp = nbytes = 0
    source, _, key = id.partition("/")
    if hasattr(sources().get(source), "find"):
        # Checked before anything is looked at; files that change on disk are then read anew.
        found = sources()[source].find(key, workspace())
        id, stamp, nbytes = found.id, found.stamp, found.nbytes
    fold = bool(st.session_state.get("fold", True))

    def read() -> Dictionary:
        with st.spinner("Reading the dictionary"):
            return open_dictionary(id, workspace(), fold_decoder_norms=fold)

    return loaded().get(f"dictionary {id} {fold} {stamp}", read, nbytes=nbytes, name=id)


def _model(name: str, centred: bool, wpe: str) -> LanguageModel:
    # A model of which only some tensors were here is another one once all of it is.
    place, title = local_folder(name, workspace()), f"The model {name}"

    def find() -> LanguageModel:
        model = find_model(name, workspace(), centred=centred, wpe=wpe)
        model.make_room = lambda nbytes: loaded().make_room(nbytes, title)
        return model

    return loaded().get(f"model {name} {centred} {wpe} {place}", find, name=title)


def model_of(dictionary: Dictionary, *, wpe: str | None = None) -> LanguageModel:
    """Open the model a dictionary reads, and check that the two fit.

    `wpe` is what became of its position embedding, see LanguageModel; None: as it was trained.
    """
    check_said(dictionary.config, dictionary.title)
    config = dictionary.config
    model = _model(config.model_name or "", config.center_writing_weights, wpe or TRAINED)
    check_fit(dictionary.config, model)
    return model


@contextmanager
def only_stored() -> Iterator[None]:
    """Within this block nothing is computed: `result` and `transient` raise NotStoredError for what is not at hand."""
    token = _only_stored.set(True)
    try:
        yield
    finally:
        _only_stored.reset(token)


def expect_model_run() -> None:
    """Start importing what runs models, on a thread of its own, while the page does other things."""
    if "transformer_lens" not in sys.modules:
        threading.Thread(target=import_model_library, name="loupe-imports", daemon=True).start()


def at_hand(key: str) -> bool:
    """Whether a result is in memory or on disk; damage shows only when it is read."""
    return key in loaded() or store().holds(key)


def result(cls: type[T], key: str, label: str, work: Callable[..., T]) -> T:
    """Return a result from memory, from disk, or from a job that computes `work(progress)`.

    While the job runs its progress is drawn and StillRunningError raised.
    """

    def find() -> T:
        found = store().load(cls, key)
        if found is not None:
            return found
        check_may_compute(label)
        return job_view.run(jobs(), key, label, lambda progress: store().cached(cls, key, lambda: work(progress)))

    return _held(key, label, find)


def transient(key: str, label: str, work: Callable[..., T]) -> T:
    """Like `result`, for what is quick to make again: kept in memory only."""

    def find() -> T:
        check_may_compute(label)
        return job_view.run(jobs(), key, label, work)

    return _held(key, label, find)


def check_may_compute(label: str) -> None:
    """Raise NotStoredError inside `only_stored`; for those who start work in other ways."""
    if _only_stored.get():
        raise NotStoredError(f"{label}: not computed yet. Expected it in the store; open its page to compute it.")


def _held(key: str, label: str, find: Callable[[], T]) -> T:
    """Keep what was found in memory, so that a rerun neither reads the disk nor checks a hash."""
    if key in loaded():
        return loaded().get(key, find, name=label)
    found = find()  # outside the shelf: a page that watches a job must not keep others waiting
    return loaded().get(key, lambda: found, name=label)


def corpus_rows(model: LanguageModel, *, n_rows: int, context: int, seed: int = 0):
    """Return rows of the standard library's tokens and what the text is."""
    tokens, title = library_tokens(model)
    return sample_rows(tokens, n_rows=n_rows, context=context, seed=seed), title


def library_tokens(model: LanguageModel) -> tuple[np.ndarray, str]:
    """Return the standard library as a model's tokenizer reads it, and what the text is."""
    key = TokenStream.key(model.tokenizer_sha256, library_sha256())
    stream = result(
        TokenStream,
        key,
        "Reading the standard library",
        lambda progress: standard_library_stream(model.tokenizer, separator=model.separator, progress=progress),
    )
    return stream.tokens, stream.title


@st.cache_data(show_spinner=False)
def library_sha256() -> str:
    """Name the running interpreter's standard library."""
    return standard_library_sha256()


def position_study(id: str | None = None, n_pos: int | None = None, n_rows: int = 256) -> Study:
    """Return dictionary, model and positional statistics, by the method that fits them."""
    found = dictionary(id)
    model = model_of(found)
    n_pos = min(n_pos or model.n_ctx, model.n_ctx)
    settings = PositionSettings(n_pos=n_pos)
    method, reason = choose_method(found, model, settings)
    rows = corpus_rows(model, n_rows=n_rows, context=n_pos)[0] if method == "corpus" else None
    key = PositionStatistics.key(found.sha256, model.sha256, settings=settings, rows=rows)
    stats = result(
        PositionStatistics,
        key,
        "Positional statistics",
        lambda progress: position_statistics(found, model, settings=settings, rows=rows, progress=progress),
    )
    # Kept with the statistics: its scores are the same on every rerun.
    return loaded().get(f"study {key} of {found.id}", lambda: Study(found, model, stats, reason))


def feature_grid(feature: int, n_pos: int) -> np.ndarray:
    """Return one feature's activation on every token and position of the picked dictionary."""
    found = dictionary()
    model = model_of(found)
    key = f"feature-grid-{found.sha256}-{model.sha256}-{feature}-{n_pos}"

    def work(progress: Progress) -> np.ndarray:
        return feature_grids.feature_grid(found, model, feature, n_pos, progress=progress)

    return transient(key, f"Feature {feature} on all tokens", work)


def token_curves(token: int, n_pos: int) -> np.ndarray:
    """Return every feature's activation on one token along positions."""
    found = dictionary()
    model = model_of(found)
    key = f"token-curves-{found.sha256}-{model.sha256}-{token}-{n_pos}"
    return transient(
        key, f"Token {token} at all positions", lambda _: feature_grids.token_curves(found, model, token, n_pos)
    )


def error_by_position(n_pos: int, n_rows: int) -> tuple[ErrorByPosition, str]:
    """Return the picked dictionary's error on text, and what text."""
    found = dictionary()
    model = model_of(found)
    rows, text = corpus_rows(model, n_rows=n_rows, context=n_pos)
    # In deep layers position 0 can be so long that it drowns all others; it stays in the curves.
    first = 0 if found.config.layer == 0 or n_pos == 1 else 1

    def work(progress: Progress) -> ErrorByPosition:
        return reconstruction.error_by_position(found, model, rows, first=first, progress=progress)

    key = ErrorByPosition.key(found.sha256, model.sha256, rows_sha256(rows), first=first, context_size=None)
    return result(ErrorByPosition, key, "Error by position", work), text


def unit_curves(hook_name: str, n_pos: int, n_rows: int) -> tuple[UnitCurves, str]:
    """Return curves of the model's own units at a hook, and what text they are from."""
    model = model_of(dictionary())
    rows, text = corpus_rows(model, n_rows=n_rows, context=n_pos)

    def work(progress: Progress) -> UnitCurves:
        return units.unit_curves(model, hook_name, rows, progress=progress)

    key = UnitCurves.key(model.sha256, hook_name, rows_sha256(rows))
    return result(UnitCurves, key, f"Running {model.name} on text", work), text
