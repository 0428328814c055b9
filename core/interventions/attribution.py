"""Attribution on a short text: the first-order effect of every feature at every token, and how far it can be trusted.

The linear guess is compared with true ablation, in which the model runs again without the activations, for the
strongest features and for a sample of all others; beside both stand random directions of the same length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.activations.encoding import Encoder
from core.activations.sparse import SparseActivations
from core.activations.store import ActivationBlock
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.errors import BadSettingError, DoesNotFitError, OutOfRangeError
from core.interventions.first_order import Sensitivity, check_causes, directions, entry_effects, in_runs, sensitivity
from core.interventions.runs import EditedRuns, Effects, Push
from core.models.gradients import Target, logits_of, losses
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

KINDS = ("loss", "logit", "difference")
"""The loss summed over tokens, the logit of one token, that logit minus the logit of another."""
MOST_TOKENS = 2**11
_FEATURES_AT_ONCE = 512
_RUNS_AT_ONCE = 16


@dataclass(frozen=True)
class Asked:
    """The number that effects are on. A logit is taken at one place of each row, the loss everywhere."""

    kind: str = "loss"
    """One of KINDS."""
    places: tuple[int, ...] = ()
    """Of a logit: for each row the position whose prediction is asked about."""
    plus: int = 0
    """The token id whose logit it is."""
    minus: int = 0
    """Of a difference: the token id whose logit is subtracted."""

    def __post_init__(self):
        assert self.kind in KINDS, self.kind

    def check(self, rows: Int[np.ndarray, "row pos"], d_vocab: int) -> None:
        """Raise OutOfRangeError for a token or position that there is not, BadSettingError for two equal tokens."""
        if self.kind == "loss":
            return
        assert len(self.places) == len(rows)
        for place in self.places:
            if not 0 <= place < rows.shape[1]:
                raise OutOfRangeError("Position", place, rows.shape[1])
        for token in (self.plus, *([self.minus] if self.kind == "difference" else [])):
            if not 0 <= token < d_vocab:
                raise OutOfRangeError("Token", token, d_vocab)
        if self.kind == "difference" and self.plus == self.minus:
            raise BadSettingError(
                f"The difference of the logit of token {self.plus} and itself is always 0. Expected two tokens; choose "
                "another one to subtract."
            )

    def target(self, rows: Int[np.ndarray, "row pos"], keep: Bool[np.ndarray, "row pos"], first: int) -> Target:
        """Return the target on some rows, of which the first is row `first` of all."""
        if self.kind == "loss":
            return losses(rows, keep)
        places = np.array(self.places[first : first + len(rows)], np.int64)
        ids = [np.full(len(rows), token, np.int64) for token in (self.plus, self.minus)]
        tokens = np.arange(len(rows)) * rows.shape[1] + places
        return logits_of(tokens, *(ids if self.kind == "difference" else ids[:1]))

    def changes(
        self, runs: EditedRuns, effects: Effects, keep: Bool[np.ndarray, "row pos"]
    ) -> Float[np.ndarray, " run"]:
        """Return by how much the number is larger in each run than in the model as it is."""
        if self.kind == "loss":
            return -effects.log_p_change[:, keep[:, :-1].nonzero()[0], keep[:, :-1].nonzero()[1]].sum(axis=1)
        made = [self._number(runs.logits(last)) for last in effects.last]
        plain = [self._number(runs.logits(last)) for last in effects.plain_last]
        return np.array(made) - np.array(plain)

    def _number(self, logits: Float[np.ndarray, "at d_vocab"]) -> float:
        logits = logits.astype(np.float64)
        return float((logits[:, self.plus] - (logits[:, self.minus] if self.kind == "difference" else 0)).sum())

    @property
    def at(self) -> list[tuple[int, int]]:
        """The places (row, position) whose logits are needed."""
        return [] if self.kind == "loss" else list(enumerate(self.places))


@dataclass(frozen=True, eq=False)
class Attribution:
    """First-order effects on a number, of the activations on a few rows of text."""

    rows: Int[np.ndarray, "row pos"]
    keep: Bool[np.ndarray, "row pos"]
    """Which tokens count; the others are read, and nothing is attributed to them."""
    acts: SparseActivations
    """Of all tokens, row after row; those that do not count have none."""
    effects: Float[np.ndarray, " nonzero"]
    """Of each activation, against a baseline of 0."""
    gradient: Float[np.ndarray, "token d_out"]
    factors: Float[np.ndarray, " token"]
    """As in core.interventions.first_order.Sensitivity."""
    directions: Float[np.ndarray, "d_sae d_out"]
    value: float
    """The number itself."""
    means: Float[np.ndarray, " d_sae"] | None = None
    """The baseline of each feature; None: 0."""

    @property
    def token(self) -> Int[np.ndarray, " nonzero"]:
        """The token of each activation."""
        return np.repeat(np.arange(self.acts.n_tokens), np.diff(self.acts.ends, prepend=0))

    def size(self, feature: int) -> Float[np.ndarray, " token"]:
        """Return one feature's activation minus its baseline at every token, 0 at those that do not count."""
        size = np.zeros(self.acts.n_tokens)
        entries = self.acts.features == feature
        size[self.token[entries]] = self.acts.acts[entries]
        return size if self.means is None else np.where(self.keep.ravel(), size - self.means[feature], 0)

    def of_feature(self, feature: int) -> Float[np.ndarray, " token"]:
        """Return one feature's effect at every token."""
        return self.along(self.directions[feature]) * self.size(feature)

    def token_table(self, feature: int) -> pd.DataFrame:
        """Return one row per token: text_row, position, token (its id), attribution_at of one feature."""
        row, position = np.indices(self.rows.shape)
        columns = {"text_row": row.ravel(), "position": position.ravel(), "token": self.rows.ravel()}
        return pd.DataFrame(columns | {"attribution_at": self.of_feature(feature)})

    def along(self, direction: Float[np.ndarray, " d_out"]) -> Float[np.ndarray, " token"]:
        """Return the gradient along a direction at every token."""
        return self.gradient.astype(np.float64) @ direction.astype(np.float64)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each feature that has an effect, the largest absolute effect first; ties: lower feature first.

        Columns: feature, attribution (sum over tokens), attribution_size (sum of absolute values), token_number
        and attribution_there (where its absolute value is largest, and its value there), text_tokens, text_max.
        """
        found = self._against_zero() if self.means is None else self._against_means()
        table = pd.DataFrame(found)
        order = np.lexsort((table["feature"], -table["attribution"].abs()))
        return table.iloc[order].reset_index(drop=True)

    def _against_zero(self) -> dict[str, np.ndarray]:
        features, effects = self.acts.features, self.effects
        order = np.lexsort((self.token, -np.abs(effects), features))  # of each feature its largest first
        active, first = np.unique(features[order], return_index=True)
        sums = [np.add.reduceat(values[order], first) if len(first) else first for values in (effects, np.abs(effects))]
        return self._columns(active, *sums, self.token[order][first], effects[order][first])

    def _against_means(self) -> dict[str, np.ndarray]:
        """The same for every feature, as one that is silent differs from its mean too."""
        total, size, at, there = (np.zeros(self.acts.d_sae, kind) for kind in (float, float, np.int64, float))
        gradient, keep = self.gradient.astype(np.float64), self.keep.ravel()
        dense = np.zeros((self.acts.n_tokens, _FEATURES_AT_ONCE))
        token = self.token
        for start in range(0, self.acts.d_sae, _FEATURES_AT_ONCE):
            part = slice(start, min(start + _FEATURES_AT_ONCE, self.acts.d_sae))
            n = part.stop - start
            dense[:, :n] = np.where(keep[:, None], -self.means[part], 0)
            inside = (self.acts.features >= start) & (self.acts.features < part.stop)
            dense[token[inside], self.acts.features[inside] - start] += self.acts.acts[inside]
            effects = dense[:, :n] * (gradient @ self.directions[part].T.astype(np.float64))
            total[part], size[part] = effects.sum(axis=0), np.abs(effects).sum(axis=0)
            at[part] = np.abs(effects).argmax(axis=0)
            there[part] = effects[at[part], np.arange(n)]
        features = np.flatnonzero(size)
        return self._columns(features, *(values[features] for values in (total, size, at, there)))

    def _columns(self, features: np.ndarray, total, size, at, there) -> dict[str, np.ndarray]:
        largest = np.zeros(self.acts.d_sae, np.float32)
        np.maximum.at(largest, self.acts.features, np.abs(self.acts.acts))
        return {
            "feature": features.astype(np.int64),
            "attribution": total,
            "attribution_size": size,
            "token_number": at,
            "attribution_there": there,
            "text_tokens": self.acts.count[features],
            "text_max": largest[features].astype(float),
        }


def attribute(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    asked: Asked,
    *,
    keep: Bool[np.ndarray, "row pos"] | None = None,
    means: Float[np.ndarray, " d_sae"] | None = None,
    progress: Progress = SILENT,
    device: Device = CPU,
) -> Attribution:
    """Attribute a number to the features on a few rows: one run forward and one back.

    Tokens that are not of `keep` are read and get nothing. `means` are the features' baselines, by default 0.
    `progress` counts tokens. Both runs are on the `device`; features are encoded on the CPU. Raises DoesNotFitError,
    CorpusError, OutOfRangeError, BadSettingError, DeviceError.
    """
    check_causes(dictionary, model, rows)
    check_size(rows)
    asked.check(rows, model.d_vocab)
    keep = np.ones(rows.shape, bool) if keep is None else keep

    def work(part: slice) -> Sensitivity:
        target = asked.target(rows[part], keep[part], part.start)
        here = sensitivity(dictionary, model, rows[part], target, device=device)
        progress.update(rows[: part.stop].size, 2 * rows.size)
        return here

    found = in_runs(work, rows, device)
    acts = _of_kept(Encoder(dictionary).block(model, rows), keep, dictionary.d_sae)
    gradient, factors = (np.concatenate([getattr(each, name) for each in found]) for name in ("gradient", "factors"))
    written = directions(dictionary)
    effects = entry_effects(*acts.by_token, gradient, written)
    value = float(np.concatenate([each.values for each in found]).sum())
    return Attribution(rows, keep, acts, effects, gradient, factors, written, value, means)


def _of_kept(block: ActivationBlock, keep: Bool[np.ndarray, "row pos"], d_sae: int) -> SparseActivations:
    """Return the activations of tokens that count."""
    counts = np.diff(block.ends, prepend=0)
    entries = np.repeat(keep.ravel(), counts)
    return SparseActivations((counts * keep.ravel()).cumsum(), block.features[entries], block.acts[entries], d_sae)


def likeliest(
    model: LanguageModel, rows: Int[np.ndarray, "row pos"], places: Sequence[int], *, n: int, device: Device = CPU
) -> Int[np.ndarray, "row n"]:
    """Return the n tokens that the model finds likeliest after one place of each row, likeliest first.

    Raises DoesNotFitError and DeviceError.
    """
    import torch

    model.check_rows(rows)
    if device.runs_kernels:
        from core.models.on_device import likeliest_on_device

        return likeliest_on_device(model, rows, places, device, n=n)
    last = model.running.read(torch.from_numpy(rows.astype(np.int64)), [LAST])[LAST]
    return model.running.logits(last[range(len(rows)), list(places)]).float().topk(n, dim=1).indices.numpy()


def check_size(rows: Int[np.ndarray, "row pos"]) -> None:
    """Raise DoesNotFitError for more text than a page should run again and again."""
    if rows.size > MOST_TOKENS:
        raise DoesNotFitError(
            f"{rows.size:,} tokens are too many to ablate features on, one after the other: expected at most "
            f"{MOST_TOKENS:,}. Choose a shorter text, or look at the causal atlas of a whole sample."
        )


@dataclass(frozen=True, eq=False)
class Checked:
    """The linear guess for some features beside what ablating them does, and the same for random directions.

    Both are the number as it is minus the number with the feature at its baseline. NaN where a run overflowed.
    """

    feature: Int[np.ndarray, " n"]
    strongest: Bool[np.ndarray, " n"]
    """Whether it is one of the strongest; if not, one of the sample of all others."""
    guess: Float[np.ndarray, " n"]
    truth: Float[np.ndarray, " n"]
    control_guess: Float[np.ndarray, " n"]
    """Of a random direction, as long as what the feature writes and at the same tokens."""
    control_truth: Float[np.ndarray, " n"]

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each feature and one for each control, which bears the number of its feature."""
        kind = np.where(self.strongest, "strongest", "sample of others")
        parts = {"attribution_series": [*kind, *["random direction"] * len(kind)], "feature": np.tile(self.feature, 2)}
        parts["attribution"] = np.concatenate([self.guess, self.control_guess])
        parts["ablation_effect"] = np.concatenate([self.truth, self.control_truth])
        table = pd.DataFrame(parts)
        return table.assign(linear_error=table["attribution"] - table["ablation_effect"])

    def fits(self) -> pd.DataFrame:
        """Return linear_slope and linear_rank, in two rows: of `features`, and of `random` directions."""
        pairs = {"features": (self.guess, self.truth), "random": (self.control_guess, self.control_truth)}
        columns = ["linear_slope", "linear_rank"]
        return pd.DataFrame.from_dict({who: fit(*pair) for who, pair in pairs.items()}, "index", columns=columns)


