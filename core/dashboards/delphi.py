"""Delphi's explanations: a text file for each feature, `<module>_latent<N>.txt`, that holds a JSON string."""

import re
from collections.abc import Mapping
from pathlib import Path

from core.dashboards import BadDashboardError, Dashboard
from core.dashboards.fields import content, inside, parse, short

NAME = "delphi"
TITLE = "Delphi explanations"
FILES = "MODULE_latentN.txt"
_NAME = re.compile(r".*latent(\d{1,9})\.txt")


def find(folder: Path, skipped: list[BadDashboardError]) -> dict[int, Path]:
    """Map features to their explanations, which are looked into only when they are read."""
    matches = ((_NAME.fullmatch(path.name), path) for path in inside(folder, folder.glob("*latent*.txt")))
    return {int(match.group(1)): path for match, path in matches if match}


def read(folder: Path, feature: int, places: Mapping[int, Path]) -> Dashboard:
    text = parse(content(places[feature]), places[feature])
    label = short(text.strip()) if isinstance(text, str) else ""
    return Dashboard(feature=feature, labels=(label,) if label else ())
