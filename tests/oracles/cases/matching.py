"""Dictionaries of 9 and 12 features: of B, 0 is A's 3 at another length, 1 and 2 are nearly A's 4, 3 joins 5 and 6."""

import numpy as np
import pandas as pd

from core.activations.store import FeatureActivations
from core.geometry.tables import common_edges, histograms
from core.logit_weights.statistics import logit_weights
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.matching import activation_tables, tables
from core.matching.activations import match_activations
from core.matching.baselines import match_rotated, match_units, mixtures
from core.matching.comparison import compare
from core.matching.labels import relate
from core.matching.numbers import pair_numbers
from core.matching.pairs import match, nearest
from core.matching.two_features import correlation, logit_weight_table, pair_activations
from core.oracles.matching import density_decile, rth_match_cosine
from tests.doubles.planted import planted_dictionary, planted_model
from tests.oracles.cases.text_page import on_text
from tests.oracles.shown import Case, Known, Planted, Shown, known

D, A, B, TOKENS, LEAST, V = 8, 9, 12, (6, 10), 4, 13


def case(folder) -> Case:
    a = planted_dictionary(d_in=D, d_sae=A, seed=1, tensors=turned(1), fold_decoder_norms=False)
    b = planted_dictionary(d_in=D, d_sae=B, seed=2, tensors=related(a), fold_decoder_norms=False)
    given = {"decoder_a": a.W_dec, "decoder_b": b.W_dec, "encoder_a": a.W_enc.T, "encoder_b": b.W_enc.T}
    comparison = compare(a, b)
    pair = {"feature_a": "feature_a", "feature_b": "feature_b"}
    shown = []
    for similarity in ("decoder", "encoder", "both"):
        held = given | {"similarity": similarity, "threshold": 0.7}
        pairs = tables.pair_table(match(comparison, similarity))
        agreed = tables.with_agreement(pairs, match(comparison, "decoder"), match(comparison, "encoder"))
        shown.append(Shown(f"pairs by {similarity}", agreed, held, pair))
        shown += of_numbers(comparison, similarity, held)
    near = nearest(comparison, "decoder")
    found = match(comparison, "decoder")
    for end, unmatched, best, of, sides in (
        ("a", found.unmatched_a, near.a, near.of_a, ("a", "b")),
        ("b", found.unmatched_b, near.b, near.of_b, ("b", "a")),
    ):
        features = np.arange(A if end == "a" else B) if end == "a" else unmatched
        table = tables.unmatched_table(features, best, of, end)
        rows, others = (given[f"decoder_{side}"] for side in sides)
        which = {"feature": f"feature_{end}"}
        shown.append(Shown(f"unmatched {end}", table, {"rows": rows, "others": others}, which))
    shown += [*of_ranks(comparison, given), *of_deciles(near.b, given), *of_logits(folder, a, b), *of_units(folder)]
    return Case([*shown, *of_labels(comparison, given), *of_activations(a, b, given)], planted())


def turned(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"W_dec": rng.normal(size=(A, D)), "W_enc": rng.normal(size=(D, A))}


def related(a) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    W_dec, W_enc = rng.normal(size=(B, D)), rng.normal(size=(D, B))
    W_dec[0], W_enc[:, 0] = 3 * a.W_dec[3], 2 * a.W_enc[:, 3]
    W_dec[1:3] = a.W_dec[4] + 0.1 * rng.normal(size=(2, D))
    W_dec[3] = sum(a.W_dec[i] / np.linalg.norm(a.W_dec[i]) for i in (5, 6))
    W_enc[:, 1] = a.W_enc[:, 4] + 0.4 * rng.normal(size=D)
    return {"W_dec": W_dec, "W_enc": W_enc}


def of_numbers(comparison, similarity, held) -> list[Shown]:
    numbers = pair_numbers(comparison, similarity)
    named = {"mmcs": "mmcs", "ratio": "matching_ratio"}
    carries = {f"{short}_{way}": name for short, name in named.items() for way in ("ab", "ba")}
    held = held | {"match_threshold": 0.7}
    ways = {name: {"way": name[-2:]} for name in carries}
    summary = Shown(f"numbers by {similarity}", pd.DataFrame([numbers]), held, {}, carries, ways)
    best = nearest(comparison, similarity)
    curves = tables.ratio_table({"A in B": best.a}), tables.ratio_table({"B in A": best.b})
    of = {"match_threshold": "match_threshold", "step": "#"}
    name = {"match_series": "the curve's name"}
    both = [
        Shown(
            f"{way} by {similarity}", table, held | {"way": way}, of, {"match_threshold": "match_threshold"}, {}, name
        )
        for way, table in zip(("ab", "ba"), curves, strict=True)
    ]
    chance = tables.random_ratio_table(B, D, "chance")
    given = {"n": B, "d": D}
    return [
        summary,
        *both,
        Shown("chance", chance, given, of, {"matching_ratio": "random_ratio"}, not_held=name),
    ]