def fit(guess: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Return the slope of truth on guess, through the origin, and Spearman's rank correlation; NaN where undefined."""
    from scipy.stats import rankdata

    from core.maths.correlation import pearson

    there = np.isfinite(guess) & np.isfinite(truth)
    guess, truth = guess[there], truth[there]
    square = float((guess * guess).sum())
    slope = float((guess * truth).sum()) / square if square > 0 else float("nan")
    ranks = [rankdata(values) for values in (guess, truth)] if len(guess) > 2 else [np.zeros(0)] * 2
    return slope, pearson(*ranks)


def chosen(table: pd.DataFrame, *, strongest: int, sampled: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of `Attribution.table` to check: the strongest, and one of each of `sampled` strata of the rest.

    The second array says which are among the strongest. Strata are equal parts of the others by absolute effect.
    """
    features = table["feature"].to_numpy()
    rest, rng = np.arange(min(strongest, len(table)), len(table)), np.random.default_rng(seed)
    strata = [part for part in np.array_split(rest, sampled) if len(part)] if sampled else []
    picked = np.array([rng.choice(part) for part in strata], np.int64)
    rows = np.concatenate([np.arange(len(table) - len(rest)), picked])
    return features[rows], np.arange(len(rows)) < len(table) - len(rest)


def check_guess(
    dictionary: Dictionary,
    model: LanguageModel,
    attribution: Attribution,
    asked: Asked,
    features: Sequence[int] | Int[np.ndarray, " n"],
    strongest: Bool[np.ndarray, " n"],
    *,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Checked:
    """Ablate features one at a time, and as many random directions. `progress` counts runs; raises CancelledError."""
    runs = EditedRuns(dictionary, model, attribution.rows, may_change=attribution.keep)
    rng, shape = np.random.default_rng(seed), attribution.rows.shape
    random = rng.standard_normal((len(features), attribution.directions.shape[1]))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    guess, truth = np.zeros((2, len(features))), np.zeros((2, len(features)))
    sizes = [attribution.size(int(feature)) for feature in features]
    factors = attribution.factors
    pushed: list[Callable[[int], np.ndarray]] = [
        lambda i: attribution.directions[features[i]].astype(np.float64),
        lambda i: random[i] * np.linalg.norm(attribution.directions[features[i]].astype(np.float64)),
    ]
    for kind, direction in enumerate(pushed):
        for start in range(0, len(features), _RUNS_AT_ONCE):
            part = range(start, min(start + _RUNS_AT_ONCE, len(features)))
            ways = [direction(i) for i in part]
            guess[kind, part] = [attribution.along(way) @ sizes[i] for i, way in zip(part, ways, strict=True)]
            changes = [Push(way, -(factors * sizes[i]).reshape(shape)) for i, way in zip(part, ways, strict=True)]
            effects = runs.effects(changes, at=asked.at)
            truth[kind, part] = -asked.changes(runs, effects, attribution.keep)
            progress.update(kind * len(features) + part.stop, 2 * len(features))
    return Checked(np.array(features), np.array(strongest), guess[0], truth[0], guess[1], truth[1])
