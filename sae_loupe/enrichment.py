"""Which features promote or suppress a class of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.enrichment import tables
from core.enrichment.enrichment import Enrichment, enrichment
from core.enrichment.inputs import usable_sets
from core.errors import OutOfRangeError, TokenSetError
from core.logit_weights.unembedding import source_key
from core.models.typed_tokens import typed_token
from core.token_sets.sets import TokenSet, TokenSets, built_in_sets
from sae_loupe import logits
from sae_loupe.opened import Opened
from sae_loupe.results import MOST_MARKS, Result
from sae_loupe.words import number

Sets = Mapping[str, Sequence[int | str]]
"""Token sets by name: ids, or the texts of single tokens with their leading space."""


@dataclass(frozen=True, eq=False, repr=False)
class Enriched(Result):
    """Enrichment of every feature in every token set: `es`, `auc`, `log10_p`, `log10_q` are [d_sae, n_sets].

    The sets are `set_names`, in order; `sizes` [n_sets] are their numbers of tokens.
    """

    logits: logits.Logits
    stats: Enrichment

    @property
    def title(self) -> str:
        return self.logits.title

    @property
    def note(self) -> str:
        found = self.stats
        return f"{self.logits.note} · {len(found.set_names):,} token sets · q over {found.n_tests:,} pairs"

    @property
    def provenance(self) -> dict:
        found, of_logits = self.stats, self.logits.provenance
        settings = of_logits["settings"] | {"seed": found.seed, "draws": found.draws}
        settings |= {"n_sets": len(found.set_names), "n_tokens": found.n_tokens}
        return of_logits | {"method": "token-set enrichment", "settings": settings}

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature, in order: the set with the smallest p, its score, and log10 q."""
        return tables.best_set_of_each(self.stats)

    def of_feature(self, feature: int) -> pd.DataFrame:
        """Return one row for each token set, the smallest p first."""
        return tables.best_sets(self.stats, number("Feature", feature, len(self.stats.auc)))

    def of_set(self, name: str) -> pd.DataFrame:
        """Return one row for each feature, the smallest p for this set first."""
        return tables.best_features(self.stats, name)

    def scores(self, name: str) -> pd.DataFrame:
        """Return one row for each feature, in order, with its scores for one set."""
        return tables.feature_scores(self.stats, name)

    def chart(self, name: str | None = None):
        """Draw one set in all features, by default that with the smallest p of all; of very many, the larger scores."""
        from ui.enrichment.charts import SIDES, manhattan
        from ui.shared.finish import finished

        lowest = np.nan_to_num(self.stats.log10_p, nan=0).min(axis=0)
        name = name or self.stats.set_names[int(lowest.argmin())]
        table = tables.feature_scores(self.stats, name).dropna(subset=["enrichment_score"])
        places, _ = tables.drawn_features(table["display_score"].to_numpy(), most=MOST_MARKS - 1000)
        side = np.where(table["enrichment_score"] >= 0, *SIDES)
        drawn = table.assign(height=table["display_score"], side=side, text="").iloc[places]
        title = f"Display score of {name}"
        return finished(manhattan(drawn, len(self.stats.auc), y_title=title, reach=None), dark=False)


def of(sae: Opened, sets: Sets | None, settings: dict[str, Any]) -> Enriched:
    """Score token sets, by default those of the library, as the tab Enrichment of the page Logit weights does."""
    found, model = logits.of(sae, **settings), sae.model
    study = found.study
    chosen = _library(sae) if sets is None else TokenSets(tuple(_own(sae, *item) for item in sets.items()))
    tokens = found.unembedding.tokens if study.settings.skip_unused else np.arange(model.d_vocab)
    usable, device = usable_sets(chosen, tokens), sae.device(sae.dictionary.d_sae * model.d_vocab * model.d_model)
    source = source_key(model, study.settings)
    key = Enrichment.key(sae.dictionary.sha256, source, study.settings, usable.sha256, device=device)
    scores = sae.result(Enrichment, key, lambda: enrichment(study.directions, found.unembedding, usable, device=device))
    return Enriched(found, scores)


def _library(sae: Opened) -> TokenSets:
    model = sae.model
    return sae.held("token sets", lambda: built_in_sets(model.token_strings, raw=model.raw_tokens))


def _own(sae: Opened, name: str, tokens: Sequence[int | str]) -> TokenSet:
    ids = [typed_token(sae.model, token) if isinstance(token, str) else int(token) for token in tokens]
    for token in ids:
        if not 0 <= token < sae.model.d_vocab:
            raise OutOfRangeError("Token", token, sae.model.d_vocab)
    if not ids:
        raise TokenSetError(f"The token set {name!r} is empty. Expected ids or texts of tokens; give some.")
    return TokenSet(str(name), "given", f"{len(set(ids)):,} tokens given", np.unique(np.array(ids, np.int64)))
