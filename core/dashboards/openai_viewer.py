"""Files of OpenAI's sparse autoencoder viewer: atoms/N.json, one file for each feature."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.dashboards import BadDashboardError, Dashboard, Example
from core.dashboards.fields import content, example, histogram, inside, number, parse, places_in

NAME = "openai"
TITLE = "OpenAI viewer"
FILES = "atoms/N.json, or N.json, with density and top"
_EACH = 50


def find(folder: Path, skipped: list[BadDashboardError]) -> dict[int, Path]:
    """Map features to their files; of two with one number, to the one that is not in atoms/."""
    paths = inside(folder, [*folder.glob("atoms/*.json"), *folder.glob("*.json")])
    return places_in(reversed(paths), _own_number, skipped)


def _own_number(path: Path, stamp: int) -> frozenset[int]:
    """Return the feature of a file, which its name says."""
    named = path.stem.isdecimal() and len(path.stem) < 10
    return frozenset({int(path.stem)} if named and b'"mean_act' in _head(path) else ())


def read(folder: Path, feature: int, places: Mapping[int, Path]) -> Dashboard:
    item = parse(content(places[feature]), places[feature])
    item = item if isinstance(item, dict) else {}
    examples = _examples(item.get("top"), "Top activations") + _examples(item.get("random"), "Random, positive")
    hist = item.get("hist")
    pairs = sorted((number(_float(k)) or 0.0, v) for k, v in hist.items()) if isinstance(hist, dict) else []
    return Dashboard(
        feature=feature,
        density=number(item.get("density")),
        max_activation=max((max(e.values) for e in examples), default=None),
        activations=histogram([k for k, _ in pairs], [v for _, v in pairs]),
        examples=examples,
    )


def _head(path: Path) -> bytes:
    """Return the beginning and the end of a file: its numbers stand before or after its long lists."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(2**14)
        file.seek(max(0, size - 2**14))
        return start + file.read(2**14)


def _examples(items: Any, group: str) -> tuple[Example, ...]:
    known = [item for item in items[:_EACH] if isinstance(item, dict)] if isinstance(items, list) else []
    examples = (example(item.get("tokens"), item.get("acts"), group) for item in known)
    return tuple(one for one in examples if one is not None)


def _float(text: Any) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None