def of_ranks(comparison, given) -> list[Shown]:
    """Return the four best cosines of every feature, both ways, and the histogram that the page draws of the third."""
    shown = []
    for side in ("decoder", "encoder"):
        between, a, b = getattr(comparison, side), given[f"{side}_a"], given[f"{side}_b"]
        for way, cos, rows, others in (("ab", between.a_in_b_cos, a, b), ("ba", between.b_in_a_cos, b, a)):
            held = {"rows": rows, "others": others}
            for r in range(1, 5):
                table = pd.DataFrame({"feature": range(len(cos)), "rth_match_cosine": cos[:, r - 1]})
                shown.append(Shown(f"{side} rank {r} {way}", table, held | {"r": r}))
            third = np.array([rth_match_cosine(**held, feature=i, r=3) for i in range(len(rows))])
            edges = common_edges({"3rd": cos[:, 2].astype(float)}, bins=4)
            bins = {"bin_low": "bin_low", "bin_high": "bin_high"}
            table, why = histograms({"3rd": cos[:, 2]}, edges), {"dictionary": "the name of the curve"}
            shown.append(Shown(f"{side} histogram {way}", table, {"cosines": third, "bins": 4}, bins, not_held=why))
    return shown


def of_deciles(best, given) -> list[Shown]:
    """Return the groups of B's features by density: two are equal, one never fires, the first holds two."""
    acts = np.random.default_rng(5).random((40, B)) < np.linspace(0.9, 0.1, B)
    acts[:, 2], acts[:, 6] = 0, acts[:, 5]
    densities = acts.mean(axis=0)
    table = tables.decile_table(densities, best, threshold=0.6)
    groups: dict[int, list[int]] = {}
    for i in sorted(np.flatnonzero(densities), key=lambda i: (densities[i], i)):
        groups.setdefault(density_decile(densities, i), []).append(int(i))
    shown, why = [], {"features_in_bin": "the size of the group, which its mean cosine tells"}
    for row, group in enumerate(groups.values()):
        held = {"densities": densities, "feature": group[-1], "acts": acts, "similarity": "decoder", "way": "ba"}
        held |= {"decoder_a": given["decoder_a"], "encoder_a": given["encoder_a"], "match_threshold": 0.6}
        held |= {"decoder_b": given["decoder_b"][group], "encoder_b": given["encoder_b"][group]}
        shown.append(Shown(f"decile {row}", table.iloc[[row]].reset_index(drop=True), held, {}, not_held=why))
    return shown


def of_logits(folder, a, b) -> list[Shown]:
    model, settings = planted_model(folder, d_vocab=V), LogitSettings()
    weights = [
        logit_weights(
            residual_directions(each, model, settings), unembedding(model, settings), [feature], center="mean"
        )
        for each, feature in ((a, 4), (b, 1))
    ]
    table = logit_weight_table(weights[0][0], np.append(weights[1][0], 7))  # the last token of B is unused in A
    how = settings.as_inputs() | {"ln_w": model.ln_final[0]}
    given = {"W_dec_a": a.W_dec, "W_dec_b": b.W_dec, "W_U": model.W_U, "how": how, "feature_a": 4, "feature_b": 1}
    return [Shown("logit weights of two", table, given, {"token": "token"})]


def of_labels(comparison, given) -> list[Shown]:
    between = comparison.decoder
    there, back = (between.a_in_b_cos, between.a_in_b_idx), (between.b_in_a_cos, between.b_in_a_idx)
    shown = []
    for end, (own, other) in {"a": (there, back), "b": (back, there)}.items():
        relation = relate(own[0][:, 0], own[1][:, 0], other[0][:, 0], other[1][:, 0], threshold=0.6)
        rows, others = (given[f"decoder_{side}"] for side in (("a", "b") if end == "a" else ("b", "a")))
        held = {"rows": rows, "others": others, "threshold": 0.6}
        shown.append(Shown(f"labels of {end}", tables.label_table(relation), held))
    return shown


