"""Twelve features over 64 tokens: one promotes a token, one suppresses one, one halves them all, one does nothing."""

import numpy as np

from core.logit_weights.classes import logit_table, token_table
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.models.tokens import label
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.shown import Case, Known, Planted, Shown, known

D, N, V = 8, 12, 64
PROMOTES, SUPPRESSES, HALVES, NOTHING = range(4)
NAMED = {"token_label": "the token's text"}


def case(folder) -> Case:
    rng = np.random.default_rng(2)
    W_U, W_dec = 0.2 * rng.normal(size=(D, V)), 0.5 * rng.normal(size=(N, D))
    W_U[:3], W_U[0, 7], W_U[1, 9], W_U[2] = 0, 3, -3, np.where(np.arange(V) % 2, 3, -3)
    W_dec[:4] = np.eye(4, D)
    W_dec[NOTHING] = 0
    tensors = {"unembed.W_U": W_U, "ln_final.w": np.append(np.ones(3), rng.uniform(0.5, 2, D - 3))}
    model = planted_model(folder, d_vocab=V, tensors=tensors)
    dictionary = planted_dictionary(d_in=D, d_sae=N, tensors={"W_dec": W_dec}, fold_decoder_norms=False)
    shown = [
        table
        for settings in (
            LogitSettings(center_d_model=False, center="none"),
            LogitSettings(),
            LogitSettings(center="median", unit_columns=True, unit_rows=True),
        )
        for table in tables_of(dictionary, model, settings)
    ]
    return Case(shown, planted())


def tables_of(dictionary, model, settings) -> list[Shown]:
    rows, tokens = residual_directions(dictionary, model, settings), unembedding(model, settings)
    stats = logit_statistics(rows, tokens, center=settings.center, k=5)
    how = settings.as_inputs() | {"ln_w": model.ln_final[0]}
    given = {"W_dec": dictionary.W_dec, "W_U": model.W_U, "how": how, "labels": [label(s) for s in model.token_strings]}
    table = logit_table(stats, model.token_strings)
    excess = table[["feature"]].assign(excess_kurtosis=stats.excess_kurtosis)
    ends = [
        Shown(f"{settings.center} {end}", table, given | {"feature": 5}, {"token": "token"}, not_held=NAMED)
        for end, table in ((end, token_table(stats, 5, model.token_strings, end=end)) for end in ("top", "bottom"))
    ]
    return [Shown(settings.center, table, given), Shown(f"{settings.center} excess", excess, given), *ends]


def planted() -> list[Planted | Known]:
    up, down, half, zero = ({"feature": i} for i in (PROMOTES, SUPPRESSES, HALVES, NOTHING))
    one, other, even = "3 on token 7, 0 on 63 others", "-3 on token 9, 0 on 63 others", "3 and -3 by turns"
    tiny = {"W_dec": np.array([[1.0]]), "W_U": np.array([[3.0, 3, -3, -3]]), "how": {}, "feature": 0}
    return [
        Planted("logit_max", 3, one, up, "none"),
        Planted("logit_min", -3, other, down, "none"),
        Planted("logit_mean", 3 / 64, one, up, "none"),
        Planted("logit_std", 3, even, half, "none"),
        Planted("logit_std", 0, "a zero row", zero),
        Planted("skewness", 62 / 63**0.5, one, up, "none"),
        Planted("skewness", -62 / 63**0.5, other, down, "none"),
        Planted("kurtosis", 1, even, half, "none"),
        Planted("kurtosis", np.nan, "a zero row", zero),
        Planted("logit_class", "prediction", one, up, "none"),
        Planted("logit_class", "suppression", other, down, "none"),
        Planted("logit_class", "partition", even, half, "none"),
        Planted("logit_class", "constant", "a zero row", zero, "none"),
        known("excess_kurtosis", -2, "two equal halves", **tiny),
        known("logit_weight", -3, "row times column", token=2, **tiny),
        known("top_token", 0, "the lower of two", **tiny),
        known("bottom_token", 2, "the lower of two", **tiny),
    ]
