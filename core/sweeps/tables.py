"""The results of a sweep as tables: what is there, and what it says across dictionaries and texts."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd

from core.activations.statistics import ActivationStatistics
from core.corpus.samples import FILES, LIBRARY, SampleSettings
from core.geometry.neighbors import Between
from core.matching.matrix import MatchMatrix
from core.matching.null import random_ratio
from core.matching.numbers import share_above
from core.matching.tables import THRESHOLDS
from core.sweeps.analyses import ANALYSES
from core.sweeps.plan import Listed, Plan, named
from core.sweeps.state import Progressed
from core.work.artifacts import ArtifactStore

TOTALS = ("fve", "l0", "dead_share")


def text_title(plan: Plan, number: int) -> str:
    """Name one of a plan's texts, so that no two have one name."""
    return f"{number + 1}: {_said(plan.texts[number])}"


def _said(text: SampleSettings) -> str:
    name = {LIBRARY: "standard library", FILES: text.name.rpartition("/")[2]}.get(text.source, text.name)
    return f"{name}, {text.n_rows:,} rows" + (f" of {text.context:,} tokens" if text.context else "")


def task_table(plan: Plan, states: Sequence[Progressed]) -> pd.DataFrame:
    """One row for each task.

    Columns: sweep_state, sweep_analysis, sweep_of, read_text, sweep_seconds, sweep_words, sweep_task.
    """
    titles = {one.id: one.title for one in plan.dictionaries}
    rows = [
        {
            "sweep_state": one.state,
            "sweep_analysis": ANALYSES[one.task.analysis].title + _part(one),
            "sweep_of": named([titles.get(id, id) for id in one.task.ids]),
            "read_text": "" if one.task.text is None else text_title(plan, one.task.text),
            "sweep_seconds": one.record.seconds if one.record and one.record.state == "done" else float("nan"),
            "sweep_words": one.record.words if one.record and one.state == "failed" else "",
            "sweep_task": one.task.name,
        }
        for one in states
    ]
    return pd.DataFrame(rows)


def _part(one: Progressed) -> str:
    return f", rows {one.task.rows[0]:,} to {one.task.rows[1] - 1:,}" if one.task.rows else ""


def coverage_table(plan: Plan, states: Sequence[Progressed]) -> pd.DataFrame:
    """One row for each dictionary: sweep_of, a column there_ANALYSIS for each analysis, sweep_words.

    The columns say done, missing, or how many of several results are there.
    """
    analyses = list(dict.fromkeys(one.task.analysis for one in states))
    rows = []
    for listed in plan.dictionaries:
        row = {"sweep_of": listed.title}
        for analysis in analyses:
            mine = [one for one in states if listed.id in one.task.ids and one.task.analysis == analysis]
            row[f"there_{analysis}"] = _there([one for one in mine if one.task.stage == 1])
        rows.append(row | {"sweep_words": listed.refused})
    return pd.DataFrame(rows)


def _there(states: Sequence[Progressed]) -> str:
    done = sum(one.state == "done" for one in states)
    if not states:
        return "not asked for"
    if done == len(states):
        return "done"
    return "missing" if not done else f"{done:,} of {len(states):,}"


def cross_table(plan: Plan, store: ArtifactStore) -> pd.DataFrame:
    """One row for each dictionary and text of a token pass: sweep_of, trained_on, read_text and TOTALS.

    The totals are of all counted tokens; NaN where the pass is missing.
    """
    listed = {one.id: one for one in plan.dictionaries}
    rows = []
    for task in plan.tasks:
        if task.analysis != "activations" or task.rows or task.text is None:
            continue
        of = listed[task.ids[0]]
        found = store.load(ActivationStatistics, task.keys[0]) if task.keys else None
        totals = found.totals() if found is not None else {}
        said = {"sweep_of": of.title, "trained_on": str(of.labels.get("data", "")), "read_text": task.text}
        rows.append(said | {name: totals.get(name, np.nan) for name in TOTALS})
    columns = ["sweep_of", "trained_on", "read_text", *TOTALS]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(read_text=[text_title(plan, number) for number in table["read_text"]])


def stored_matrix(plan: Plan, store: ArtifactStore) -> tuple[MatchMatrix, list[Listed]]:
    """Return the ratios of all pairs that are stored, and the dictionaries they are of; NaN where one is missing.

    Its diagonal, the control, is NaN: it needs the weights.
    """
    known = [one for one in plan.dictionaries if one.sha256]
    place, n = {one.id: i for i, one in enumerate(known)}, len(known)
    ratio, chance = np.full((2, n, n, len(THRESHOLDS)), np.nan)
    mmcs = np.full((n, n), np.nan)
    for task in plan.tasks:
        between = store.load(Between, task.keys[0]) if task.analysis == "matching" else None
        if between is None:
            continue
        i, j = sorted((place[id] for id in task.ids), key=lambda at: known[at].sha256)
        best = between.a_in_b_cos[:, 0], between.b_in_a_cos[:, 0]
        for row, column, cos, others in ((i, j, best[0], best[1]), (j, i, best[1], best[0])):
            ratio[row, column], mmcs[row, column] = share_above(cos, THRESHOLDS), np.nanmean(cos, dtype=float)
            if known[row].d > 1:
                n_others = int(np.count_nonzero(~np.isnan(others)))
                chance[row, column] = random_ratio(n_others, known[row].d, THRESHOLDS)
    return MatchMatrix(ratio, mmcs, chance, ()), known


def missing_pairs(matrix: MatchMatrix) -> int:
    """Return how many pairs of different dictionaries have no numbers."""
    n = len(matrix.mmcs)
    return sum(bool(np.isnan(matrix.mmcs[i, j])) for i, j in product(range(n), range(n)) if i < j)
