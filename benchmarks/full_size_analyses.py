"""The analyses behind the pages that `benchmarks.full_size` opens, on the same weights and without the app."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.full_size_data import DICTIONARIES, MODEL, Size
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from core.models.language_model import LanguageModel


def prepared(name: str, folder: Path) -> Callable[[], object]:
    """Return one analysis, ready to be timed: weights are read, and compiled code has run once on a few features."""
    model = LanguageModel(folder / MODEL)
    opened = [read_folder(folder / name, id=name, title=name) for name in DICTIONARIES[:2]]
    return ANALYSES[name](model, *opened)


def logit_weights(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    from core.logit_weights.statistics import logit_statistics
    from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding

    settings = LogitSettings()
    directions, rows = residual_directions(a, model, settings), unembedding(model, settings)
    logit_statistics(directions[:64], rows, center=settings.center)
    return lambda: logit_statistics(directions, rows, center=settings.center)


def enrichment(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    from core.enrichment.enrichment import enrichment, prepare
    from core.enrichment.inputs import usable_sets
    from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
    from core.token_sets.sets import built_in_sets

    settings = LogitSettings()
    directions, rows = residual_directions(a, model, settings), unembedding(model, settings)
    sets = usable_sets(built_in_sets(model.token_strings), rows.tokens)
    prepare()
    return lambda: enrichment(directions, rows, sets)


def positions(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    from core.positions import additive

    additive.prepare()
    _ = model.W_E
    how = {"n_pos": 2 * Size.context, "context_size": Size.context}
    return lambda: additive.additive_statistics(a, model, **how)


def geometry(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    from core.geometry.neighbors import K, nearest_features

    nearest_features(a.W_dec[:300], k=K)
    return lambda: nearest_features(a.W_dec, k=K)


def matching(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    """One whole matching by decoder, as benchmarks.matching times it."""
    from benchmarks.matching import whole
    from core.matching.comparison import Weights

    def few(weights: Weights) -> Weights:
        return Weights(weights.decoder[:300], weights.encoder[:300])

    one, other = Weights.of(a), Weights.of(b)
    whole(few(one), few(other), 20)
    return lambda: whole(one, other, 20)


def token_pass(model: LanguageModel, a: Dictionary, b: Dictionary) -> Callable[[], object]:
    """A pass over 2,048 tokens, the least that says anything of a dictionary on text."""
    import numpy as np

    from core.activations.token_pass import activation_pass

    rows = np.random.default_rng(0).integers(0, model.d_vocab, (16, Size.context))
    activation_pass(a, model, rows[:1], None)
    return lambda: activation_pass(a, model, rows, None)


ANALYSES = {each.__name__: each for each in (logit_weights, enrichment, positions, geometry, matching, token_pass)}
