"""Where matching meets Streamlit: pairs, best similarities, baselines and numbers of two dictionaries."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Between
from core.matching import pairs
from core.matching.comparison import SIDES, Comparison, K, Weights, check_matchable, nearest_neurons
from core.matching.file import match_file, to_json
from core.matching.labels import Relation, relate
from core.matching.null import SEED, own_nearest, shuffled
from core.matching.numbers import (
    Numbers,
    agreement_doubts,
    agreement_of,
    first_doubts,
    first_numbers_of,
    null_numbers,
    numbers_and_doubts,
)
from core.matching.pairs import Matching, Nearest, Similarity, match, sides_of
from core.matching.proof import Method
from core.work.calls import call, silent_call
from core.work.progress import Progress
from ui.studies import compute, geometry, second_dictionary


@dataclass(frozen=True, eq=False)
class Stated:
    """Numbers of two dictionaries, and how sure they are."""

    numbers: Numbers
    doubts: dict[str, str]
    """Which numbers rest on pairs that are not proven to be the best."""
    matchings: tuple[Matching, ...]
    """What they rest on."""


@dataclass(frozen=True, eq=False)
class MatchStudy:
    """Two dictionaries and the settings above the tabs. What compares them is found when a view asks for it."""

    a: Dictionary
    b: Dictionary
    ends: tuple[Weights, Weights]
    """The directions that are compared: those of the two, unless one of the two is shuffled."""
    label: str
    similarity: Similarity
    method: Method
    threshold: float
    names: tuple[str, str]
    """Names of what is compared: content hashes, unless one of the two is shuffled."""

    def end(self, end: str) -> Weights:
        """Return the directions of A or B."""
        return self.ends["ab".index(end)]

    def compared(self, *sides: DictionarySide) -> Comparison:
        """Return the two with the nearest features by these sides."""
        return second_dictionary.compared(*self.ends, self.names, self.label, sides=sides)

    def between(self, side: DictionarySide) -> Between:
        """Return the nearest features both ways, by decoder or encoder."""
        return self.compared(side).between(side)

    @property
    def smaller(self) -> int:
        """See `Comparison.smaller`."""
        return self.compared().smaller

    @property
    def side(self) -> DictionarySide:
        """The similarity, or the decoder if the similarity is both sides."""
        return "encoder" if self.similarity == "encoder" else "decoder"

    @property
    def settings(self) -> dict[str, object]:
        return {"similarity": self.similarity, "method": self.method, "threshold": self.threshold, "k": K}

    @property
    def provenance(self) -> dict[str, object]:
        return tables.provenance(
            dictionary=[self.a, self.b], method="matching by weights", settings=self.settings | {"shuffle_seed": SEED}
        )

    def note(self, *more: str) -> str:
        """Return the note under figures: how features were matched, the threshold, and more."""
        how = {"both": "encoder and decoder"}.get(self.similarity, self.similarity)
        return " · ".join([f"A {self.a.title}, B {self.b.title}", f"by {how}", *more])


def study(a: Dictionary, b: Dictionary, similarity: Similarity, method: Method, threshold: float) -> MatchStudy:
    """Return the two dictionaries side by side (raises what `core.matching.comparison.compare` raises)."""
    check_matchable(a, b)
    ends = second_dictionary.weights(a), second_dictionary.weights(b)
    label, names = f"Matching {a.title} with {b.title}", (a.sha256, b.sha256)
    found = MatchStudy(a, b, ends, label, similarity, method, threshold, names)
    found.compared()  # says so if no feature has a direction
    return found


def shuffled_study(study: MatchStudy) -> MatchStudy:
    """Return the same with the coordinates of B shuffled, as chance."""
    names = study.a.sha256, f"{study.b.sha256} shuffled with seed {SEED}"
    other = compute.loaded().get(f"directions {names[1]}", lambda: shuffled(study.end("b"), seed=SEED))
    label = "Matching with shuffled coordinates"
    return replace(study, ends=(study.end("a"), other), label=label, names=names)


def matching(study: MatchStudy, similarity: Similarity | None = None, method: Method | None = None) -> Matching:
    """Return the pairs, by the chosen similarity and method or by others."""
    similarity, method = similarity or study.similarity, method or study.method
    key = Matching.key(*study.names, similarity, method, min(K, study.smaller))
    if (stored := compute.stored(Matching, key)) is not None:
        return stored
    comparison = study.compared(*sides_of(similarity))
    work = call(match, comparison, similarity, method)
    return compute.result(Matching, key, f"Pairing features by {similarity}, {method}", work)


def nearest(study: MatchStudy) -> Nearest:
    """Return each feature's most similar feature in the other dictionary."""
    similarity = study.similarity
    compared = study.compared(*sides_of(similarity))
    if similarity != "both":
        return pairs.nearest(compared, similarity)
    work = call(pairs.nearest, compared, similarity)
    key = f"nearest by both sides {study.names} {K}"
    return compute.transient(key, "Features nearest by both sides", work)


