"""Sixty features: statistics that rise, fall and hardly go with returning, one with ties and one known of a few."""

import numpy as np
import pandas as pd
from scipy import stats

from core.activations.token_pass import activation_pass
from core.oracles.encode import encode
from core.stability.companions import companions
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_model
from tests.oracles.cases.activations import DEAD, N_POS, ROWS, dictionary_of
from tests.oracles.shown import Case, Known, Planted, Shown, known

N = 60


def case(folder) -> Case:
    share, given = returning()
    table, key = companions(share, given), {"companion": "companion"}
    held = {"share": share, "statistics": {name: given[name] for name in table["companion"]}}
    return Case([Shown("companions", table, held, key), explained(folder)], planted())


def returning() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return shares in four others, some not known, and statistics by name."""
    rng = np.random.default_rng(3)
    share = rng.integers(0, 5, N) / 4
    share[:4] = np.nan
    few = np.where(np.arange(N) < 20, -share + rng.normal(size=N), np.nan)
    return share, {
        "falls": -(share**3) + 0.4 * rng.normal(size=N),
        "rises": np.round(share + 0.5 * rng.normal(size=N), 1),
        "noise": rng.normal(size=N),
        "of a few": few,
        "constant": np.ones(N),
    }


def explained(folder) -> Shown:
    dictionary, model = dictionary_of(), planted_model(folder / "model", n_ctx=N_POS)
    found = activation_pass(dictionary, model, ROWS, ArtifactStore(folder / "cache"))
    x = model.activations(ROWS, dictionary.config.hook_name).astype(float)
    tensors = {"W_enc": dictionary.W_enc, "b_enc": dictionary.b_enc}
    acts, _ = encode(tensors, x, input_bias=dictionary.b_dec.astype(float))
    shares = found.written_variance(dictionary.W_dec)
    table = pd.DataFrame({"feature": range(len(shares)), "explained_share": shares})
    return Shown("explained", table, {"acts": acts, "x": x, "W_dec": dictionary.W_dec})


def planted() -> list[Planted | Known]:
    ten = np.arange(10.0)
    swapped = ten.copy()
    swapped[[4, 5]] = 5, 4
    tied = np.repeat([0.0, 1], 5)
    one = of(ten, swapped)
    r = 1 - 6 * 2 / 990
    both = one | {"statistics": {"it": swapped, "again": -swapped}}
    z, wide = np.arctanh(r), np.sqrt((1 + r**2 / 2) / 7)
    p = 2 * stats.norm.sf(z * 7**0.5)
    two = {"x": np.array([[[9.0, 9], [1, 0], [-1, 0]]]), "W_dec": np.array([[1.0, 0], [0, 2]])}
    fires = np.array([[[50.0, 50], [2, 1], [0, 1]]])
    return [
        Planted("companion_features", 16, "of twenty; in four the share is not known", {"companion": "of a few"}),
        Planted("explained_share", 0, "never active", {"feature": DEAD}),
        known("companion_features", 9, "one is not known", **one | {"share": np.append(ten[:9], np.nan)}),
        known("companion_correlation", r, "two neighbours of ten swapped: 1 − 6 Σ d² / (n³ − n)", **one),
        known("companion_correlation", -r, "turned round", **both | {"companion": "again"}),
        known("companion_correlation", stats.spearmanr(ten, tied)[0], "ties, as scipy has it", **of(ten, tied)),
        known("companion_low", np.tanh(z + stats.norm.ppf(0.025) * wide), "ten features", **one),
        known("companion_high", np.tanh(z + stats.norm.ppf(0.975) * wide), "ten features", **one),
        known("companion_q", p, "one alone: its p", **one),
        known("companion_q", p, "two of one p: twice over two", **both),
        known("explained_share", 1, "it writes 2 or 0 where x is ±1", **two, acts=fires, feature=0),
        known("explained_share", 0, "constant after position 0", **two, acts=fires, feature=1),
    ]


def of(share: np.ndarray, values: np.ndarray) -> dict[str, object]:
    return {"share": share, "statistics": {"it": values}, "companion": "it"}