def of_activations(a, b, given) -> list[Shown]:
    rng = np.random.default_rng(7)
    n = TOKENS[0] * TOKENS[1]
    f, g = (rng.normal(1, 1, (n, width)) * (rng.random((n, width)) < 0.4) for width in (A, B))
    g[:, 0] = 2 * f[:, 3]
    g[:, 1] = f[:, 4] + 0.2 * g[:, 1]
    g[:, 10] = f[:, 0] + 0.6 * g[:, 10]  # the excess of this is a little under ½, that of the one before a little over
    f, g = (values.astype(np.float32).astype(float) for values in (f, g))
    one, other = (on_text(values, values, values).acts for values in (f, g))
    found, rotated = match_activations(one, other, least=LEAST), match_rotated(one, other, least=LEAST)
    held = given | {"acts_a": f, "acts_b": g, "least": LEAST, "mixtures": mixtures(B, 0, 0)[:, :B]}
    pair = {"feature_a": "feature_a", "feature_b": "feature_b"}
    excess = activation_tables.excess_table(found, rotated.a_best)
    cosines = activation_tables.with_decoder_cosines(activation_tables.best_table(found), a, b)
    median = activation_tables.medians({"it": found.a_in_b_corr[:, 0]})
    cards = {"median_best_correlation": median["it"]}
    cards["universal_share"] = activation_tables.universal_share(found, rotated.a_best)
    ways = activation_tables.WAYS
    return [
        *(Shown(f"best {way}", activation_tables.best_table(found, way), held, pair) for way in ways),
        Shown("matches of 2", activation_tables.matches_of(found, 2), held, pair),
        Shown("excess", excess, held, pair),
        Shown("with cosines", cosines, held, pair),
        Shown("cards", pd.DataFrame([cards]), held, {}),
        *of_two(f, g, held),
    ]


def of_units(folder) -> list[Shown]:
    """Return how well units of two models' embeddings are found in each other; B's unit 2 is A's 1, three times."""
    rng, rows = np.random.default_rng(8), np.random.default_rng(9).integers(0, V, TOKENS)
    embedded = [rng.normal(size=(V, D)), rng.normal(size=(V, D))]
    embedded[1][:, 2] = 3 * embedded[0][:, 1]
    models = [
        planted_model(folder / name, d_vocab=V, tensors={"embed.W_E": W_E, "pos_embed.W_pos": np.zeros((12, D))})
        for name, W_E in zip("ab", embedded, strict=True)
    ]
    a, b = ((model, "blocks.0.hook_resid_pre") for model in models)
    found = match_units(a, b, rows, with_first=False)
    values = [W_E[rows[:, 1:]].reshape(-1, D) for W_E in embedded]
    return [
        Shown(
            f"units of {end}",
            pd.DataFrame({"unit": range(D), "unit_correlation": best}),
            {"values_a": own, "values_b": other},
            {"unit": "unit"},
        )
        for end, best, own, other in (("a", found.a_best, *values), ("b", found.b_best, *reversed(values)))
    ]


def of_two(f, g, held) -> list[Shown]:
    rng = np.random.default_rng(9)
    rows, L_a, L_b = rng.integers(0, V, TOKENS), rng.normal(size=(A, V)), rng.normal(size=(B, V))
    acts = pair_activations(rows, *(feature_acts(rows, values[:, i]) for values, i in ((f, 4), (g, 1))))
    held = held | {"feature_a": 4, "feature_b": 1, "logits_a": L_a, "logits_b": L_b, "rows": rows}
    place = acts.row * TOKENS[1] + acts.position
    drawn = pd.DataFrame({"place": place, "activation_a": acts.a, "activation_b": acts.b})
    summary = {
        "activation_correlation": acts.correlation,
        "pair_masked_cosine": acts.masked_cosine,
        "pair_attribution_correlation": acts.attribution_correlation(L_a[4], L_b[1]),
        "pair_logit_correlation": correlation(L_a[4], L_b[1]),
    }
    return [
        Shown("tokens of two", drawn, held, {"row": "place"}),
        Shown("two features", pd.DataFrame([summary]), held, {}),
    ]


def feature_acts(rows, values) -> FeatureActivations:
    row, position = np.divmod(np.flatnonzero(values), rows.shape[1])
    return FeatureActivations(row, position, values[values != 0].astype(np.float32))


