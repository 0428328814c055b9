"""Dictionaries and models for the pages: opened by id, held in memory, shared by sessions."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import streamlit as st

from core.dictionaries.config import DictionaryConfig, check_said
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import entries, open_dictionary, sources
from core.errors import LoupeError
from core.files.stamps import stamp
from core.models.embeddings import TRAINED
from core.models.language_model import LanguageModel
from core.models.search import DEMO, Located, check_fit, locate, offer_others, open_located
from core.models.side_by_side import read_by
from core.work.calls import opened_by
from ui.shared.escape import signs
from ui.studies import compute


def dictionary_ids() -> list[str]:
    """Return the ids that the picker offers; the first is the default."""
    return [entry.id for entry in entries(compute.workspace())]


def naming() -> Callable[[str], str]:
    """Return how pickers name dictionaries: a listed folder by its title, not by a path that is cut off.

    The folders are listed once, however many names are asked for.
    """
    listed = {entry.id: entry.title for entry in entries(compute.workspace()) if entry.id.startswith("folder/")}
    return lambda id: f"folder/{listed[id]}" if id in listed else id


def in_pickers() -> Callable[[str], str]:
    """Return the same with signs for letters that are not seen or turn others: a picker draws no Markdown."""
    name = naming()
    return lambda id: signs(name(id))


def shown_id(id: str) -> str:
    """Return how pickers name one dictionary."""
    return naming()(id)


def full_id(text: str) -> str:
    """Turn typed text into an id. A bare path means a folder; a part of one listed id alone means that dictionary."""
    text = text.strip()
    if text.partition("/")[0] in sources():
        return _listed(text) or text
    if "/" in text or "\\" in text or text.startswith((".", "~")):
        return f"folder/{text}"
    return _only_one_with(text) or text


def _only_one_with(part: str) -> str | None:
    """Return the one listed id that ends with a text, or else the one that contains it, in any case."""
    ids, part = dictionary_ids(), part.lower()
    for fits in (str.endswith, str.__contains__):
        found = [id for id in ids if fits(id.lower(), part)] if part else []
        if len(found) == 1:
            return found[0]
    return None


def _listed(text: str) -> str | None:
    """Return the one listed folder whose path ends like this: what pickers show, and links hold, is such an end."""
    tail = text.removeprefix("folder/")
    if tail == text or tail.startswith("/"):
        return None
    ids = [entry.id for entry in entries(compute.workspace()) if entry.id.startswith("folder/")]
    found = [id for id in ids if id.endswith(f"/{tail}")]
    return found[0] if len(found) == 1 else None


def dictionary(id: str | None = None) -> Dictionary:
    """Open the dictionary with this id, by default the picked one (raises LoupeError)."""
    id = full_id(id or st.session_state.get("sae") or "")
    state, nbytes = "", 0
    source, _, key = id.partition("/")
    if hasattr(sources().get(source), "find"):
        # The path is checked before anything is read. The stamp changes with the files, so changed files are read anew.
        located = sources()[source].find(key, compute.workspace())
        id, state, nbytes = located.id, located.stamp, located.nbytes
    fold = bool(st.session_state.get("fold", True))

    key = f"dictionary {id} {fold} {state}"
    opens = partial(open_dictionary, id, compute.workspace(), fold_decoder_norms=fold)

    def read() -> Dictionary:
        with st.spinner("Reading the dictionary"):
            read = opens()
        opened_by(read, key, opens)
        return read

    return compute.loaded().get(key, read, nbytes=nbytes, name=id)


def _model(name: str, config: DictionaryConfig, wpe: str) -> LanguageModel:
    # Of several models that are read together none is found by what fits, as each would.
    alone = None if config.read_models else config
    return _open(locate(name, compute.workspace(), alone), name, centred=config.center_writing_weights, wpe=wpe)


def model_called(name: str) -> LanguageModel:
    """Open a model by its name, its weights as they are (raises LoupeError)."""
    return _open(locate(name, compute.workspace()), name, centred=False, wpe=TRAINED)


def _open(found: Located, name: str, *, centred: bool, wpe: str) -> LanguageModel:
    title, opens = f"The model {name}", partial(open_located, found, compute.workspace(), centred=centred, wpe=wpe)
    # A model with some tensors on this machine and the same model with all of them lie in two folders; one whose config
    # or tokenizer was mended is another object.
    key = f"model {found.folder} {found.name} {centred} {wpe} {stamp([found.folder])}"

    def read() -> LanguageModel:
        model = opens()
        opened_by(model, key, opens)
        model.make_room = lambda nbytes: compute.loaded().make_room(nbytes, title)
        return model

    return compute.loaded().get(key, read, name=title)


def model_folder(name: str) -> str | None:
    """Return the folder of a model that was named on the command line; None for others, and in a public app."""
    workspace = compute.workspace()
    return _named_folder(name) if set(workspace.models) - {DEMO} and not workspace.policy.public else None


@st.cache_data(show_spinner=False)  # every figure asks, and looking opens the models
def _named_folder(name: str) -> str | None:
    with suppress(LoupeError):
        folder = locate(name, compute.workspace()).folder
        return str(folder) if folder in set(compute.workspace().models) - {DEMO} else None
    return None


def why_model(dictionary: Dictionary) -> str:
    """Say why a model was taken for a dictionary's, where its name does not say so; empty otherwise."""
    with suppress(LoupeError):
        config = dictionary.config
        return locate(config.model_name, compute.workspace(), None if config.read_models else config).because
    return ""


def model_of(dictionary: Dictionary, *, wpe: str | None = None) -> LanguageModel:
    """Open the model that a dictionary reads, and check that the two fit.

    `wpe` is the state of its position embedding, see LanguageModel; None: as trained.
    """
    config = dictionary.config
    try:
        check_said(config, dictionary.title)
        model = read_by(config, lambda name: _model(name, config, wpe or TRAINED))
    except LoupeError as error:
        offer_others(error, dictionary, compute.workspace())
        raise
    check_fit(dictionary.config, model)
    with_model().add(dictionary.id)
    return model


@st.cache_resource(show_spinner=False)
def with_model() -> set[str]:
    """The ids of dictionaries whose model was opened."""
    return set()
