"""Nine features over 70 tokens in three sets: one ranks a whole set first, one last, and one has many ties."""

import numpy as np
import pandas as pd

from core.enrichment import tables
from core.enrichment.enrichment import Enrichment
from tests.doubles.token_set_scores import scores_of, token_sets
from tests.oracles.shown import Case, Known, Planted, Shown, known

N, V = 9, 70
SETS = {"most": set(range(0, 70, 2)), "early": set(range(32)), "pair": {3, 4}}
FIRST, LAST, TIED, BLANK = range(4)
LOOSE = {"log10_p": 0.02, "log10_q": 0.02}
"""p of a small set is from draws, 100,000 in the app; the oracle looks at every set."""


def case(folder) -> Case:
    rng = np.random.default_rng(4)
    values, random = rng.normal(size=(N, V)), rng.normal(size=(50, V))
    values[FIRST], values[LAST], values[BLANK] = -np.arange(V), np.arange(V), 0
    values[TIED] = rng.integers(-2, 3, V)
    values[4:6, list(SETS["most"])] += 0.7
    scores, chance = (scores_of(rows, token_sets(**SETS), draws=100_000) for rows in (values, random))
    given = {"logits": values.astype(np.float32).astype(float), "members": SETS}
    given["random_logits"] = random.astype(np.float32).astype(float)
    pair = {"token_set": "pair"}
    large = {name: {"token_set": name} for name in SETS}
    shown = [
        *(
            Shown(f"features by {name}", kept(scores, name), given | of, close=LOOSE if of == pair else QS)
            for name, of in large.items()
        ),
        *(sets_of(scores, feature, chance, given) for feature in (FIRST, 5)),
        Shown("x and y", tables.set_against_set(scores, "most", "early"), given | {"set_x": "most", "set_y": "early"}),
        *(running(values, given, feature) for feature in (FIRST, TIED)),
    ]
    return Case(shown, planted())


QS = {"log10_q": 0.02}
"""q of a large set may rest on p of small ones."""


def kept(scores: Enrichment, name: str) -> pd.DataFrame:
    return tables.best_features(scores, name)


def sets_of(scores: Enrichment, feature: int, chance: Enrichment, given) -> Shown:
    table = tables.best_sets(scores, feature, random=chance)
    sizes = {"set_size": "the number of tokens in the set"}
    by = {"token_set": "token_set"}
    return Shown(f"sets of {feature}", table, given | {"feature": feature}, by, not_held=sizes, close=LOOSE)


def running(values, given, feature) -> Shown:
    inside = np.isin(np.arange(V), list(SETS["early"]))
    table = tables.running_sum(values[feature].astype(np.float32), inside)
    given = given | {"feature": feature, "token_set": "early"}
    weights = {"logit_weight": "held by its own oracle"}
    rows, itself = {"tokens_passed": "tokens_passed", "weight": "logit_weight"}, {"tokens_passed": "tokens_passed"}
    return Shown(f"running sum of {feature}", table, given, rows, itself, not_held=weights)


def planted() -> list[Planted | Known]:
    first, last = "it ranks the set before all others", "it ranks the set after all others"
    top, low = {"feature": FIRST}, {"feature": LAST}
    tiny = {"logits": np.array([[4.0, 3, 2, 1]]), "members": {"two": {0, 1}, "other": {2, 3}}, "feature": 0}
    one = tiny | {"token_set": "two"}
    return [
        Planted("enrichment_score", 1, first, top, "features by early"),
        Planted("enrichment_score", -1, last, low, "features by early"),
        Planted("es_high", 1, first, top, "features by early"),
        Planted("es_low", -1, last, low, "features by early"),
        Planted("display_score", 16, first, top, "features by early"),
        Planted("display_score", -16, last, low, "features by early"),
        Planted("auc", 1, first, top, "features by early"),
        Planted("auc", 0, last, low, "features by early"),
        Planted("auc_z", 0.5 / (71 / (12 * 32 * 38)) ** 0.5, first, top, "features by early"),
        Planted("running_sum", 1, first, {"tokens_passed": 32}, f"running sum of {FIRST}"),
        Planted(
            "tokens_passed", 8, "its logit weights are 0, −1, −2 …", {"logit_weight": -7}, f"running sum of {FIRST}"
        ),
        known("tokens_passed", 3, "4, 3 and 2", logits=np.array([[4.0, 3, 2, 1]]), feature=0, weight=2),
        Planted("score_y", 16, first, top),
        Planted("score_y", -16, last, low),
        known("log10_p", np.log10(1 / 3), "2 of 6 pairs are first or last", **one),
        known("log10_q", np.log10(1 / 3), "two tests with one p", **one),
        known("score_x", 16, "first", **tiny, set_x="two"),
        known("score_difference", 32, "first and last", **tiny, set_x="two", set_y="other"),
        known("es_random", 1, "both rank it first or last", random_logits=np.array([[2.0, 1], [1, 2]]), **IT),
    ]


IT = {"members": {"it": {0}}, "token_set": "it"}
