"""The two dictionaries of the known world, on 2,000 inputs."""

import numpy as np

from core.dictionaries.sources import open_dictionary
from core.dictionaries.world import draw, world
from core.dictionaries.world_rows import KINDS
from core.dictionaries.world_rows import planted as planted_rows
from core.geometry.neighbors import nearest_between, nearest_features
from core.oracles.encode import encode
from core.workspace import Workspace
from core.worlds.sampled import sampled
from core.worlds.study import WorldStudy
from tests.oracles.shown import Case, Known, Planted, Shown, known

N = 2_000
WHATS = ("world_true", "world_hit", "world_missed", "world_false")


def case(folder) -> Case:
    wide, narrow = (open_dictionary(f"world/{name}", Workspace()) for name in ("wide", "narrow"))
    between = nearest_between(narrow.W_dec, wide.W_dec, k=1)
    shown = of_one(wide, between, narrow.W_dec.astype(float)) + of_one(narrow, None, None)
    return Case(shown, planted())


def of_one(dictionary, between, narrow) -> list[Shown]:
    name = dictionary.id.partition("/")[2]
    study = WorldStudy(dictionary, nearest_features(dictionary.W_dec, k=1), sampled(dictionary, n=N), between)
    x, true = draw(N)
    tensors = planted_rows(name).tensors
    acts = encode(tensors, x)[0]
    given = {one: tensors[one].astype(float) for one in ("W_enc", "b_enc", "W_dec")}
    given |= {"world": world().directions.astype(float), "true": true, "fires": acts != 0, "narrow": narrow}
    given |= {"acts": acts, "directions": given["W_dec"], "rows": given["W_dec"], "others": given["world"]}
    features, back = study.feature_table(), {"rows": given["world"], "others": given["W_dec"]}
    parts = features["world_kind"].str.partition(": ")
    assert [KINDS[kind] for kind in parts[0]] == parts[2].tolist(), "each says what its kind means"
    features["world_kind"] = parts[0]
    return [
        Shown(f"verdicts, {name}", study.verdict_table(), given, {"world_what": "world_what"}),
        Shown(f"features, {name}", features, given, instead={"nearest_cosine": copies_apart(given["W_dec"])}),
        Shown(
            f"world, {name}",
            study.world_table(),
            given | back,
            {"own": "world_feature", "feature": "world_feature"},
            {"feature": "best_match"},
        ),
    ]


def copies_apart(W_dec) -> dict[str, np.ndarray]:
    """Return rows of other lengths, none of which has the bits of another: a copy is a neighbour here."""
    return {"directions": W_dec * np.arange(1, len(W_dec) + 1)[:, None]}


def planted() -> list[Planted | Known]:
    """Families 0 to 3 split, 4 and 5 are absorbed; the first is feature 0 with the children 8, 9 and 10."""
    kinds, of = planted_rows("wide").kind, planted_rows("wide").of
    verdicts = {
        "recovered": (26, 26, 0, 12, "Matching"),
        "split": (12, 12, 0, 10, "Splitting"),
        "absorbed": (4, 4, 0, 0, "Ground truth"),
        "duplicated": (10, 10, 0, 0, "Geometry"),
        "dead": (4, 4, 0, 0, "Overview"),
    }
    counted = [
        Planted(name, value, "planted so, where copies look split", {"world_what": what}, "verdicts, wide")
        for what, counts in verdicts.items()
        for name, value in zip((*WHATS, "world_page"), counts, strict=True)
    ]
    rule = f"it fires on none of {N:,} inputs"
    return [
        *counted,
        *(each for i, kind in enumerate(kinds) for each in of_feature(i, kind, int(of[i]))),
        Planted("world_rule", rule, "as many were drawn", {"world_what": "dead"}),
        Planted("world_is", "parent", "the last of them", {"world_feature": 7}),
        Planted("world_is", "child", "the first of them", {"world_feature": 8}),
        Planted("world_is", "alone", "the first of them", {"world_feature": 32}),
        Planted("world_parent", 0, "the first of its children", {"world_feature": 8}),
        Planted("world_parent", None, "it is a parent", {"world_feature": 0}),
        Planted("world_has", "no", "its family split", {"world_feature": 0}, "world, wide"),
        Planted("world_has", "yes", "it was kept", {"world_feature": 6}, "world, wide"),
        *tiny(),
    ]


def of_feature(feature: int, kind: str, of: int) -> list[Planted]:
    """Return what is known of a feature of the wide dictionary."""
    at, what = {"feature": feature}, "features, wide"
    truths = [
        Planted("world_kind", kind, "planted so", at, what),
        Planted("world_feature", None if of < 0 else of, "planted so", at, what),
        Planted("world_wrong", "said: split" if kind == "copied" else "", "Splitting takes copies for parts", at, what),
    ]
    if kind == "copied":
        truths.append(Planted("world_label", "split", "it has a copy", at, what))
    if kind in ("kept", "holed"):
        truths.append(Planted("world_cosine", 1, "it writes its feature", at, what))
    return truths


def tiny() -> list[Known]:
    """Three features of a world, the last the child of the first, and two of a dictionary."""
    true = np.array([[1.0, 0, 1], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    on = {"true": true, "fires": np.array([[0, 1], [1, 0], [1, 0], [1, 0], [0, 0]], bool)}
    near = {"W_dec": np.array([[2.0, 0, 0.1], [0, 0, 1]]), "world": np.eye(3)}
    return [
        known("world_rate", 0.6, "three of five", true=true, own=0),
        known("world_recall", 2 / 3, "two of three", **on, **near, own=0),
        known("world_precision", 2 / 3, "two of three", **on, **near, own=0),
        known("world_recall", 1, "on its one input", **on, **near, own=2),
        known("world_parent", 0, "it fires beside the first alone", true=true, own=2),
        known("world_is", "alone", "it fires without the first, too", true=true, own=1),
    ]
