"""Everything about one feature on text as one JSON file, to keep or to read with other programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from jaxtyping import Int

from core.activations.store import FeatureActivations
from core.characters import whole
from core.feature import examples
from core.feature.contexts import contexts
from core.feature.profile import position_profile

WIDTH, N_STRONGEST, N_BINS = 10, 20, 50


def report(
    tokenizer,
    token_strings: Sequence[str],
    rows: Int[np.ndarray, "row pos"],
    activations: FeatureActivations,
    counted: Int[np.ndarray, " pos"],
    *,
    tables: Mapping[str, pd.DataFrame],
    provenance: Mapping[str, object],
) -> bytes:
    """Return the report as JSON: numbers, histogram, positions, tokens and examples of a feature, and `tables` by name.

    `counted` is the number of tokens that count at each position. Equal inputs give equal bytes.
    """
    best = examples.strongest_of_rows(activations)
    best = examples.taken(best, np.arange(min(N_STRONGEST, len(best.act))))
    token, share, n = examples.commonest_strongest(activations, rows)
    counts = examples.token_counts(activations, rows)
    counts["token_text"] = [token_strings[i] for i in counts["token"].tolist()]

    def dressed(shown: FeatureActivations) -> list[dict]:
        return [asdict(one) for one in contexts(tokenizer, rows, activations, shown, width=WIDTH)]

    content = {
        "provenance": dict(provenance),
        "n_tokens": int(counted.sum()),
        "active_tokens": len(activations.act),
        "strongest_token": {"token": token, "share": share, "of_rows": n},
        "histogram": _histogram(activations),
        "positions": _records(position_profile(activations, counted)),
        "tokens": _records(counts),
        "strongest": dressed(best),
        "intervals": [
            {"low": one.low, "high": one.high, "count": one.count, "examples": dressed(one.examples)}
            for one in examples.intervals(activations)
        ],
        **{name: _records(table) for name, table in tables.items()},
    }
    return whole(json.dumps(_finite(content), ensure_ascii=False, allow_nan=False, indent=1)).encode("utf-8")


def _histogram(activations: FeatureActivations) -> dict[str, list]:
    act = activations.act.astype(float)
    counts, edges = np.histogram(act, bins=N_BINS) if len(act) else (np.zeros(0), np.zeros(0))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def _records(table: pd.DataFrame) -> dict[str, list]:
    return {str(name): table[name].tolist() for name in table}


def _finite(content):
    """Replace NaN and infinity by None, as JSON has neither."""
    if isinstance(content, dict):
        return {name: _finite(part) for name, part in content.items()}
    if isinstance(content, list):
        return [_finite(part) for part in content]
    return None if isinstance(content, float) and not np.isfinite(content) else content
