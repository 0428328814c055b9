"""Numbers of a figure computed anew by the slow way, as a job."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.audit.asked import Asked, Text
from core.audit.checks import check_of
from core.audit.recompute import Row, Slow, slow_numbers
from core.corpus.samples import TextSample
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.language_model import LanguageModel
from core.work.artifacts import artifact_key
from core.work.calls import call
from ui.studies import compute, opened, own_direction, token_sets

_TEXTS = "_texts_read"
_MOST_TEXTS = 4


def note_text(sample: TextSample) -> None:
    """Remember a text that this session's figures rest on, by its hash; the latest few."""
    texts = st.session_state.setdefault(_TEXTS, {})
    key = rows_sha256(sample.rows)
    texts.pop(key, None)
    texts[key] = sample
    for old in list(texts)[:-_MOST_TEXTS]:
        del texts[old]


def recompute(provenance: Mapping[str, Any], columns: Sequence[str], rows: Sequence[Row], feature: int) -> Slow:
    """Return columns of some rows by their oracles. Draws progress and raises StillRunning; raises LoupeError."""
    check, settings = check_of(provenance), provenance["settings"]
    assert check is not None
    said = provenance["dictionaries"]
    dictionaries = tuple(_opened(one["id"]) for one in said)
    model = opened.model_of(dictionaries[0], wpe=settings.get("wpe")) if "model" in check.reads else None
    text = _text(settings) if "text" in check.reads else None
    sets = _sets(model, settings, rows) if "sets" in check.reads else {}
    asked = Asked(dictionaries, settings, feature, model, text, sets, tuple(rows[0]))
    key = artifact_key(
        "audit",
        2,
        dictionary_sha256=" ".join(one["sha256"] for one in said),
        model_sha256=model.sha256 if model else None,
        asked=json.dumps([list(columns), list(rows), feature, provenance["method"], settings], default=str),
    )
    label = f"Feature {feature} the slow way"
    return compute.transient(key, label, call(slow_numbers, asked, dict(provenance), list(columns), list(rows)))


def _opened(id: str) -> Dictionary:
    """Open a dictionary, or your own direction if that stands in for a feature."""
    own = own_direction.standing_in(opened.dictionary()) if id.startswith("own/") else None
    return own or opened.dictionary(id)


def _text(settings: Mapping[str, Any]) -> Text:
    sample = st.session_state.get(_TEXTS, {}).get(settings.get("rows_sha256"))
    if sample is None:
        raise DoesNotFitError(
            "The text of this figure is not held any more. Expected the rows that it was made from; draw it anew."
        )
    return Text(sample.rows, sample.left_out)


def _sets(model: LanguageModel, settings: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    sets, wanted = token_sets.sets(model), [row.get("token_set") for row in rows]
    wanted += [settings.get("token_set"), settings.get("other_set")]
    return {name: sets.named(name).tokens for name in dict.fromkeys(wanted) if name in sets.names}
