"""Which feature fires on the token after another feature: counts, lift, and chance in shuffled text.

The null keeps every stretch of text (core.automata.stretches) and puts its tokens into a random order. So each feature
fires as often in each stretch, and the same features fire together; only what comes next is by chance. The mean of a
count over all orders has a closed form. If f fires on c_f of the n tokens of a stretch, g on c_g and both on b, then f
is followed by g (c_f c_g - b) / n times on average. Counts of such pairs vary less than Poisson's, so the tail of a
Poisson variable with this mean is a p-value, if anything too large. Texts that are really shuffled, by a seed, go
through the same test and show how many transitions it finds where there is none. Circular shifts would keep how a
feature's activations cluster, but a shift of a feature against itself says nothing about self-excitation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from core.activations.store import ActivationStore, left_out_name
from core.automata.stretches import Stretches, read_stretches
from core.maths.significance import benjamini_hochberg, log10_poisson_tails
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Progress
from core.work.threads import run_blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LEVELS = (0.05, 0.01, 0.001)
"""False discovery rates at which shuffled texts are tested. Transitions with a larger q than the first are not kept."""
_BLOCK = 2**19
"""Pairs of features in one block of work, about 30 bytes for each."""


@dataclass(frozen=True)
class TransitionSettings:
    """Which transitions are tested, and against how many shuffled texts."""

    least_tokens: int = 10
    """A feature is tested if it fires on this many tokens that have a next one, and on as many that follow one."""
    least_together: int = 5
    """A transition that happens fewer times has p = 1. Such pairs still count as tests."""
    n_shuffles: int = 2
    seed: int = 0

    def __post_init__(self):
        assert min(self.least_tokens, self.least_together, self.n_shuffles + 1) >= 1, self


@dataclass(frozen=True, eq=False)
class Transitions:
    """Transitions between features of a dictionary on a text: feature `source` on a token, `target` on the next."""

    n_pairs: int
    """Pairs of successive tokens of a stretch."""
    n_tokens: int
    """Tokens of all stretches."""
    n_tests: int
    """Ordered pairs of two tested features; all of them are one family of tests."""
    token_count: Int[np.ndarray, " d_sae"]
    """Tokens on which each feature fires."""
    source_count: Int[np.ndarray, " d_sae"]
    """Pairs of tokens on whose first each feature fires."""
    target_count: Int[np.ndarray, " d_sae"]
    """Pairs of tokens on whose second each feature fires."""
    self_count: Int[np.ndarray, " d_sae"]
    """Pairs of tokens on both of which each feature fires."""
    self_expected: Float[np.ndarray, " d_sae"]
    """Mean of `self_count` over all orders of the tokens in each stretch."""
    self_log10_q: Float[np.ndarray, " d_sae"]
    """Over all tested features, which are a family of their own; NaN for a feature that is not tested."""
    source: Int[np.ndarray, " edge"]
    target: Int[np.ndarray, " edge"]
    """Of all transitions between two features with q <= LEVELS[0], by source and then by target, ascending."""
    count: Int[np.ndarray, " edge"]
    expected: Float[np.ndarray, " edge"]
    """Mean of `count` over all orders of the tokens in each stretch."""
    together: Int[np.ndarray, " edge"]
    """Tokens on which both fire."""
    log10_q: Float[np.ndarray, " edge"]
    shuffled_found: Int[np.ndarray, "shuffle level"]
    """How many transitions each shuffled text has with a q of at most each of LEVELS."""
    version: ClassVar[int] = 1

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        rows_sha256: str,
        settings: TransitionSettings,
        *,
        left_out: tuple[int, ...],
        apart: tuple[int, ...],
    ) -> str:
        return artifact_key(
            "transitions",
            cls.version,
            dictionary=dictionary_sha256,
            model=model_sha256,
            rows=rows_sha256,
            left_out=left_out_name(left_out),
            apart=left_out_name(apart),
            **asdict(settings),
        )

    @property
    def d_sae(self) -> int:
        return len(self.source_count)

    @cached_property
    def lift(self) -> Float[np.ndarray, " edge"]:
        """P(target fires next, given source) / P(target fires on a token that follows another)."""
        return self.lift_of(self.count, self.source, self.target)

    @cached_property
    def shuffled_lift(self) -> Float[np.ndarray, " edge"]:
        """Mean lift over all orders of the tokens in each stretch."""
        return self.lift_of(self.expected, self.source, self.target)

    @cached_property
    def together_lift(self) -> Float[np.ndarray, " edge"]:
        """How many times as often both fire on one token as two independent features."""
        return self.together / self.token_count[self.source] * (self.n_tokens / self.token_count[self.target])

    @cached_property
    def self_lift(self) -> Float[np.ndarray, " d_sae"]:
        """`lift` of each feature after itself."""
        every = np.arange(self.d_sae)
        return self.lift_of(self.self_count, every, every)

    @cached_property
    def self_shuffled_lift(self) -> Float[np.ndarray, " d_sae"]:
        """Mean of `self_lift` over all orders of the tokens in each stretch."""
        every = np.arange(self.d_sae)
        return self.lift_of(self.self_expected, every, every)

    def lift_of(self, count: np.ndarray, source: np.ndarray, target: np.ndarray) -> Float[np.ndarray, " n"]:
        """Return the lift of so many transitions; NaN where a feature never fires."""
        with np.errstate(divide="ignore", invalid="ignore"):
            lift = (count / self.source_count[source]) * (self.n_pairs / self.target_count[target])
        return np.where((self.source_count[source] > 0) & (self.target_count[target] > 0), lift, np.nan)


def transitions_of_store(
    store: ActivationStore,
    d_sae: int,
    settings: TransitionSettings | None = None,
    *,
    apart: Sequence[int],
    progress: Progress = SILENT,
) -> Transitions:
    """Return the transitions of a store's stretches. Raises MissingActivationsError."""
    return transitions(read_stretches(store, d_sae, apart=apart), settings, progress=progress)


