"""Neuronpedia's bulk files (batch-N.jsonl.gz in features/, activations/, explanations/) and answers of its API."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.dashboards import BadDashboardError, Dashboard
from core.dashboards.fields import (
    content,
    features_at,
    features_or_why,
    head,
    index,
    inside,
    lines,
    parse,
    places_in,
    short,
)
from core.dashboards.sae_dashboard import dashboard

NAME = "neuronpedia"
TITLE = "Neuronpedia"
FILES = "features/batch-0.jsonl.gz and activations/ beside it, or features saved from its API as N.json"
_PATTERNS = ("batch-*.jsonl.gz", "batch-*.jsonl")


def find(folder: Path, skipped: list[BadDashboardError]) -> dict[int, Path]:
    """Map features to the batch that holds their line in features/, or else to their JSON from the API."""
    if places := places_in(_batches(folder, "features"), _features_of, skipped):
        return places
    return places_in(inside(folder, folder.glob("*.json")), _own_number, skipped)


def read(folder: Path, feature: int, places: Mapping[int, Path]) -> Dashboard:
    path = places[feature]
    if path.suffix == ".json":
        item = parse(content(path), path)
        return dashboard(feature, item if isinstance(item, dict) else {})
    item = dict(_lines_of(path, feature)[0])
    own, skipped = item.get("activations"), []
    item["activations"] = [*(own if isinstance(own, list) else []), *_matching(folder, "activations", feature, skipped)]
    described = dashboard(feature, item)
    texts = [item.get("description") for item in _matching(folder, "explanations", feature, skipped)]
    labels = described.labels + tuple(short(text) for text in texts if isinstance(text, str))
    return replace(described, labels=labels, unread=tuple(map(str, skipped)))


def _batches(folder: Path, name: str) -> list[Path]:
    return inside(folder, (path for pattern in _PATTERNS for path in folder.glob(f"{name}/{pattern}")))


def _matching(folder: Path, name: str, feature: int, skipped: list[BadDashboardError]) -> list[Mapping[str, Any]]:
    """Return all lines about a feature in a folder, whose batches may hold other features than those of features/."""
    known = {path: features_at(path, _features_of) for path in _batches(folder, name)}
    skipped += [why for why in known.values() if isinstance(why, BadDashboardError)]
    holding = [path for path, features in known.items() if isinstance(features, frozenset) and feature in features]
    return [item for path in holding for item in _lines_of(path, feature)]


def _lines_of(path: Path, feature: int) -> list[Mapping[str, Any]]:
    return _by_feature(path, path.stat().st_mtime_ns)[feature]


def _own_number(path: Path, stamp: int) -> frozenset[int]:
    """Return the feature of an answer of the API, which its name says."""
    named = path.stem.isdecimal() and len(path.stem) < 10
    return frozenset({int(path.stem)} if named and b'"modelId"' in head(path, 2**16) else ())


@lru_cache(maxsize=4096)
def _features_of(path: Path, stamp: int) -> frozenset[int] | BadDashboardError:
    """Return the features of a batch, or why it cannot be read.

    They stay known when its lines are forgotten, so that no click reads all anew.
    """
    return features_or_why(lambda: _by_feature(path, stamp))


@lru_cache(maxsize=6)
def _by_feature(path: Path, stamp: int) -> dict[int, list[Mapping[str, Any]]]:
    by_feature: dict[int, list[Mapping[str, Any]]] = {}
    for item in lines(path):
        feature = index(item.get("index"))
        if feature is not None:
            by_feature.setdefault(feature, []).append(item)
    return by_feature
