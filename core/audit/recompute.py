"""Compute shown numbers of a feature anew by their oracles, in a process that loads nothing else of ours."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.audit.asked import Asked
from core.audit.checks import LEVELS, MOST_PAIRED, OF_PAIRS, ROW_BY, check_of, is_on_grid, name_of, why_not
from core.errors import DoesNotFitError
from core.feature_map.embedder import run_embedder
from core.installation import importable
from core.oracles.found import all_oracles, needs
from core.oracles.inputs import MADE
from core.work.progress import SILENT, Progress

MOST_ROWS = 24
"""Rows of a table that are computed anew."""
Row = Mapping[str, Any]
OfRow = Callable[[Row], Mapping[str, Any]]


@dataclass(frozen=True)
class Number:
    """One number of a table."""

    row: int
    column: str
    value: float
    """By the slow way; NaN where it finds none."""


@dataclass(frozen=True)
class Slow:
    """What the slow way finds."""

    numbers: list[Number]
    left_out: dict[str, str]
    """Columns that it could not compute here, and why."""


def checked_columns(provenance: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Return those columns of a figure's table that can be computed anew."""
    settings = provenance.get("settings") or {}
    own = [column for column in columns if ROW_BY.get(column) not in columns]
    return [column for column in own if not why_not(provenance, name_of(column, {}, settings), columns)]


def slow_numbers(
    asked: Asked,
    provenance: Mapping[str, Any],
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    progress: Progress = SILENT,
) -> Slow:
    """Compute columns of some rows of a table.

    Raises DoesNotFitError for dictionaries and settings that the oracles do not cover, and if a dictionary is not one
    that the table was made from.
    """
    check, asked = check_of(provenance), asked.reporting(progress)
    assert check is not None
    _check_same(asked, provenance)
    given, wanted, left_out = check.given(asked), [], {}
    for i, row in enumerate(rows):
        for column in columns:
            name = name_of(column, row, asked.settings)
            own, why = _own(name, column, row, given, asked.settings, lambda row: check.of_row(asked, row))
            if max(one.d_sae for one in asked.dictionaries) > MOST_PAIRED and name in OF_PAIRS.split():
                why = f"the slow way compares all pairs of at most {MOST_PAIRED:,} features"
            if why:
                left_out[column] = why
            else:
                wanted.append((i, column, name, own))
    inputs = {**given, "statistics": np.array([name for *_, name, _ in wanted], dtype=str)}
    inputs["own"] = json.dumps([own for *_, own in wanted])
    values = run_embedder(importable("core.oracles"), inputs, progress=progress)[:, 0] if wanted else []
    found = [Number(i, column, float(value)) for (i, column, *_), value in zip(wanted, values, strict=True)]
    return Slow(found, left_out)


def _own(
    name: str, column: str, row: Row, given: Mapping[str, object], settings: Mapping[str, Any], of_row: OfRow
) -> tuple[dict[str, Any], str]:
    """Return what an oracle is given of a row, and why it cannot be computed from that, if it cannot."""
    level, own = LEVELS.get(column, {}), dict(of_row(row))
    if is_on_grid(name, row, given):
        own, row = {"acts": "@grid"}, {**row, "feature": row.get("position")}
    for parameter in needs(all_oracles()[name], {**given, **row}):
        if parameter in own:
            continue
        if parameter in level:
            own[parameter] = level[parameter]
        elif parameter in row and (parameter not in given or "acts" in own):
            if row[parameter] is None or row[parameter] != row[parameter]:
                return {}, f"{parameter} is empty there"
            own[parameter] = row[parameter]
        elif parameter in settings and parameter not in given:
            own[parameter] = settings[parameter]
        elif parameter not in given and parameter not in MADE:
            return {}, f"this table does not hold its {parameter}"
    return own, ""


def _check_same(asked: Asked, provenance: Mapping[str, Any]) -> None:
    for dictionary, said in zip(asked.dictionaries, provenance["dictionaries"], strict=True):
        if dictionary.sha256 != said["sha256"]:
            raise DoesNotFitError(
                f"{dictionary.title} is not the dictionary that this table was made from, or its norms are folded "
                "otherwise. Expected the same weights; draw the figure anew."
            )
