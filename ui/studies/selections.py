"""Selections of features, as the pages have them."""

import re

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.activations.members import Together
from core.activations.members import together as count_together
from core.dictionaries.dictionary import Dictionary
from core.enrichment.enrichment import signed_extreme
from core.errors import LoupeError
from core.logit_weights.unembedding import LogitSettings
from core.selection.selection import OtherDictionaryError, Selection, is_of, split_link
from core.selection.store import Kept, SelectionStore, title_of
from core.selection.summary import summary
from core.work.calls import call
from ui.shared.errors import NotStored
from ui.shared.selected import remembered
from ui.studies import compute, enrichment, feature_tables, logit_weights, token_pass, token_sets
from ui.studies.token_pass import TokenPass

_TITLES = "_selection_titles"


def selection_store(dictionary: Dictionary) -> SelectionStore:
    """Return the store of a dictionary's selections, beside its notes."""
    names = dictionary.folded_sha256, dictionary.title
    most = compute.workspace().policy.kept_bytes
    return SelectionStore(compute.kept_in(), *names, dictionary.d_sae, most_bytes=most)


def kept(store: SelectionStore) -> Kept:
    """Return the kept selections, read anew only when their file has changed. Raises SelectionError."""
    if store.path is None:
        return store.read()
    if not store.path.exists():
        return Kept()
    return compute.loaded().get(f"selections {store.state}", store.read, name="Selections")


def read(link: str, dictionary: Dictionary) -> Selection | None:
    """Return the selection that stands in the address or was typed; None for empty text.

    Raises OtherDictionaryError, UnknownNameError for one that is not kept here, and what `Selection.parse` raises.
    """
    of, listed = split_link(link)
    if not is_of(of, dictionary.folded_sha256):
        raise OtherDictionaryError(_title(of), dictionary.title)
    titles = st.session_state.setdefault(_TITLES, {})
    titles[dictionary.folded_sha256[:12]] = dictionary.title
    if not listed:
        return None
    if found := remembered(link):
        return found
    store = selection_store(dictionary)
    if listed.startswith("~"):
        return kept(store).find(listed[1:].strip())
    names = {"dictionary_sha256": dictionary.folded_sha256, "d_sae": dictionary.d_sae}
    parsed = Selection.parse(listed, **names, origin="a list of numbers")
    return next((one for one in reversed(kept(store).selections) if one.key == parsed.key), parsed)


def _title(sha256_begins: str) -> str:
    """Return how to call the dictionary whose hash begins so."""
    assert re.fullmatch(r"[0-9a-f]+", sha256_begins)
    known = st.session_state.get(_TITLES, {}).get(sha256_begins)
    title = known or title_of(compute.kept_in(), sha256_begins)
    return title or f"the dictionary whose hash begins with {sha256_begins}"


_NUMBER_OF_ANOTHER = ("feature", "unit")
"""Units of columns whose numbers only name something, so that they are neither compared nor counted."""
_COUNTED = ("token_set", "top_token", "bottom_token", "feature_tags", "cluster", "top_coordinate")
"""Columns whose values are counted: what features have in common by name."""


def compared(dictionary: Dictionary, members: np.ndarray) -> pd.DataFrame:
    """Return what members share against the other features in all that is stored (see core/selection/summary.py)."""
    whole, _, _ = feature_tables.stored(dictionary)
    numbers = {
        catalogue.statistic(name).title: whole[name].to_numpy(dtype=float)
        for name in whole.columns
        if pd.api.types.is_numeric_dtype(whole[name])
        and name not in ("feature", *_COUNTED)
        and catalogue.statistic(name).unit not in _NUMBER_OF_ANOTHER
    }
    texts = {catalogue.statistic(name).title: _values(whole[name]) for name in _COUNTED if name in whole}
    return summary(numbers | _of_token_sets(dictionary), texts, members)


def together(dictionary: Dictionary, selection: Selection) -> tuple[Together, TokenPass]:
    """Return how often members are active on the tokens of others, over the stored pass on the chosen text.

    Raises NotStored where there is no such pass, StillRunning meanwhile, and LoupeError.
    """
    with compute.only_stored():
        passed = token_pass.token_pass(dictionary.id)
    members, left_out = selection.mask(dictionary.d_sae), passed.sample.left_out
    work = call(count_together, passed.store, members, passed.statistics.count.sum(axis=0))
    key = Together.key(*passed.hashes, selection.key, left_out=left_out)
    return compute.result(Together, key, "Counting members on the tokens of others", work), passed


def _of_token_sets(dictionary: Dictionary) -> dict[str, np.ndarray]:
    """Return the enrichment score of every token set, if it is stored."""
    try:
        with compute.only_stored():
            study = logit_weights.logit_study(LogitSettings(), dictionary.id)
            scores = enrichment.enrichment_of(study, token_sets.sets(study.model))
    except (LoupeError, NotStored):
        return {}
    signed = signed_extreme(scores.es_high, scores.es_low).astype(np.float64)
    return {f"Promotes {name}": signed[:, i] for i, name in enumerate(scores.set_names)}


def _values(column: pd.Series) -> list[set[str]]:
    """Return the values of each feature: its tags, or its one token or number; none where there is none."""
    name = str(column.name)
    if name == "feature_tags":
        return [set(filter(None, str(text).split(", "))) if isinstance(text, str) else set() for text in column]
    if pd.api.types.is_numeric_dtype(column):  # clusters, where -1 is none, and coordinates
        return [{str(int(number))} if number >= 0 else set() for number in column]
    return [{text} if isinstance(text, str) and text else set() for text in column]
