"""Token-set enrichment: does a feature promote or suppress a class of tokens, and how certain is this?

Tokens are ranked by logit weight, the largest first. The running sum rises by 1/k at each of the k tokens of the set
and falls by 1/(V - k) at each of the other tokens. Its extreme is the enrichment score: the unweighted GSEA score and,
without its sign, the two-sample Kolmogorov-Smirnov statistic. Equal logit weights count as one step, so that their
order does not matter. No torch is imported.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from core.devices.device import CPU, Device
from core.enrichment.inputs import TILE, Members, check_sets, check_width, token_length
from core.enrichment.nulls import DRAWS, EnrichmentNull
from core.logit_weights.unembedding import LogitSettings, Unembedding
from core.maths.significance import benjamini_hochberg, log10_normal_tails
from core.token_sets.sets import TokenSet, TokenSets
from core.work.artifacts import artifact_key
from core.work.calls import Call
from core.work.progress import SILENT, Progress
from core.work.threads import available_cpus, run_blocks

FLAT = 1e-5
"""A feature is blank if the range of its logit weights is below this share of ‖direction‖ ‖token‖: it is rounding."""
_BLOCK_BYTES = 16 * 2**20
"""Bytes for the logit weights of a block of features, in each worker."""


@dataclass(frozen=True)
class Enrichment:
    """Every feature's enrichment in every token set.

    Blank features have NaN everywhere: their logit weights are all equal (a zero decoder row) or not finite.
    """

    es_high: Float[np.ndarray, "d_sae n_sets"]
    """Largest value of the running sum, 0 to 1: the set is promoted."""
    es_low: Float[np.ndarray, "d_sae n_sets"]
    """Smallest value of the running sum, -1 to 0: the set is suppressed."""
    auc: Float[np.ndarray, "d_sae n_sets"]
    """Probability that a token of the set has a larger logit weight than a token outside; ties count half."""
    log10_p: Float[np.ndarray, "d_sae n_sets"]
    """log10 of the p-value of the absolute score, see EnrichmentNull."""
    log10_q: Float[np.ndarray, "d_sae n_sets"]
    """log10 of Benjamini-Hochberg's q over all features and sets."""
    set_names: tuple[str, ...]
    sizes: Int[np.ndarray, " n_sets"]
    """Number of tokens in each set that have a logit weight."""
    n_tokens: int
    """V, the number of tokens with a logit weight."""
    seed: int
    draws: int
    """Number of random sets for each size under 30 tokens, from which p-values come."""
    version: ClassVar[int] = 4

    @classmethod
    def key(
        cls,
        dictionary_sha256: str,
        model_sha256: str,
        settings: LogitSettings,
        sets_sha256: str,
        *,
        seed: int = 0,
        draws: int = DRAWS,
        device: Device = CPU,
    ) -> str:
        inputs = {"dictionary": dictionary_sha256, "model": model_sha256, "sets": sets_sha256}
        inputs |= {"seed": seed, "draws": draws} | settings.as_inputs() | device.inputs
        return artifact_key("enrichment", cls.version, **inputs)

    @property
    def es(self) -> Float[np.ndarray, "d_sae n_sets"]:
        """Enrichment score: the extreme of the running sum that is farther from 0; ties: the positive one."""
        return signed_extreme(self.es_high, self.es_low)

    @cached_property
    def n_tests(self) -> int:
        """Number of pairs of feature and set, over which q corrects."""
        return int(np.count_nonzero(~np.isnan(self.log10_p)))

    @property
    def auc_spread(self) -> Float[np.ndarray, " n_sets"]:
        """Standard deviation of AUC if the set is drawn at random; ties are ignored."""
        return np.sqrt((self.n_tokens + 1) / (12 * self.sizes * (self.n_tokens - self.sizes)))

    @property
    def auc_z(self) -> Float[np.ndarray, "d_sae n_sets"]:
        """(AUC - 1/2) in standard deviations: a second test beside the score."""
        return (self.auc - 0.5) / self.auc_spread

    @property
    def auc_log10_p(self) -> Float[np.ndarray, "d_sae n_sets"]:
        """log10 of the two-sided normal p of AUC (Mann-Whitney)."""
        return log10_normal_tails(self.auc_z)


