"""All statistics that pages have of each feature, as tables that one large table joins.

A page with new statistics adds a line here. The large table computes nothing: it leaves out what is not stored, and
names the page that computes it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.activations.tables import median_table
from core.dictionaries.dictionary import Dictionary
from core.enrichment.tables import best_set_of_each
from core.errors import LoupeError
from core.geometry import tables
from core.geometry.basis import basis_alignment
from core.logit_weights.unembedding import LogitSettings
from core.overview.tables import weight_table
from ui.shared.errors import NotStored
from ui.studies import (
    atlas,
    compute,
    enrichment,
    feature_columns,
    feature_map,
    geometry,
    logit_weights,
    neuronpedia,
    positions,
    relations,
    second_dictionary,
    stability,
    token_pass,
    token_sets,
)
from ui.studies.feature import PassOnDemand, Subject
from ui.studies.notes import note_store


@dataclass(frozen=True)
class FeatureTable:
    """Statistics of each feature that one page computes. `make` takes a dictionary and may raise a LoupeError."""

    title: str
    page: str
    """The file name of the page that computes them."""
    make: Callable[[Dictionary], pd.DataFrame]
    """One row for each feature listed, with a column `feature`."""
    makes: bool = True
    """Whether the app can compute it. If not, a person writes or downloads it."""


def _activations(dictionary: Dictionary) -> pd.DataFrame:
    return token_pass.token_pass(dictionary.id).statistics.feature_table()


def _medians(dictionary: Dictionary) -> pd.DataFrame:
    quantiles = token_pass.quantiles(token_pass.token_pass(dictionary.id))
    return median_table(quantiles.values, quantiles.levels)


def _logit_weights(dictionary: Dictionary) -> pd.DataFrame:
    return logit_weights.logit_study(LogitSettings(), dictionary.id).table


def _clusters(dictionary: Dictionary) -> pd.DataFrame:
    label = feature_map.clusters(dictionary.id).label
    return pd.DataFrame({"feature": np.arange(len(label)), "cluster": label})


def _enrichment(dictionary: Dictionary) -> pd.DataFrame:
    study = logit_weights.logit_study(LogitSettings(), dictionary.id)
    scores = enrichment.enrichment_of(study, token_sets.sets(study.model))
    return best_set_of_each(scores)


def _neurons(dictionary: Dictionary) -> pd.DataFrame:
    on_text = PassOnDemand(lambda: token_pass.token_pass(dictionary.id))
    subject = Subject(dictionary, 0, on_text.get().model, on_text, dictionary)
    units = relations.correlated_units(subject, relations.usual_hook(subject))
    return pd.DataFrame(
        {
            "feature": np.arange(dictionary.d_sae),
            "correlated_unit": units.idx[:, 0],
            "neuron_correlation": units.corr[:, 0].astype(float),
        }
    )


def _match(dictionary: Dictionary) -> pd.DataFrame:
    lists = second_dictionary.comparison(dictionary).between("decoder")
    return pd.DataFrame(
        {
            "feature": np.arange(dictionary.d_sae),
            "best_match": lists.a_in_b_idx[:, 0],
            "best_similarity": lists.a_in_b_cos[:, 0].astype(float),
        }
    )


def _labels(dictionary: Dictionary) -> pd.DataFrame:
    labels = neuronpedia.downloaded_labels(dictionary)
    if labels is None:
        raise NotStored("No labels are downloaded.")
    return pd.DataFrame({"feature": labels.feature, "neuronpedia_label": labels.text})


def _notes(dictionary: Dictionary) -> pd.DataFrame:
    notes = note_store(dictionary).read()
    if not notes.by_feature:
        raise NotStored("There are no notes.")
    return notes.table()


TABLES = (
    FeatureTable("Weights", "overview", weight_table),
    FeatureTable("Basis", "overview", lambda dictionary: basis_alignment(dictionary).to_frame()),
    FeatureTable("Activations on text", "activations", _activations),
    FeatureTable("Medians", "activations", _medians),
    FeatureTable("Position and token", "positions", lambda d: positions.position_study(d.id).scores),
    FeatureTable("Causal atlas", "interventions", lambda dictionary: atlas.study(dictionary.id).table),
    FeatureTable("Logit weights", "logit_weights", _logit_weights),
    FeatureTable("Token sets", "logit_weights", _enrichment),
    FeatureTable("Neighbours", "geometry", lambda d: tables.hubs(geometry.neighbors(d.id, copies=False))),
    FeatureTable("Clusters", "feature_map", _clusters),
    FeatureTable("Match in dictionary B", "matching", _match),
    FeatureTable("Stability", "stability", lambda dictionary: stability.study(dictionary.id).table),
    FeatureTable("Neurons", "feature", _neurons),
    FeatureTable("Labels", "neuronpedia", _labels, makes=False),
    FeatureTable("Notes", "feature", _notes, makes=False),
)


def texts(dictionary: Dictionary) -> dict[str, str]:
    """Return what a download says of the text behind the statistics that are stored, with its BOS rule."""
    found = {"text": "density", "text_of_positions": "position_score", "text_of_atlas": "atlas_effect"}
    said = {name: feature_columns.texts(column, [dictionary.id]) for name, column in found.items()}
    return {f"{part}{name.removeprefix('text')}": one for name, about in said.items() for part, one in about.items()}


def stored(dictionary: Dictionary) -> tuple[pd.DataFrame, dict[str, list[str]], list[FeatureTable]]:
    """Return one row for each feature with all that is stored, the columns of each table, and what is missing."""
    whole = pd.DataFrame({"feature": np.arange(dictionary.d_sae)})
    groups, missing = {}, []
    for item in TABLES:
        try:
            with compute.only_stored():
                table = item.make(dictionary)
        except (NotStored, LoupeError):  # not computed yet, or impossible: no model here, no such statistic
            missing.append(item)
            continue
        new = [name for name in table.columns if name not in whole.columns]
        whole = whole.merge(table[["feature", *new]], on="feature", how="left", validate="one_to_one")
        groups[item.title] = new
    return whole, groups, missing
