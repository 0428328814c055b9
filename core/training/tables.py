"""Curves of training runs as a table."""

from collections.abc import Mapping

import pandas as pd

from core.training.log import Curves

COLUMNS = {"loss": "training_loss", "l0": "training_l0", "fve": "training_fve", "dead_share": "training_dead"}
"""The catalogue's name of each curve."""


def curve_table(curves: Mapping[str, Curves]) -> pd.DataFrame:
    """Return a row for each point: training_run ("NAME, seed N"), training_tokens, and the columns of COLUMNS."""
    rows = [
        {"training_run": series_name(run, seed), "run": run, "seed": seed, "training_tokens": point["tokens"]}
        | {COLUMNS[name]: point[name] for name in COLUMNS}
        for run, found in curves.items()
        for seed, points in found.points.items()
        for point in points.values()
    ]
    return pd.DataFrame(rows, columns=["training_run", "run", "seed", "training_tokens", *COLUMNS.values()])


def series_name(run: str, seed: int) -> str:
    """Return what a curve is called."""
    return f"{run}, seed {seed}"
