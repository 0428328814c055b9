"""The colours of a feature map: any number of a feature, its cluster, or its dictionary."""

from dataclasses import dataclass

import numpy as np

from core import catalogue
from core.errors import LoupeError
from core.feature_map.clusters import Clusters
from core.feature_map.layout import Layout
from core.feature_map.stack import Stack
from core.logit_weights.statistics import LogitStatistics
from core.logit_weights.study import LogitStudy
from core.logit_weights.unembedding import LogitSettings
from ui.feature_map.component import MapColours, by_group, by_value
from ui.studies import compute, feature_map, logit_weights, opened
from ui.studies.feature_columns import COLUMNS

CHOICES = ["preservation", "cluster", *COLUMNS, "dictionary"]


@dataclass(frozen=True)
class Colouring:
    """The colours of a map's rows, and the column of the table that they show."""

    colours: MapColours
    name: str
    values: np.ndarray


def plain_colours(stack: Stack, ids: list[str]) -> Colouring:
    """Colour by dictionary, which needs no computation."""
    names = list(map(opened.naming(), ids))
    colours = by_group(stack.dictionary, names, catalogue.statistic("dictionary").title)
    return Colouring(colours, "dictionary", np.asarray(names, object)[stack.dictionary])


def colouring(name: str, stack: Stack, ids: list[str], layout: Layout, side: str) -> Colouring:
    """Return the colours for a choice (raises LoupeError, and StillRunning while a job computes them)."""
    if name == "dictionary" or (name == "preservation" and np.isnan(layout.preservation).all()):
        return plain_colours(stack, ids)
    title = catalogue.statistic(name).title
    if name == "cluster":
        each = [feature_map.clusters(id, side) for id in ids]
        return cluster_colours(each, title)
    if name == "preservation":
        return Colouring(by_value(layout.preservation, title), name, layout.preservation.astype(float))
    values = np.concatenate([np.asarray(COLUMNS[name].values(id), dtype=np.float64) for id in ids])
    return Colouring(by_value(values, title, log=COLUMNS[name].log), name, values)


def cluster_colours(each: list[Clusters], title: str) -> Colouring:
    """Colour by cluster; numbers continue from one dictionary to the next."""
    before = np.cumsum([0, *(clusters.count for clusters in each)])
    codes = np.concatenate(
        [np.where(c.label < 0, -1, c.label + first) for c, first in zip(each, before[:-1], strict=True)]
    )
    own = np.concatenate([clusters.label for clusters in each])
    names = [str(number) for clusters in each for number in range(clusters.count)]
    return Colouring(by_group(codes, names, title), "cluster", own)


def known_clusters(ids: list[str], side: str) -> np.ndarray | None:
    """Return the cluster of each row if it is stored. Computes nothing."""
    keys = [Clusters.key(opened.dictionary(id).sha256, side) for id in ids]
    if not all(compute.stored(Clusters, key) for key in keys):
        return None
    return np.concatenate([feature_map.clusters(id, side).label for id in ids])


def known_tokens(ids: list[str]) -> list[str] | None:
    """Return the token that each row's feature promotes most, if logit weights are stored."""
    studies = [_known_study(id) for id in ids]
    if any(study is None for study in studies):
        return None
    return [text for study in studies for text in study.table["top_token"]]


def _known_study(id: str) -> LogitStudy | None:
    try:
        dictionary = opened.dictionary(id)
        key = logit_weights.statistics_key(dictionary, LogitSettings())
        return logit_weights.logit_study(LogitSettings(), id) if compute.stored(LogitStatistics, key) else None
    except LoupeError:  # no model here, or a model that does not fit this dictionary
        return None
