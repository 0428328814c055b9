"""Where matching meets Streamlit: pairs, best similarities, baselines and numbers of two dictionaries."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide
from core.geometry.neighbors import Between
from core.matching import numbers as core_numbers
from core.matching import pairs
from core.matching.comparison import SIDES, Comparison, K, nearest_neurons
from core.matching.file import match_file, to_json
from core.matching.labels import Relation, relate
from core.matching.null import SEED, own_nearest, shuffled
from core.matching.numbers import Numbers, null_numbers, numbers_and_doubts, numbers_of
from core.matching.pairs import Matching, Nearest, Similarity, match
from core.matching.proof import Method
from core.work.jobs import Progress
from ui.studies import compute, geometry, second_dictionary


@dataclass(frozen=True, eq=False)
class MatchStudy:
    """Two dictionaries, their nearest features, and the settings above the tabs."""

    a: Dictionary
    b: Dictionary
    comparison: Comparison
    similarity: Similarity
    method: Method
    threshold: float
    names: tuple[str, str]
    """Names of what is compared: content hashes, unless one of the two is shuffled."""

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
    """Return the two dictionaries side by side (raises what `second_dictionary.comparison` raises)."""
    compared = second_dictionary.comparison(a, b)
    return MatchStudy(a, b, compared, similarity, method, threshold, (a.sha256, b.sha256))


def shuffled_study(study: MatchStudy) -> MatchStudy:
    """Return the same with the coordinates of B shuffled, as chance."""
    names = study.a.sha256, f"{study.b.sha256} shuffled with seed {SEED}"
    other = compute.loaded().get(f"directions {names[1]}", lambda: shuffled(study.comparison.b, seed=SEED))
    by_chance = second_dictionary.compared(study.comparison.a, other, names, "Matching with shuffled coordinates")
    return replace(study, comparison=by_chance, names=names)


def matching(study: MatchStudy, similarity: Similarity | None = None, method: Method | None = None) -> Matching:
    """Return the pairs, by the chosen similarity and method or by others."""
    similarity, method = similarity or study.similarity, method or study.method
    k = study.comparison.decoder.a_in_b_idx.shape[1]
    key = Matching.key(*study.names, similarity, method, k)

    def work(progress: Progress) -> Matching:
        return match(study.comparison, similarity, method, progress=progress)

    return compute.result(Matching, key, f"Pairing features by {similarity}, {method}", work)


def nearest(study: MatchStudy) -> Nearest:
    """Return each feature's most similar feature in the other dictionary."""
    compared, similarity = study.comparison, study.similarity
    if similarity != "both":
        return pairs.nearest(compared, similarity)

    def work(progress: Progress) -> Nearest:
        return pairs.nearest(compared, similarity, progress=progress)

    key = f"nearest by both sides {study.names} {K}"
    return compute.transient(key, "Features nearest by both sides", work)


def numbers(study: MatchStudy) -> Numbers:
    """Return what the two share; see core/catalogue/matching.toml."""
    decoder, encoder, chosen = (matching(study, similarity, "one-to-one") for similarity in (*SIDES, study.similarity))
    near = nearest(study)
    return numbers_of(decoder, encoder, chosen, (near.a, near.b), study.comparison.smaller, threshold=study.threshold)


def doubts(study: MatchStudy) -> dict[str, str]:
    """Say which of `numbers` rest on pairs that are not proven to be the best."""
    each = (matching(study, similarity, "one-to-one") for similarity in (*SIDES, study.similarity))
    return core_numbers.doubts(*each, study.comparison.smaller)


def own(study: MatchStudy, end: str, side: DictionarySide) -> Float[np.ndarray, " d_sae"] | None:
    """Return the control: each feature's best match in its own dictionary except itself. None for one feature."""
    if getattr(study.comparison, end).finite.sum() < 2:
        return None
    return control(getattr(study, end), side)


def control(dictionary: Dictionary, side: DictionarySide) -> Float[np.ndarray, " d_sae"]:
    """Return each feature's best match in its own dictionary except itself (raises DoesNotFitError for one feature).

    NaN for features that every match leaves out.
    """
    weights = second_dictionary.weights(dictionary)
    if weights.finite.all():  # so that it is what other pages have stored
        return geometry.neighbors(dictionary.id, side).cos[:, 0]

    def work(progress: Progress) -> Float[np.ndarray, " d_sae"]:
        return own_nearest(weights, side, progress=progress)

    return compute.transient(f"control by {side} of {dictionary.sha256}", f"Nearest within {dictionary.title}", work)


def neurons(study: MatchStudy, side: DictionarySide) -> Between:
    """Return the nearest input dimensions, columns over features (raises DoesNotFitError for unequal d_sae)."""
    key = f"nearest neurons {study.names} {side}"
    return compute.transient(
        key, f"Matching input dimensions, {side}", lambda _: nearest_neurons(study.a, study.b, side)
    )


def relation(study: MatchStudy, end: str) -> Relation:
    """Label the features of A or B by their nearest in the other, by decoder or encoder cosine."""
    between = study.comparison.between(study.side)
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

    def work(progress: Progress) -> Content:
        comparison, similarity = study.comparison, study.similarity
        how = {"threshold": study.threshold, "progress": progress}
        pairs = match(comparison, similarity, study.method, progress=progress)
        stats, not_proven = numbers_and_doubts(comparison, similarity, **how)
        null = null_numbers(comparison, similarity, k=K, seed=SEED, **how)
        settings = {"threshold": study.threshold, "shuffle_seed": SEED}
        known = {"settings": settings, "stats": stats, "null": null, "not_proven": not_proven}
        return Content(to_json(match_file(study.a, study.b, pairs, **known)))

    return compute.transient(export_key(study), "The file of the matching", work).data