def planted() -> list[Planted | Known]:
    same, at = "B's 0 is A's 3 at another length", {"feature_a": 3, "feature_b": 0}
    e = np.eye(3)
    to = {"rows": np.array([e[0], e[0] + 0.1 * e[1], e[2]]), "others": e[:2], "threshold": 0.7}
    merged = {"rows": np.array([e[0] + e[1]]), "others": e[:2], "feature": 0, "threshold": 0.7}
    acts = {"acts_a": np.array([[1.0], [0], [2]]), "acts_b": np.array([[2.0, 0], [0, 1], [4, 0]])}
    one = acts | {"feature_a": 0}
    own = {"decoder_a": e, "decoder_b": e, "encoder_a": e, "encoder_b": -e}
    tenths, two = {"densities": np.arange(1.0, 13) / 12}, np.diag([1.0, 2])
    alike = own | {"encoder_b": e[[0, 2, 1]], "threshold": 0.7}
    pair = one | {"feature_b": 0, "logits_a": np.array([[1.0, 2]]), "logits_b": np.array([[2.0, 4], [0, 0]])}
    return [
        Planted("decoder_cosine", 1, same, at),
        Planted("encoder_cosine", 1, same, at),
        Planted("alignment", 1, same, at),
        Planted("match_score", 1, same, at),
        Planted("activation_correlation", 1, "B's 0 fires twice as strongly", at),
        Planted("agreement", True, "so does the encoder's column", at, "pairs by decoder"),
        known("agreement", False, "the encoder turned it round", **own, feature_a=0, feature_b=0),
        Planted("rth_match_cosine", 1, "B's 0 is A's 3 at another length", {"feature": 3}, "decoder rank 1 ab"),
        known("rth_match_cosine", 0.5**0.5, "it joins two", rows=merged["rows"], others=e, feature=0, r=2),
        known("rth_match_cosine", 0, "it joins two of three", rows=merged["rows"], others=e, feature=0, r=3),
        known("density_decile", 1, "the second of twelve: two groups have two", **tenths, feature=1),
        known("density_decile", 3, "the fifth of twelve", **tenths, feature=4),
        known("density_decile", 10, "the last of twelve", **tenths, feature=11),
        known("logit_weight_a", 12, "row times column", W_dec_a=two, W_U=3 * two.T, how={}, feature_a=1, token=1),
        known("logit_weight_b", 0, "row times column", W_dec_b=two, W_U=3 * two.T, how={}, feature_b=1, token=0),
        known("match_threshold", 0.7, "the seventieth of a hundred steps", step=70),
        known("matching_ratio", 0, "opposite", **own, similarity="encoder", way="ab", match_threshold=-0.5 + 0.5),
        known("mmcs", 1, "the same rows", **own, similarity="decoder", way="ab"),
        known("one_to_one_ratio", 1, "the same rows", **own, similarity="decoder", threshold=0.7),
        known("pw_mcc", 1, "the same rows", **own, similarity="decoder"),
        known("agreeing", 1 / 3, "two encoder columns changed places", **{k: alike[k] for k in own}),
        known("shared", 1 / 3, "two encoder columns changed places", **alike),
        known("mean_alignment", 1, "the one that both agree on", **{k: alike[k] for k in own}),
        known("random_ratio", 0.75, "in 3 dimensions half of the cosines are above 0", n=2, d=3, match_threshold=0),
        known("parent", 0, "row 1 is nearly axis 0", **to, feature=1),
        known("parent", -1, "row 2 is orthogonal to both", **to, feature=2),
        known("siblings", 1, "rows 0 and 1 have one parent", **to, feature=0),
        known("match_label", "split", "rows 0 and 1 have one parent", **to, feature=0),
        known("match_label", "novel", "row 2 is orthogonal to both", **to, feature=2),
        known("match_label", "merged", "it joins two", **merged),
        known("merged_from", 2, "it joins two", **merged),
        known("best_similarity", 0.5**0.5, "it joins two", rows=merged["rows"], others=e[:2], feature=0),
        known("best_match", 0, "row 1 is nearly axis 0", rows=to["rows"], others=e[:2], feature=1),
        known("match_rank", 2, "the other is twice this one", **one, feature_b=1, least=1),
        known("active_tokens_a", 2, "two of three", acts_a=acts["acts_a"], feature_a=0),
        known("active_tokens_b", 1, "one of three", acts_b=acts["acts_b"], feature_b=1),
        known("rotated_correlation", 1, "the mixture is feature 0", **one, mixtures=np.array([[1.0], [0]])),
        known("excess_correlation", 0, "the mixture is feature 0", **one, mixtures=np.array([[1.0], [0]]), least=1),
        known("universal_share", 0, "the mixture is feature 0", **acts, mixtures=np.array([[1.0], [0]]), least=1),
        known("universal_share", 1, "the mixture is its opposite", **acts, mixtures=np.array([[-1.0], [0]]), least=1),
        Planted("unit_correlation", 1, "it is B's 2", {"unit": 1}, "units of a"),
        Planted("unit_correlation", 1, "it is A's 1", {"unit": 2}, "units of b"),
        known("median_best_correlation", 1, "one feature, found", **acts, least=1),
        known("activation_a", 2, "it stands there", acts_a=acts["acts_a"], feature_a=0, row=2),
        known("activation_b", 1, "it stands there", acts_b=acts["acts_b"], feature_b=1, row=1),
        known("pair_masked_cosine", 1, "twice as strong", **one, feature_b=0),
        known("pair_logit_correlation", 1, "twice as far", **{k: pair[k] for k in pair if k[:4] != "acts"}),
        known("pair_attribution_correlation", 1, "twice and twice", **pair, rows=np.array([[0, 1, 0]])),
    ]