def signed_extreme(high: Float[np.ndarray, "*shape"], low: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Return the value that is farther from 0; ties: `high`."""
    return np.where(high >= -low, high, low)


def enrichment(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    sets: TokenSets,
    *,
    seed: int = 0,
    draws: int = DRAWS,
    device: Device = CPU,
    progress: Progress = SILENT,
    workers: int | None = None,
    block: int | None = None,
) -> Enrichment:
    """Compute Enrichment of all rows of `directions` in all sets, exactly for the float32 logit weights.

    Definitions: Subramanian et al. 2005 (unweighted), Bloom & Lin 2024 for token sets; the sign and the p-value
    are ours. Each feature takes its product with the unembedding, one sort of V values and one visit to each
    membership of a token in a set. Each worker holds `block` features at a time, about 16 MiB. Tokens with equal rows
    tie exactly. Other tokens whose logit weights differ only by rounding may change places with the processor and with
    `block`; this moves scores by a rank or two, by at most 1e-4 for sets of 30 tokens or more, mostly by 1e-5. A device
    that runs kernels ranks the float32 logit weights of its own product (core.enrichment.on_device). Raises
    DoesNotFitError for widths that differ, and for a set of no tokens or of all.
    """
    check_width(directions, unembedding)
    check_sets(sets, unembedding.tokens)
    members, d_sae = Members(sets, unembedding.tokens), len(directions)
    least_range = (FLAT * token_length(unembedding) * np.linalg.norm(directions, axis=1)).astype(np.float32)
    null = EnrichmentNull(members.sizes, members.n_tokens, seed=seed, draws=draws)
    if device.runs_kernels:
        from core.enrichment.on_device import running_sum_extremes

        at = directions, unembedding, least_range, members.rows_of_sets()
        return _finished(
            _of_extremes(*running_sum_extremes(*at, device, progress=progress), members, null), sets, members, null
        )
    # The block must not depend on the number of workers, as the last bits of a product depend on its size.
    block = block or max(1, min(64, _BLOCK_BYTES // (4 * members.n_tokens), -(-d_sae // 8)))
    workers = min(workers or available_cpus(), -(-d_sae // block))
    buffers = [np.empty(block * members.n_tokens, np.float32) for _ in range(workers)]
    out = {name: np.empty((d_sae, len(sets)), np.float32) for name in ("es_high", "es_low", "auc", "log10_p")}

    def work(features: slice) -> None:
        buffer = buffers.pop()
        try:
            values = _logit_weights(directions[features], unembedding, buffer)
            for name, scores in _scores(values, least_range[features], members, null).items():
                out[name][features] = scores
        finally:
            buffers.append(buffer)

    run_blocks(work, d_sae, block, workers=workers, progress=progress)
    return _finished(out, sets, members, null)


def _finished(scores: dict[str, np.ndarray], sets: TokenSets, members: Members, null: EnrichmentNull) -> Enrichment:
    """Make the result: add q, which needs the p-values of all features and sets."""
    return Enrichment(
        **scores,
        log10_q=benjamini_hochberg(scores["log10_p"]),
        set_names=sets.names,
        sizes=members.sizes,
        n_tokens=members.n_tokens,
        seed=null.seed,
        draws=null.draws,
    )


def _logit_weights(
    directions: Float[np.ndarray, "feature d_model"], unembedding: Unembedding, buffer: Float[np.ndarray, " floats"]
) -> Float[np.ndarray, "feature n_tokens"]:
    """Fill the buffer with the logit weights of a block of features."""
    rows, block = unembedding.rows, directions.astype(np.float32, copy=False)
    out = buffer[: len(block) * len(rows)].reshape(len(block), -1)
    for start in range(0, len(rows), TILE):
        tile = slice(start, start + TILE)
        np.matmul(block, rows[tile].astype(np.float32, copy=False).T, out=out[:, tile])
    unembedding.ties.settle(out, 0, np.empty((len(out), unembedding.ties.n_groups), np.float32))
    return out


def _scores(
    values: Float[np.ndarray, "feature n_tokens"],
    least_range: Float[np.ndarray, " feature"],
    members: Members,
    null: EnrichmentNull,
) -> dict[str, np.ndarray]:
    """Return the fields of Enrichment, without log10_q, for a block of features."""
    from core.enrichment.kernels import running_sum_extremes

    n, k = len(values), members.sizes
    low, high, ranks = (np.empty((n, len(k)), np.int64) for _ in range(3))
    blank = np.empty(n, bool)
    running_sum_extremes(values, least_range, members.spans, members.sets, k, low, high, ranks, blank)
    return _of_extremes(low, high, ranks, blank, members, null)


def _of_extremes(
    low: Int[np.ndarray, "feature n_sets"],
    high: Int[np.ndarray, "feature n_sets"],
    ranks: Int[np.ndarray, "feature n_sets"],
    blank: Bool[np.ndarray, " feature"],
    members: Members,
    null: EnrichmentNull,
) -> dict[str, Float[np.ndarray, "feature n_sets"]]:
    """Turn the whole numbers that a kernel counts into scores and p-values."""
    k = members.sizes
    pairs = k * (members.n_tokens - k)
    scores = {
        "es_high": high / pairs,
        "es_low": low / pairs,
        # In ranks / 2 - k (k - 1) / 2 pairs, the token outside the set ranks first.
        "auc": 1 - (ranks - k * (k - 1)) / (2 * pairs),
        "log10_p": null.log10_p(np.maximum(high, -low)),
    }
    scores = {name: array.astype(np.float32) for name, array in scores.items()}
    for array in scores.values():
        array[blank] = np.nan
    return scores


def enrichment_by(
    directions: Call, unembedding: Unembedding, sets: TokenSets, *, device: Device = CPU, progress: Progress = SILENT
) -> Enrichment:
    """Return the same of the directions that a call makes, where this is computed."""
    return enrichment(directions(), unembedding, sets, device=device, progress=progress)


def prepare() -> None:
    """Run the loops once on two tokens, so that no visitor waits for compiling."""
    tokens = np.arange(2)
    sets = TokenSets((TokenSet("first", "", "", tokens[:1].copy()),))
    enrichment(np.ones((1, 1), np.float32), Unembedding(np.eye(2, 1, dtype=np.float32), tokens), sets, draws=1)