def first_numbers(study: MatchStudy) -> Stated:
    """Return what the two share by one similarity; see core/catalogue/matching.toml."""
    near, chosen = nearest(study), matching(study, method="one-to-one")
    found = first_numbers_of(chosen, (near.a, near.b), study.smaller, threshold=study.threshold)
    return Stated(found, first_doubts(chosen, study.smaller), (chosen,))


def agreement(study: MatchStudy) -> Stated:
    """Return whether decoder and encoder make the same pairs, which takes a matching by each."""
    by = [matching(study, side, "one-to-one") for side in SIDES]
    return Stated(agreement_of(*by, study.smaller, threshold=study.threshold), agreement_doubts(*by), tuple(by))


def own(study: MatchStudy, end: str, side: DictionarySide) -> Float[np.ndarray, " d_sae"] | None:
    """Return the control: each feature's best match in its own dictionary except itself. None for one feature."""
    if study.end(end).finite.sum() < 2:
        return None
    return control(getattr(study, end), side)


def control(dictionary: Dictionary, side: DictionarySide) -> Float[np.ndarray, " d_sae"]:
    """Return each feature's best match in its own dictionary except itself (raises DoesNotFitError for one feature).

    NaN for features that every match leaves out.
    """
    weights = second_dictionary.weights(dictionary)
    if weights.finite.all():  # so that it is what other pages have stored
        return geometry.neighbors(dictionary.id, side).cos[:, 0]
    work = call(own_nearest, weights, side)
    return compute.transient(f"control by {side} of {dictionary.sha256}", f"Nearest within {dictionary.title}", work)


def neurons(study: MatchStudy, side: DictionarySide) -> Between:
    """Return the nearest input dimensions, columns over features (raises DoesNotFitError for unequal d_sae)."""
    key = f"nearest neurons {study.names} {side}"
    return compute.transient(
        key, f"Matching input dimensions, {side}", silent_call(nearest_neurons, study.a, study.b, side)
    )


def relation(study: MatchStudy, end: str) -> Relation:
    """Label the features of A or B by their nearest in the other, by decoder or encoder cosine."""
    between = study.between(study.side)
    a = between.a_in_b_cos[:, 0], between.a_in_b_idx[:, 0]
    b = between.b_in_a_cos[:, 0], between.b_in_a_idx[:, 0]
    return relate(*(a + b if end == "a" else b + a), threshold=study.threshold)


@dataclass(frozen=True, eq=False)
class Content:
    """A file that is ready for a download."""

    data: bytes

    @property
    def nbytes(self) -> int:
        return len(self.data)


def export_key(study: MatchStudy) -> str:
    return f"match file {study.names} {sorted(study.settings.items())} {study.a.id} {study.b.id}"


def export(study: MatchStudy) -> bytes:
    """Return the whole matching in sae-match/v1, with the same bytes as the command line writes."""
    comparison, similarity = study.compared(*SIDES), study.similarity

    def work(progress: Progress) -> Content:
        how = {"threshold": study.threshold, "progress": progress}
        pairs = match(comparison, similarity, study.method, progress=progress)
        stats, not_proven = numbers_and_doubts(comparison, similarity, **how)
        null = null_numbers(comparison, similarity, k=K, seed=SEED, **how)
        settings = {"threshold": study.threshold, "shuffle_seed": SEED}
        known = {"settings": settings, "stats": stats, "null": null, "not_proven": not_proven}
        return Content(to_json(match_file(study.a, study.b, pairs, **known)))

    return compute.transient(export_key(study), "The file of the matching", work).data