def transitions(
    stretches: Stretches,
    settings: TransitionSettings | None = None,
    *,
    block: int | None = None,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Transitions:
    """Count and test all transitions between features, from sparse activations alone.

    `block` is how many features are a unit of work; neither it nor `workers` changes the result. No matrix of
    d_sae x d_sae is ever whole in memory. `progress` counts features.
    """
    settings = settings or TransitionSettings()
    fires, first = _fires(stretches), stretches.first
    source_count, target_count = (_columns(fires[part]) for part in (first, first + 1))
    tested = np.flatnonzero(np.minimum(source_count, target_count) >= settings.least_tokens)
    n_tests = len(tested) * max(0, len(tested) - 1)
    as_it_is = np.arange(len(stretches.number))
    orders = [shuffled(stretches, seed=settings.seed, number=i) for i in range(settings.n_shuffles)]
    how = {"least": settings.least_together, "block": block, "workers": workers, "progress": progress}
    found, *chance = _found(fires[:, tested].tocsr(), stretches, [as_it_is, *orders], n_tests, **how)
    self_count, self_expected = _selves(fires, stretches)
    self_p = log10_poisson_tails(self_count, self_expected)
    self_p[np.setdiff1d(np.arange(stretches.acts.d_sae), tested)] = np.nan
    numbers = [[np.count_nonzero(text.log10_q <= np.log10(level)) for level in LEVELS] for text in chance]
    return Transitions(
        n_pairs=len(first),
        n_tokens=stretches.acts.n_tokens,
        n_tests=n_tests,
        token_count=stretches.acts.count,
        source_count=source_count,
        target_count=target_count,
        self_count=self_count,
        self_expected=self_expected,
        self_log10_q=benjamini_hochberg(self_p[:, None])[:, 0],
        source=tested[found.source].astype(np.int32),
        target=tested[found.target].astype(np.int32),
        count=found.count,
        expected=found.expected,
        together=found.together,
        log10_q=found.log10_q,
        shuffled_found=np.array(numbers, np.int64).reshape(-1, len(LEVELS)),
    )


def shuffled(stretches: Stretches, *, seed: int, number: int = 0) -> Int[np.ndarray, " token"]:
    """Return a random order of the tokens of each stretch: which token comes to stand at each place."""
    random = np.random.default_rng([seed, number]).random(len(stretches.number))
    return np.lexsort((random, stretches.number))


def _fires(stretches: Stretches) -> "csr_matrix":
    """Return a sparse matrix of tokens by features with 1 wherever a feature fires."""
    from scipy.sparse import csr_matrix

    acts = stretches.acts
    ends = np.concatenate([[0], acts.ends])
    return csr_matrix((np.ones(len(acts.features), np.int32), acts.features, ends), (acts.n_tokens, acts.d_sae))


def _columns(matrix: "csr_matrix") -> Int[np.ndarray, " column"]:
    return np.bincount(matrix.indices, minlength=matrix.shape[1])


def _by_stretch(fires: "csr_matrix", stretches: Stretches) -> "csr_matrix":
    """Return a sparse matrix of stretches by features: on how many tokens of a stretch each fires."""
    from scipy.sparse import csr_matrix

    n = len(stretches.number)
    member = csr_matrix((np.ones(n, np.int32), (stretches.number, np.arange(n))), (len(stretches.length), n))
    return (member @ fires).tocsr()


class _Found(NamedTuple):
    """The transitions that a test finds in one order of the text, by source and then by target."""

    source: np.ndarray
    target: np.ndarray
    count: np.ndarray
    expected: np.ndarray
    together: np.ndarray
    log10_q: np.ndarray
    """While the family of tests is not complete, log10 p."""


def _found(
    fires: "csr_matrix",
    stretches: Stretches,
    orders: Sequence[np.ndarray],
    n_tests: int,
    *,
    least: int,
    block: int | None,
    workers: int | None,
    progress: Progress,
) -> list[_Found]:
    """Test all transitions between different features in several orders of the text. Their means are the same."""
    from core.automata.kernels import expect, follow

    n, number = fires.shape[1], stretches.number
    by_feature, by_stretch = fires.T.tocsr(), _by_stretch(fires, stretches)
    sparse = (by_feature.indptr[1:], by_feature.indices), (fires.indptr[1:], fires.indices)
    in_stretches = by_stretch.indptr[1:], by_stretch.indices, by_stretch.data
    places = [(order, np.argsort(order)) for order in orders]

    def work(part: slice) -> list[_Found]:
        shape = part.stop - part.start, n
        count, mean, together = np.empty(shape, np.int32), np.empty(shape), np.empty(shape, np.int32)
        expect(part.start, *sparse, in_stretches, number, stretches.length, mean, together)
        np.maximum(mean, 0, out=mean)  # it is 0 only where no order has the transition
        found = []
        for order, place in places:
            follow(part.start, *sparse, number, order, place, count)
            np.fill_diagonal(count[:, part], 0)
            found.append(_likely(count, mean, together, least, part.start))
        return found

    parts = run_blocks(work, n, block or max(1, _BLOCK // max(1, n)), workers=workers, progress=progress)
    return [_corrected([found[i] for found in parts], n_tests) for i in range(len(orders))]


def _likely(count: np.ndarray, mean: np.ndarray, together: np.ndarray, least: int, start: int) -> _Found:
    """Return what may have a q of at most LEVELS[0]: its p is no larger, and so its count is above the mean."""
    pairs = np.nonzero((count >= least) & (count > mean))
    log10_p = log10_poisson_tails(count[pairs], mean[pairs])
    kept = log10_p <= np.log10(LEVELS[0])
    source, target = pairs = tuple(side[kept] for side in pairs)
    return _Found(source + start, target, count[pairs], mean[pairs], together[pairs], log10_p[kept])


def _corrected(parts: Sequence[_Found], n_tests: int) -> _Found:
    """Join parts, put q in the place of p, and keep what has a q of at most LEVELS[0]."""
    whole, real = np.zeros(0, np.int32), np.zeros(0)
    none = _Found(whole, whole, whole, real, whole, real)
    joined = _Found(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))
    log10_q = benjamini_hochberg(joined.log10_q[:, None], n_tests=n_tests)[:, 0]
    kept = log10_q <= np.log10(LEVELS[0])
    return _Found(*(column[kept] for column in joined._replace(log10_q=log10_q)))


def _selves(fires: "csr_matrix", stretches: Stretches) -> tuple[Int[np.ndarray, " d_sae"], Float[np.ndarray, " d_sae"]]:
    """Return how often each feature follows itself, and the mean of that over all orders of each stretch's tokens."""
    count = _columns(fires[stretches.first].multiply(fires[stretches.first + 1]).tocsr())
    by_stretch = _by_stretch(fires, stretches)
    length = np.repeat(stretches.length, np.diff(by_stretch.indptr))
    share = by_stretch.data * (by_stretch.data - 1) / length
    return count, np.bincount(by_stretch.indices, weights=share, minlength=fires.shape[1]).astype(float)
