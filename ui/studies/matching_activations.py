"""Where activations of two dictionaries on the same tokens meet Streamlit: passes, matches, baselines."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.activations.sparse import SparseActivations, check_shared_rows, read_activations
from core.activations.store import ActivationStore, counted, on_device
from core.corpus.samples import context_of
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.matching.activations import LEAST, ActivationMatch, MaskedEdges, masked_cosine_edges, match_activations
from core.matching.baselines import RotatedMatch, UnitMatch, match_rotated, match_units, same_units
from core.models.language_model import LanguageModel
from core.models.search import check_same_tokens
from core.work.calls import call
from core.work.progress import Progress
from ui.studies import compute, corpus, opened, token_pass

N_ROWS = 128


@dataclass(frozen=True, eq=False)
class SharedTokens:
    """Two dictionaries, their models, and their stored activations on the same rows of text."""

    a: Dictionary
    b: Dictionary
    model_a: LanguageModel
    model_b: LanguageModel
    store_a: ActivationStore
    store_b: ActivationStore
    rows: np.ndarray
    text: str
    with_first: bool

    @property
    def names(self) -> tuple[str, str, str]:
        """The inputs that name results: dictionary and model of both sides, where they ran, and the rows."""
        sides = ((self.a, self.model_a, self.store_a), (self.b, self.model_b, self.store_b))
        named = (f"{dictionary.sha256} {on_device(model.sha256, store.device)}" for dictionary, model, store in sides)
        return *named, rows_sha256(self.rows)

    @property
    def counting(self) -> dict[str, Any]:
        """The inputs that say which tokens count."""
        return {"with_first": self.with_first, "left_out": self.store_a.left_out}

    @property
    def hooks(self) -> tuple[tuple[LanguageModel, str], tuple[LanguageModel, str]]:
        return (self.model_a, self.a.config.hook_name), (self.model_b, self.b.config.hook_name)

    @property
    def n_tokens(self) -> int:
        return int(counted(self.rows, self.store_a.left_out)[:, 0 if self.with_first else 1 :].sum())

    def read(self, progress: Progress) -> tuple[SparseActivations, SparseActivations]:
        """Read both stores completely."""
        progress.note("reading activations")
        sides = ((self.store_a, self.a), (self.store_b, self.b))
        acts = [read_activations(store, side.d_sae, with_first=self.with_first) for store, side in sides]
        progress.note("")
        return acts[0], acts[1]


def shared(a: Dictionary, b: Dictionary, *, n_rows: int | None = None, with_first: bool = True) -> SharedTokens:
    """Return both dictionaries' activations on the same rows, after a token pass if one has none yet.

    The text is that of the text picker, in rows as long as both dictionaries were trained on.
    Raises DoesNotFitError for models with different tokenizers, and StillRunning while a pass runs.
    """
    models = opened.model_of(a), opened.model_of(b)
    check_same_tokens(*models)
    chosen = corpus.settings()
    context = min(
        context_of(dictionary.config, model, chosen) for dictionary, model in zip((a, b), models, strict=True)
    )
    chosen = replace(chosen, context=context, n_rows=n_rows or chosen.n_rows)
    sample = corpus.sample(a, models[0], chosen)
    passes = [token_pass.pass_over(dictionary, model, sample) for dictionary, model in zip((a, b), models, strict=True)]
    stores = [passed.store for passed in passes]
    check_shared_rows(*stores, with_first=with_first)
    return SharedTokens(a, b, *models, *stores, sample.rows, sample.note, with_first)


def match(tokens: SharedTokens, *, least: int = LEAST) -> ActivationMatch:
    """Return the best matches of all features by correlation, both ways."""

    # About a hundred features are active on a token: as many products of one side with the other.
    device = compute.device(tokens.n_tokens * 100**2)

    def work(progress: Progress) -> ActivationMatch:
        return match_activations(*tokens.read(progress), least=least, device=device, progress=progress)

    key = ActivationMatch.key(*tokens.names, **tokens.counting, least=least)
    return compute.result(ActivationMatch, key, "Correlating activations", work)


def masked_edges(tokens: SharedTokens, *, least: int = LEAST) -> MaskedEdges:
    """Return the pairs of features with a large masked cosine."""

    def work(progress: Progress) -> MaskedEdges:
        return masked_cosine_edges(*tokens.read(progress), least=least, progress=progress)

    key = MaskedEdges.key(*tokens.names, **tokens.counting, least=least)
    return compute.result(MaskedEdges, key, "Masked cosines", work)


def rotated(tokens: SharedTokens, *, least: int = LEAST) -> RotatedMatch:
    """Return the best correlation of A's features with random mixtures of B's features."""

    def work(progress: Progress) -> RotatedMatch:
        return match_rotated(*tokens.read(progress), least=least, progress=progress)

    key = RotatedMatch.key(*tokens.names, **tokens.counting, least=least)
    return compute.result(RotatedMatch, key, "Correlating with a rotated basis", work)


def units(tokens: SharedTokens) -> UnitMatch | None:
    """Return the best correlations of the models' own units; None if both read the same hook of the same model."""
    a, b = tokens.hooks
    if same_units(a, b):
        return None
    work = call(match_units, a, b, tokens.rows, **tokens.counting)
    names = [f"{model.sha256} {hook}" for model, hook in (a, b)]
    key = UnitMatch.key(*names, rows_sha256(tokens.rows), **tokens.counting)
    return compute.result(UnitMatch, key, "Correlating the models' own units", work)
