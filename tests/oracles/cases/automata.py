"""Two features that take turns, three that follow one another, one that fires in runs, others at random."""

from dataclasses import asdict

import numpy as np
import pandas as pd

from core.automata import graph, tables, walks
from core.automata.logit_edges import chance_logit_edges, logit_edges, promotion, token_means
from core.automata.tables import EdgeRule
from core.automata.transitions import TransitionSettings, transitions
from tests.automata.test_automaton import word_tokenizer
from tests.doubles.transitions_by_hand import stretches_of
from tests.oracles.shown import Case, Known, Planted, Shown, known

LENGTHS = [30] * 8 + [20] * 6
D_SAE, IDS, RUN = 9, 7, 8
RULE = EdgeRule(q=0.01, least_count=10, least_ratio=1.5)
STRONGEST = ["next_feature", "step_lift", "shuffled_lift", "step_q"]


def case(folder) -> Case:
    acts = activations()
    stretches = stretches_of(acts != 0, LENGTHS, acts=acts)
    found = transitions(stretches, TransitionSettings(n_shuffles=0))
    rows = np.random.default_rng(1).integers(0, IDS, (1, stretches.n_pos))
    kept = tables.is_edge(found, RULE)
    features = tables.feature_table(found, RULE)
    paths = [*graph.loops(found, RULE, n=2), *graph.loops(found, RULE, n=3)]
    paths = [(*loop, loop[0]) for loop in paths] + walks.paths(found, stretches, RUN, RULE, n=3)
    tests = asdict(TransitionSettings())
    given = {"acts": acts.astype(float), "stretch": np.repeat(range(len(LENGTHS)), LENGTHS), "tests": tests}
    given |= {"rule": asdict(RULE)}
    pair = {"feature": "feature", "next_feature": "next_feature"}
    together = {"together_lift": "held with the pairs of the page Feature"}
    texts = {"path_example": "a text: tests/automata/test_automaton.py", "feature": "the first of the path"}
    followed = walks.path_table(found, stretches, rows, word_tokenizer(), paths)
    every = tables.edge_table(found, np.arange(len(found.source)))
    return Case(
        [
            Shown("steps", every, given, pair, not_held=together),
            Shown("steps to itself", tables.self_edges(found, np.array([RUN])), given, pair, not_held=together | OWN),
            Shown("features", features.drop(columns=STRONGEST[1:]), given),
            Shown("strongest", features.dropna(subset="next_feature")[["feature", *STRONGEST]], given, pair),
            Shown("loops", tables.loop_table(found, kept), given, pair, not_held=together),
            Shown("paths", followed, given, {"path": "path"}, not_held=texts),
            Shown("logits", promoted(every, stretches, rows), given | of_logits(rows, stretches), pair),
        ],
        planted(),
    )


OWN = {"step_q": "shown as self_q, too, whose oracle holds it"}


def activations() -> np.ndarray:
    rng = np.random.default_rng(0)
    fires = rng.random((sum(LENGTHS), D_SAE)) < np.linspace(0.02, 0.3, D_SAE)
    fires[:, [0, 1, 2, 3, 4, RUN]] = False
    for start in np.cumsum([0, *LENGTHS[:-1]]):
        at = start + np.arange(12)
        fires[at[::2], 0] = fires[at[1::2], 1] = True
        fires[at[::3], 2] = fires[at[1::3], 3] = fires[at[2::3], 4] = True
        fires[start + 12 + np.arange(5), RUN] = True
    return np.where(fires, rng.uniform(0.5, 2, fires.shape), 0).astype(np.float32)


def logits() -> np.ndarray:
    return np.random.default_rng(2).normal(size=(D_SAE, 3 * IDS))


def of_logits(rows, stretches) -> dict[str, np.ndarray]:
    return {"L": logits(), "ids": rows.ravel()[stretches.place]}


def promoted(edges, stretches, rows) -> pd.DataFrame:
    L = logits()
    best = np.argsort(-L, axis=1)[:, :20]
    given = promotion(best, np.take_along_axis(L, best, 1), L.shape[1]), token_means(stretches, rows, L.shape[1])
    source, target = (edges[name].to_numpy() for name in ("feature", "next_feature"))
    columns = {
        "logit_edge": logit_edges(*given, source, target),
        "chance_logit_edge": chance_logit_edges(*given)[target],
    }
    return edges[["feature", "next_feature"]].assign(**columns)


def planted() -> list[Planted | Known]:
    turns, six = "0 and 1 take turns on the first 12 tokens of 14 stretches", {"feature": 0, "next_feature": 1}
    two = {"acts": np.array([[1.0, 0], [0, 1], [1, 0], [0, 1], [1, 0]]), "stretch": np.zeros(5, int)}
    one = {"acts": np.array([[1.0], [0], [0], [1], [1]]), "stretch": np.zeros(5, int)}
    pair, tests = {"feature": 0, "next_feature": 1}, {"least_tokens": 1, "least_together": 1}
    edge = {"acts": np.array([[1.0, 4], [0, 2]]), "ids": np.array([0, 0]), "L": np.array([[2.0, 5.0], [-1.0, 0]])}
    return [
        Planted("step_tokens", 6 * 14, turns, {"feature": 0}),
        Planted("step_count", 6 * 14, turns, six, "steps"),
        Planted("step_share", 1, turns, six, "steps"),
        Planted("back_count", 5 * 14, turns, six),
        Planted("next_feature", 1, turns, {"feature": 0}, "features"),
        Planted("next_feature", None, "it fires by chance", {"feature": 6}, "features"),
        Planted("n_next", 1, "2 is followed by 3", {"feature": 2}),
        Planted("n_previous", 1, "4 leads to 2", {"feature": 2}),
        Planted("n_loops", 1, turns, {"feature": 1}),
        Planted("self_count", 4 * 14, "five in a row in each stretch", {"feature": RUN}),
        Planted("path_count", 5 * 14, turns, {"path": "0 → 1 → 0"}),
        Planted("path_count", 3 * 14, "8 fires five times in a row", {"path": "8 → 8 → 8"}),
        known("step_lift", 2, "2 of 2; half of all tokens that have one before", **two, **pair),
        known("shuffled_lift", 1.2, "3 · 2 / 5 for 2", **two, **pair),
        known("loop_lift", 2, "both ways", **two, **pair),
        known("shuffled_loop_lift", 1.2, "both ways", **two, **pair),
        known("self_lift", 1, "once, after 2 of 4 tokens, and 2 of 4 follow", **one, feature=0),
        known("self_shuffled_lift", 1.2, "3 · 2 / 5", **one, feature=0),
        known(
            "self_q",
            1 - np.exp(-1.2),
            "one or more where 1.2 are due",
            **one,
            feature=0,
            tests=tests,
        ),
        known("step_q", 1 - 2.2 * np.exp(-1.2), "two or more; both pairs have this p", **two, **pair, tests=tests),
        known("loop_q", 1 - 2.2 * np.exp(-1.2), "two or more; both pairs have this p", **two, **pair, tests=tests),
        known("path_lift", 2, "two steps of lift 2", **two, path="0 → 1 → 0"),
        known("path_q", 1 - 2.2 * np.exp(-1.2), "both steps have this q", **two, path="0 → 1 → 0", tests=tests),
        known("path_shuffled", 2, "every order is the same", acts=np.ones((3, 1)), stretch=np.zeros(3), path="0 → 0"),
        known("logit_edge", 6, "2 · the mean of 4 and 2", **edge, **pair),
        known("chance_logit_edge", 3, "6 and nothing", **edge, next_feature=1),
    ]
