"""Where the neighbours of features meet Streamlit: studies, baselines and sums of features from the store."""

from contextlib import nullcontext, suppress

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide, directions
from core.geometry.composed import MOST_NEIGHBORS, Composed, composed_features
from core.geometry.neighbors import Neighbors, nearest_features
from core.geometry.study import GeometryStudy, wanted_neighbors
from core.geometry.tables import closest_feature
from core.logit_weights.statistics import random_directions
from core.maths.degenerate import Degenerate, degenerate
from core.maths.random_directions import RandomDirections
from core.work.calls import call
from ui.shared.errors import NotStored
from ui.shared.picked_feature import suggest_feature
from ui.studies import compute, opened

SIMULATION_SEED = 0


def neighbors(id: str | None = None, side: DictionarySide = "decoder", *, copies: bool = True) -> Neighbors:
    """Return the nearest features of the picked dictionary, or of the one with this id (raises LoupeError).

    Without `copies` each direction counts once: what maps, means and nulls rest on.
    """
    dictionary = opened.dictionary(id)
    copies = copies or not len(odd_features(dictionary, side).copies.row)
    return compute.wanted(wanted_neighbors(dictionary, side, copies=copies, device=compute.device()))


def suggest_closest(neighbors: Neighbors) -> None:
    """Suggest the feature with the nearest neighbour."""
    closest = closest_feature(neighbors)
    if closest is not None:
        suggest_feature(closest, "no other has a nearer neighbour")


def quick_neighbors(id: str, side: DictionarySide) -> Neighbors | None:
    """Return the neighbours if they are stored or found within a second or two, else None."""
    rows = directions(opened.dictionary(id), side)
    with suppress(NotStored), nullcontext() if rows.shape[0] * rows.size <= compute.CHEAP else compute.only_stored():
        return neighbors(id, side)
    return None


def odd_features(dictionary: Dictionary, side: DictionarySide) -> Degenerate:
    """Return which features are no data of their own."""
    return compute.loaded().get(
        f"degenerate {side} {dictionary.sha256}", lambda: degenerate(directions(dictionary, side)), name="Odd features"
    )


def study(id: str | None = None, side: DictionarySide = "decoder") -> GeometryStudy:
    """Return a dictionary with its neighbours."""
    dictionary = opened.dictionary(id)
    near, distinct = neighbors(id, side), neighbors(id, side, copies=False)
    # The study is kept beside the neighbours, because its sums are the same on every rerun.
    key = f"geometry study {Neighbors.key(dictionary.sha256, side, near.k)} of {dictionary.id}"
    return compute.loaded().get(key, lambda: GeometryStudy(dictionary, side, near, distinct))


def simulated(random: RandomDirections, k: int) -> Neighbors:
    """Return the neighbours of seeded random directions, which check the closed form."""
    name = f"{random.n} random directions in {random.d} dimensions, seed {SIMULATION_SEED}"
    device = compute.device(random.n**2 * random.d)
    rows = random_directions(random.n, random.d, seed=SIMULATION_SEED)
    work = call(nearest_features, rows, k=k, device=device)
    return compute.result(Neighbors, Neighbors.key(name, "decoder", k), f"Nearest of {name}", work)


def composed(study: GeometryStudy) -> Composed:
    """Return the best sum of two neighbours for every feature."""
    work = call(composed_features, study.directions, study.distinct, n_neighbors=MOST_NEIGHBORS)
    key = Composed.key(study.dictionary.sha256, study.side, min(MOST_NEIGHBORS, study.distinct.k))
    return compute.result(Composed, key, f"Sums of two features of {study.dictionary.title}", work)
