"""Model and dictionary run once over a text."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from core import tables
from core.activations.quantiles import DECILES, ActivationQuantiles, wanted_quantiles
from core.activations.statistics import ActivationStatistics
from core.activations.store import ActivationStore, FeatureActivations, counted, feature_activations, on_device
from core.activations.tables import cumulative_counts, decile_table, error_curves, position_curves
from core.activations.token_pass import activation_pass, open_store
from core.corpus.samples import SampleSettings, TextSample
from core.corpus.streams import rows_sha256
from core.devices.device import Device
from core.errors import BadSettingError, UnknownNameError
from core.feature.contexts import context_table, context_texts, level_table
from core.feature.correlated_features import CorrelatedFeatures, correlated_features
from core.feature.correlated_neurons import CorrelatedNeurons, correlated_neurons
from core.feature.examples import KINDS, LEVELS, ORDERS, listed, ordered, strongest_of_rows, taken, token_counts
from core.feature.profile import position_profile
from core.geometry.one_direction import cosines_with
from core.models.tokens import label
from core.overview.tables import density_table, unseen_below
from sae_loupe.opened import Opened
from sae_loupe.results import Result
from sae_loupe.text import Text, sample
from sae_loupe.words import number


@dataclass(frozen=True, eq=False, repr=False)
class TokenPass(Result):
    """A dictionary on rows of text, from core.activations.

    `count`, `total`, `square`, `largest`, `smallest` are [2, d_sae]: position 0, and all later ones. The rows of token
    ids are `rows` [row, pos]; every activation that is not zero is kept on disk.
    """

    sae: Opened
    sample: TextSample
    store: ActivationStore
    stats: ActivationStatistics
    device: Device

    @property
    def title(self) -> str:
        return self.sae.dictionary.title

    @property
    def rows(self) -> np.ndarray:
        """[row, pos]: the token ids that were read."""
        return self.sample.rows

    @property
    def n_tokens(self) -> int:
        """How many tokens count."""
        return self.stats.n_tokens()

    @property
    def counted(self) -> np.ndarray:
        """[row, pos]: which tokens the statistics count."""
        return counted(self.sample.rows, self.sample.left_out)

    @property
    def note(self) -> str:
        return " · ".join([f"{self.n_tokens:,} tokens: {self.sample.note}", *self.device.inputs.values()])

    @property
    def provenance(self) -> dict:
        settings = {"text": self.sample.note, "rows_sha256": rows_sha256(self.rows), "wpe": self.sae.model.wpe}
        settings |= self.device.inputs
        given = {"dictionary": self.sae.dictionary, "model": self.sae.model}
        return tables.provenance(**given, method="token pass", settings=settings)

    @property
    def totals(self) -> dict[str, float]:
        """Of the whole dictionary: fve, mse, l0, dead_share and others (see docs/statistics.md)."""
        return self.stats.totals()

    def to_frame(self, *, with_first: bool = True) -> pd.DataFrame:
        """One row for each feature, in order: active_tokens, density, mean_active and so on.

        Without `with_first`, here and below, tokens at position 0 do not count.
        """
        return self.stats.feature_table(with_first=with_first)

    def densities(self) -> pd.DataFrame:
        """Return one row for each feature: feature, active_tokens, density, log_density (NaN for a dead one)."""
        return density_table(self.stats)

    def quantiles(self, *levels: float) -> np.ndarray:
        """Return quantiles of each feature's non-zero activations, [d_sae, level]; by default the deciles.

        NaN for a feature that is never active.
        """
        wanted = levels or DECILES
        for level in wanted:
            if not 0 <= level <= 1:
                raise BadSettingError(f"A quantile of {level} does not exist. Expected levels from 0 to 1.")
        return self._quantiles(tuple(float(level) for level in wanted)).values

    def deciles(self, *, with_first: bool = True) -> pd.DataFrame:
        """Return one row for each feature that is ever active: its mean, standard deviation, and deciles."""
        return decile_table(self.to_frame(with_first=with_first), self._quantiles(DECILES, with_first=with_first))

    def cumulative(self, *, with_first: bool = True) -> pd.DataFrame:
        """Return how many features have a mean, and a median, below each of 100 thresholds."""
        return cumulative_counts(self.deciles(with_first=with_first))

    def _quantiles(self, levels: tuple[float, ...], *, with_first: bool = True) -> ActivationQuantiles:
        names = self.sae.dictionary.sha256, on_device(self.sae.model.sha256, self.device), rows_sha256(self.rows)
        return self.sae.wanted(
            wanted_quantiles(self.store, lambda: self.stats, names, levels=levels, with_first=with_first)
        )

    def by_position(self) -> pd.DataFrame:
        """Return one row for each position: size of activations there, and the reconstruction."""
        return self.stats.position_table()

    def curves(self, *, with_first: bool = True) -> pd.DataFrame:
        """Return one row for each position: mean_active, smoothed_mean, std_active, active_share of all features."""
        return position_curves(self.stats, with_first=with_first)

    def errors(self, *, with_first: bool = True) -> pd.DataFrame:
        """Return one row for each position: the error of the reconstruction with all its measures."""
        size = self.sae.dictionary.config.context_size or self.stats.n_pos
        return error_curves(self.stats, context_size=size, with_first=with_first)[0]

    def profile(self, feature: int, *, with_first: bool = True) -> pd.DataFrame:
        """Return one row for each position: in how many rows a feature is active there, and how strongly."""
        table = position_profile(self.activations(feature), self.stats.position_rows)
        return table if with_first else table.iloc[1:].reset_index(drop=True)

    def activations(self, feature: int) -> FeatureActivations:
        """Return where one feature is active: row, position and act, each [nonzero]."""
        d_sae = self.sae.dictionary.d_sae
        return feature_activations(self.store, number("Feature", feature, d_sae), d_sae=d_sae)

    def examples(self, feature: int, n: int = 20, *, width: int = 10) -> pd.DataFrame:
        """Return the rows in which a feature is strongest, with `width` tokens on either side of the strongest.

        Columns: text_row, position, activation, token_text, context.
        """
        best = strongest_of_rows(self.activations(feature))
        best = taken(best, np.arange(min(n, len(best.act))))
        strings = self.sae.model.token_strings
        ids = self.rows[best.row, best.position].tolist()
        columns = {"text_row": best.row, "position": best.position, "activation": best.act.astype(float)}
        columns["token_text"] = [strings[i] for i in ids]
        return pd.DataFrame(columns | {"context": context_texts(self.sae.model.decoder, self.rows, best, width=width)})

    def contexts(
        self,
        feature: int,
        n: int | None = None,
        *,
        width: int | None = 10,
        kind: str = "strongest",
        by: str = "activation",
        seed: int = 0,
    ) -> pd.DataFrame:
        """Return what `examples` returns with the columns of the page Feature; by default of every row.

        `kind` is strongest, random active or random text (200 tokens, active or not); `by` is activation, position or
        row. `width` None gives whole rows. The seed draws the random ones.
        """
        _known("kind", kind, KINDS)
        _known("order", by, ORDERS)
        best = ordered(listed(kind, self.activations(feature), self.counted, seed=seed), by)
        best = taken(best, np.arange(len(best.act) if n is None else min(n, len(best.act))))
        texts = context_texts(self.sae.model.decoder, self.rows, best, width=width)
        return context_table(self.rows, best, texts, self.sae.model.token_strings)

    def levels(self, feature: int, kind: str = "intervals", *, width: int | None = 10, seed: int = 0) -> pd.DataFrame:
        """Return examples from each level of a feature's activation, the highest level first.

        `kind` is intervals (11 of equal width) or quantiles (10 groups of equally many tokens).
        """
        _known("kind", kind, LEVELS)
        levels, model = LEVELS[kind](self.activations(feature), seed=seed), self.sae.model
        return level_table(levels[::-1], self.n_tokens, self.rows, model.decoder, model.token_strings, width=width)

    def correlated(self, feature: int, *, top: int = 20, lowest: bool = False) -> pd.DataFrame:
        """Return the features whose activations correlate most with a feature's, or least, over all tokens.

        Columns: correlated_feature, feature_correlation, together_tokens, together_share, together_lift, density.
        """
        return self._correlated(feature).table(top=top, lowest=lowest)

    def near_and_alike(self, feature: int) -> pd.DataFrame:
        """Return the decoder cosine and the correlation of a feature with every other one: neighbor_cosine and so on.

        Features active on fewer than 10 tokens are left out.
        """
        found, dictionary = self._correlated(feature), self.sae.dictionary
        cosines = cosines_with(dictionary.W_dec[feature], dictionary, "decoder")
        cosines[feature] = np.nan
        return found.beside(cosines)

    def neurons(self, feature: int, hook_name: str) -> pd.DataFrame:
        """Return the 10 units at a hook that correlate most with a feature: correlated_unit, neuron_correlation.

        Runs the model over the text once for all features of the dictionary, and keeps the result.
        """
        sae, read = self.sae, self.sample
        names = sae.dictionary.sha256, on_device(sae.model.sha256, self.device), rows_sha256(self.rows)
        key = CorrelatedNeurons.key(*names, hook_name, left_out=read.left_out)
        work = partial(correlated_neurons, self.store, self.stats, sae.model, hook_name)
        return sae.result(CorrelatedNeurons, key, work).table(number("Feature", feature, sae.dictionary.d_sae))

    def _correlated(self, feature: int) -> CorrelatedFeatures:
        acts = self.activations(feature)
        name = f"correlated with {feature} {rows_sha256(self.rows)} {self.sample.left_out}"
        return self.sae.held(name, lambda: correlated_features(acts, self.store, self.stats, itself=int(feature)))

    def tokens(self, feature: int) -> pd.DataFrame:
        """Return the tokens on which a feature is active, the most frequent first."""
        table = token_counts(self.activations(feature), self.rows)
        strings = self.sae.model.token_strings
        table.insert(1, "token_text", [strings[i] for i in table["token"].tolist()])
        return table.assign(token_label=[label(text) for text in table["token_text"]])

    def chart(self):
        """Draw how many features have which density; dead ones are left out."""
        from core import catalogue
        from ui.overview.charts import density_histogram
        from ui.shared.finish import finished

        lines = {"smallest density seen (95 %)": unseen_below(self.n_tokens)}
        title = catalogue.statistic("log_density").title
        return finished(density_histogram(self.densities(), lines, x_title=title, log=False), dark=False)


def of(sae: Opened, text: Text, settings: SampleSettings, *, going_on: bool = False) -> TokenPass:
    """Run model and dictionary over a text, as all pages on activations do, or read what they kept.

    `going_on` computes on the CPU what the chosen device has not stored.
    """
    dictionary, model, read = sae.dictionary, sae.model, sample(sae, text, settings)
    device = sae.device(2 * read.rows.size * dictionary.d_in * dictionary.d_sae)
    how = {"left_out": read.left_out, "device": device}
    store = open_store(dictionary, model, read.rows, sae.store, **how)
    if going_on and store.missing():
        device = how["device"] = store.going_on()
        store = open_store(dictionary, model, read.rows, sae.store, **how)
    name = f"token pass {read.left_out} {rows_sha256(read.rows)} {dict(device.inputs)}"
    stats = sae.held(name, lambda: activation_pass(dictionary, model, read.rows, sae.store, **how))
    return TokenPass(sae, read, store, stats, device)


def checked(settings: dict[str, Any]) -> SampleSettings:
    """Return settings by their names. Raises UnknownNameError, and BadSettingError for numbers below 1."""
    known = ("n_rows", "context", "bos", "seed", "special")
    for name, value in settings.items():
        if name not in known:
            raise UnknownNameError("setting of a token pass", name, known)
        if name in ("n_rows", "context") and value is not None and (not isinstance(value, int) or value < 1):
            raise BadSettingError(f"{name} is {value!r}. Expected a whole number from 1.")
    return SampleSettings(**settings)


def _known(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise UnknownNameError(what, name, list(known))
