"""Three dictionaries of which each pair and all three share a feature; four that differ in one label; and a core."""

import numpy as np

from core.geometry.neighbors import nearest_between
from core.matching.matrix import FACTORS, factor_table, match_matrix
from core.matching.overlap import overlap_table
from core.oracles.stability import return_threshold
from core.stability.factors import factor_table as by_return
from core.stability.returning import stability
from core.stability.stable_core import core_table, stable_core
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known
from tests.stability.test_returning import dictionary, noisy

D, T, ZERO = 16, 0.7, 5
LABELS = [{"seed": 0, "width": 6}, {"seed": 1, "width": 6}, {"seed": 1, "width": 9}, {"seed": 0, "width": 12}]
PAIRS = [(0, 1), (1, 0), (0, 3), (3, 0), (1, 2), (2, 1)]
"""Those that differ in one label, in the order of the factors, each both ways."""
ELSEWHERE = dict.fromkeys(("matching_ratio", "random_ratio", "mmcs"), "held on Matching")
MEASURED = {"dictionary": "its title", "fve": "held on Activations", "l0": "held on Activations"}


def case(folder) -> Case:
    return Case([*of_overlap(), of_factors(folder), *of_returning(), *of_core(folder)], planted())


def three() -> list[np.ndarray]:
    """Return A, B and C: 0 is in all, 1 in A and B, 2 in A and C, 3 in B and C, 4 in all but B and C lie apart."""
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))[0]
    a = axes[[0, 1, 2, 8, 4, 9]]
    b = np.stack([axes[0], axes[1], axes[10], axes[3], 0.8 * axes[4] + 0.6 * axes[7], axes[11]])
    c = np.stack([0.8 * axes[4] - 0.6 * axes[7], axes[0], axes[12], axes[2], axes[3]])
    found = [noisy(rows, 0.05, seed) for seed, rows in enumerate((a, b, c))]
    found[0][ZERO] = 0
    return found


def of_overlap() -> list[Shown]:
    a, b, c = given = three()
    pairs = [nearest_between(*pair, k=1) for pair in ((a, b), (a, c), (b, c))]
    table = overlap_table(*pairs, "ABC", threshold=T)
    title, where = {"dictionary": "its title"}, {"overlap_region": "overlap_region"}
    return [
        Shown(
            f"overlap of {name}",
            table[table["dictionary"] == name].reset_index(drop=True),
            {"three": given, "threshold": T, "own": own},
            where,
            not_held=title,
        )
        for own, name in enumerate("ABC")
    ]


def of_factors(folder) -> Shown:
    drawn = [np.random.default_rng(seed).standard_normal((one["width"], D)) for seed, one in enumerate(LABELS)]
    made = [dictionary(rows) for rows in drawn]
    matrix = match_matrix(made, "decoder", store=ArtifactStore(folder / "cache"))
    names = {"matched_from": "a title", "matched_to": "a title"} | ELSEWHERE
    given = {"labels": LABELS, "names": FACTORS, "pairs": PAIRS}
    table = factor_table(matrix, list("pqrs"), LABELS, threshold=T)
    return Shown("factors", table, given, {"pair": "#"}, not_held=names)


def of_returning() -> list[Shown]:
    """Return for each pair that differs in one label the share of the one that returns in the other."""
    rows = [np.random.default_rng(seed).standard_normal((one["width"], D)) for seed, one in enumerate(LABELS)]
    rows[1][:3], rows[3][:2], rows[2][5] = noisy(rows[0][:3], 0.1, 1), rows[0][4:], 0
    made, ends = [dictionary(each) for each in rows], {"matched_from": "a title", "matched_to": "a title"}
    table, shown = by_return(made, list("pqrs"), LABELS, threshold=T), []
    for i, (one, other) in enumerate(PAIRS):
        given = {"directions": made[one].W_dec.astype(float), "others": [made[other].W_dec.astype(float)], "other": 0}
        used = return_threshold(given["directions"], given["others"], T, 0)
        held = given | {"used": [used], "labels": LABELS, "names": FACTORS, "pairs": [(one, other)], "pair": 0}
        mine = table.iloc[[i]].reset_index(drop=True)
        shown.append(Shown(f"returning by factor {i}", mine, held, {}, not_held=ends))
    return shown


def of_core(folder) -> list[Shown]:
    """Return the numbers of a dictionary of which five features return in one, and two in both others."""
    own = planted_dictionary(seed=0)
    copied = {1: 5, 2: 2}
    others = [planted_dictionary(seed=i, tensors={"W_dec": shared(own.W_dec, n, i)}) for i, n in copied.items()]
    found = stability(own, others, threshold=0.95)
    used = [one.threshold for one in found.returns]
    given = {"directions": own.W_dec.astype(float), "others": [one.W_dec.astype(float) for one in others], "used": used}
    rows = np.random.default_rng(0).integers(0, 257, (4, 6))
    shown = []
    for times, one in ((None, own), (1, stable_core(own, found, times=1)), (2, stable_core(own, found, times=2))):
        table = core_table([one], planted_model(folder), rows)
        shown.append(Shown(f"core of {times}", table, given | {"times": times}, {}, not_held=MEASURED))
    return shown


def shared(rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return random rows, of which the first n are those given, at other lengths."""
    drawn = np.random.default_rng(seed).standard_normal(rows.shape).astype(np.float32)
    drawn[:n] = 2 * rows[:n]
    return drawn


def planted() -> list[Planted | Known]:
    a, b, c = ("overlap of A", "overlap of B", "overlap of C")
    alone, triple, opened = ({"overlap_region": name} for name in ("A alone", "A, B and C", "A, B and C, open"))
    plane = {"three": [np.eye(2), np.eye(2)[:1], -np.eye(2)], "threshold": 0.7, "own": 0}
    two, first = {"labels": [{"seed": 0}, {"seed": 1}], "names": ["seed"]}, {"directions": np.eye(3)}
    return [
        Planted("overlap_features", 1, "3, as 5 has no direction", alone, a),
        Planted("overlap_share", 1 / 5, "one of five with a direction", alone, a),
        *(Planted("overlap_features", 1, "0", triple, what) for what in (a, b, c)),
        Planted("overlap_features", 1, "4, whose partners lie apart", opened, a),
        Planted("overlap_features", 0, "C's are not partners of B's 4", opened, b),
        Planted("overlap_features", 1, "3", {"overlap_region": "B and C"}, c),
        Planted("core_features", 12, "all of them", what="core of None"),
        Planted("core_features", 5, "five were copied", what="core of 1"),
        Planted("core_features", 2, "two were copied twice", what="core of 2"),
        Planted("returned_share", 3 / 6, "three of six were copied", what="returning by factor 0"),
        Planted("match_factor", "seed", "the widths are the same", {"factor_change": "0 → 1"}),
        Planted("factor_change", "9 → 6", "from the third to the second", {"matched_from": "r", "matched_to": "q"}),
        known("overlap_share", 0.5, "one of two is in B", **plane, overlap_region="A and B"),
        known("match_factor", "seed", "the only label", **two, pairs=[(1, 0)], pair=0),
        known("factor_change", "1 → 0", "from the second to the first", **two, pairs=[(1, 0)], pair=0),
        known("core_features", 1, "one row came back", **first, others=[np.eye(3)[:1]], used=[0.9], times=1),
    ]
