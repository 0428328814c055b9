"""The tab Logits: the extreme tokens of one feature, and the views of the logit-weight page."""

import pandas as pd
import streamlit as st

from core.enrichment.tables import best_sets
from core.errors import LoupeError
from core.logit_weights.unembedding import LogitSettings
from core.models.tokens import label
from core.tables import with_settings
from ui.enrichment import views
from ui.logit_weights import one_feature
from ui.shared import errors
from ui.shared.errors import NotStored
from ui.shared.figure import figure, listing
from ui.shared.later import Later
from ui.sidebar import token_set_picker
from ui.studies import compute, enrichment, token_sets
from ui.studies import logit_weights as logit_weights_studies
from ui.studies.feature import Subject

N_TOKENS, N_SETS = 10, 10
ENDS = ("promoted", "suppressed")


def extreme_tables(subject: Subject, settings: LogitSettings) -> dict[str, pd.DataFrame]:
    """Return the tokens that the feature promotes and suppresses most, the most extreme first."""
    strings = subject.model.token_strings
    found = logit_weights_studies.extremes_of(subject.dictionary, subject.model, subject.feature, settings)
    return {
        end: pd.DataFrame(
            {
                "token": tokens[:N_TOKENS],
                "token_label": [label(strings[token]) for token in tokens[:N_TOKENS].tolist()],
                "logit_weight": weights[:N_TOKENS].astype(float),
            }
        )
        for end, (tokens, weights) in zip(ENDS, found, strict=True)
    }


def extremes(subject: Subject, settings: LogitSettings) -> dict[str, pd.DataFrame]:
    """Return `extreme_tables`, or nothing if its hook does not lead to the logits."""
    try:
        return extreme_tables(subject, settings)
    except LoupeError:
        return {}


def brief(subject: Subject, settings: LogitSettings) -> None:
    """Draw the extreme tokens, and the best token sets if they were computed before."""
    tables = extreme_tables(subject, settings)
    parts = st.columns(3, gap="medium")
    for column, (end, table) in zip(parts, tables.items(), strict=False):
        with column:
            small_table(subject, settings, f"Most {end} tokens", table, f"fe-{end}", ["logit_weight"])
    with parts[2]:
        sets = stored_sets(subject, settings)
        if sets is None:
            st.caption(
                "Token sets are not computed for this dictionary yet. The tab Logits computes them for all features."
            )
        else:
            explains = ["enrichment_score", "auc", "q_value"]
            small_table(subject, settings, "Best token sets", sets, "fe-sets", explains)


def small_table(
    subject: Subject, settings: LogitSettings, title: str, table: pd.DataFrame, key: str, explains: list[str]
) -> None:
    """Draw a short table with its downloads."""
    where = logit_weights_studies.device_for(subject.dictionary.d_sae, subject.model).inputs
    shown = table.drop(columns="token") if "token" in table else table
    figure(
        title,
        listing(shown, key, height=300),
        table,
        explains=explains,
        note=settings.describe(subject.model),
        name=f"{subject.stem}-{key.removeprefix('fe-')}",
        provenance=with_settings(subject.provenance(), **(settings.done_to(subject.model).as_inputs() | where)),
        told={"count": len(table)},
    )


def stored_sets(subject: Subject, settings: LogitSettings) -> pd.DataFrame | None:
    """Return the sets with the smallest p for the feature, or None if they are not computed yet."""
    try:
        with compute.only_stored():
            study = logit_weights_studies.study_of(subject.dictionary, settings)
            sets = token_sets.sets(study.model)
            scores = enrichment.enrichment_of(study, sets)
    except NotStored:
        return None
    table = best_sets(scores, subject.feature)
    return table[["token_set", "enrichment_score", "log10_q"]].head(N_SETS)


def logits(subject: Subject, settings: LogitSettings) -> None:
    """Draw the logit-weight page's views of this feature: histogram, tokens, token sets."""
    study = logit_weights_studies.study_of(subject.dictionary, settings)
    one_feature.one_feature_by_set(study, subject.feature)
    with errors.shown():
        sets = token_sets.sets(study.model)
        scores = enrichment.enrichment_of(study, sets)
        random = Later(lambda: enrichment.random_enrichment(study, sets))
        name = token_set_picker.choose(study.model, "Token set", views.SET_KEY).name
        left, right = st.columns([3, 2], gap="medium")
        with left:
            views.running_sum(study, scores, random, sets, subject.feature, name)
        with right:
            views.best_sets(study, scores, random, subject.feature)
        random.draw()
