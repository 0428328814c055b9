"""Names of features from what is stored. Nothing that takes a while is computed for them here."""

import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TypeVar

import streamlit as st

from core.activations.store import on_device
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.feature.names import FeatureNames, StrongestTokens, feature_names, own_names, promoted_tokens
from core.feature.nearest_embeddings import nearest_embeddings
from core.logit_weights.statistics import LogitStatistics
from core.logit_weights.unembedding import LogitSettings
from core.models.language_model import LanguageModel
from core.models.running import weights_nbytes
from ui.shared import naming
from ui.shared.errors import NotStored, StillRunning
from ui.shared.naming import NO_NAMES
from ui.studies import compute, corpus, logit_weights, neuronpedia, opened, second_dictionary, strongest, token_pass
from ui.studies.feature import Subject
from ui.studies.notes import note_store

T = TypeVar("T")
_AT_ONCE_BYTES = 2**28
"""Of a model that is hashed while a page waits: a part of a second."""
_AT_ONCE_PRODUCTS = 2**32
"""Multiply-adds that a page spends on names: a tenth of a second or so."""
KINDS = ("strongest-tokens", "logit-statistics")
"""The kinds of results that names are made of."""
NOT_THERE = (LoupeError, NotStored, StillRunning)


def find(sha256: str) -> FeatureNames:
    """Return the names of the picked dictionary or of the second one, if this is its hash; else none."""
    with suppress(*NOT_THERE), compute.only_stored():
        picked = opened.dictionary()
        if picked.sha256 == sha256:
            return names_of(picked)
        if st.session_state.get(second_dictionary.KEY):
            second = second_dictionary.chosen()
            return names_of(second) if second.sha256 == sha256 else NO_NAMES
    return NO_NAMES


def of_these(dictionaries: Iterable[Dictionary]) -> None:
    """Let figures of this run name the features of these dictionaries too, as far as that is stored."""

    def stored(dictionary: Dictionary) -> FeatureNames:
        with suppress(*NOT_THERE), compute.only_stored():
            return names_of(dictionary)
        return NO_NAMES

    naming.find_also({each.sha256: partial(stored, each) for each in dictionaries})


def titled(subject: Subject) -> str:
    """Return the title of a feature with its name."""
    name = "" if subject.own else naming.names_of(subject.dictionary.sha256).of(subject.feature)
    return f"{subject.title} · {name}" if name else subject.title


def names_of(dictionary: Dictionary) -> FeatureNames:
    """Return the names of all features of a dictionary, as far as what they are made from is stored."""
    labels, own = neuronpedia.downloaded_labels(dictionary), _own(dictionary)
    model, fires_on, logits = _on_hand(dictionary)
    near = model if model and not logits and _embeds(model, dictionary) else None
    key = f"names of {dictionary.sha256} {hash(labels.text) if labels else ''} {fires_on} {logits}"
    key += f" near {near.sha256}" if near else ""

    def make() -> FeatureNames:
        return feature_names(
            dictionary.d_sae,
            model.token_strings if model and (fires_on or logits or near) else (),
            fires_on=_stored(StrongestTokens, fires_on).token if fires_on else None,
            promotes=promoted_tokens(_stored(LogitStatistics, logits)) if logits else None,
            nearest=nearest_embeddings(dictionary.W_dec, near.W_E) if near else None,
            labels=dict(zip(labels.feature.tolist(), labels.text, strict=True)) if labels else None,
        )

    return FeatureNames(compute.loaded().get(key, make, name=f"Names of {dictionary.title}").text, own)


def _own(dictionary: Dictionary) -> Mapping[int, str]:
    """Return what a person called features. Read anew whenever the file of notes has changed."""
    notes = note_store(dictionary)
    key = f"own names of {notes.state}"
    return compute.loaded().get(key, lambda: FeatureNames((), own_names(notes.read().by_feature))).own


def _on_hand(dictionary: Dictionary) -> tuple[LanguageModel | None, str | None, str | None]:
    """Return the model, and the keys of the strongest tokens and of the logit weights where these are stored.

    Where nothing of the kind is stored, no model is opened for names.
    """
    stored = any(map(compute.store().holds_kind, KINDS))
    if not (stored or dictionary.id in opened.with_model()):
        return None, None, None
    with suppress(*NOT_THERE):
        model = opened.model_of(dictionary)
        if not (stored or _embeds(model, dictionary)) or not _hash_is_known(model):
            return None, None, None
        fires_on = compute.latest(strongest.KIND).get(dictionary.sha256) or _of_chosen_text(dictionary, model)
        logits = logit_weights.statistics_key(dictionary, LogitSettings())
        return model, *(key if key and compute.at_hand(key) else None for key in (fires_on, logits))
    return None, None, None


def _embeds(model: LanguageModel, dictionary: Dictionary) -> bool:
    """Whether what features write can be compared with the embeddings of tokens, at once."""
    products = dictionary.d_sae * model.d_vocab * model.d_model
    return dictionary.config.d_out == model.d_model and products <= _AT_ONCE_PRODUCTS


def _hash_is_known(model: LanguageModel) -> bool:
    """Say whether the model's content hash is known, or soon is. Reading many bytes for names is left to a thread."""
    if "sha256" not in vars(model) and weights_nbytes(model.config) > _AT_ONCE_BYTES:
        name = f"loupe-hash-{id(model)}"
        if name not in {thread.name for thread in threading.enumerate()}:
            threading.Thread(target=lambda: model.sha256, name=name, daemon=True).start()
        return False
    return True


def _of_chosen_text(dictionary: Dictionary, model: LanguageModel) -> str:
    """Return the key of what a pass over the chosen text gives, empty where that is not stored."""
    with suppress(*NOT_THERE):
        sample = corpus.sample(dictionary, model)
        place = on_device(model.sha256, token_pass.device_for(dictionary, model, sample))
        key = StrongestTokens.key(dictionary.sha256, place, rows_sha256(sample.rows), left_out=sample.left_out)
        if compute.at_hand(key):
            return compute.latest(strongest.KIND).setdefault(dictionary.sha256, key)
    return ""


def _stored(cls: type[T], key: str) -> T:
    """Return what is stored under a key. Raises NotStored where it is damaged."""

    found = compute.stored(cls, key, "Names of features")
    if found is None:
        raise NotStored(f"{key} is not stored.")
    return found
