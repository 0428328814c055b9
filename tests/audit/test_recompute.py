"""What the app shows of a feature, computed anew in a clean process from the raw weights."""

import json

import numpy as np
import pandas as pd
import pytest

from core import tables
from core.activations.quantiles import activation_quantiles
from core.activations.store import counted, feature_activations
from core.activations.tables import decile_table
from core.activations.token_pass import activation_pass, open_store
from core.audit.asked import Asked, Text
from core.audit.checks import CHECKS, ENRICHMENT, GEOMETRY, MATCHING, POSITIONS, SPLITTING, TOKEN_PASS, room_of, why_not
from core.audit.recompute import checked_columns, slow_numbers
from core.catalogue import STATISTICS
from core.enrichment.enrichment import enrichment
from core.enrichment.tables import best_sets, feature_scores, set_against_set
from core.errors import CancelledError, DoesNotFitError
from core.feature.profile import position_profile
from core.geometry.neighbors import nearest_features
from core.geometry.study import GeometryStudy
from core.geometry.tables import hubs
from core.logit_weights.classes import logit_table
from core.logit_weights.statistics import logit_statistics
from core.logit_weights.study import LogitStudy
from core.logit_weights.unembedding import LogitSettings, residual_directions, unembedding
from core.matching import tables as matching_tables
from core.matching.comparison import compare
from core.matching.labels import relate
from core.matching.pairs import match, nearest
from core.positions import tables as position_tables
from core.positions.encoded import corpus_statistics
from core.positions.methods import position_statistics
from core.positions.scores import score_table
from core.positions.statistics import PositionSettings
from core.splitting.tables import children_table
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.token_set_scores import token_sets
from tests.oracles.shown import CLOSE, ROUNDING, same

FEATURE = 5
ROWS = np.random.default_rng(1).integers(0, 90, (7, 8))
NOT_FROM_TEXT = ["share_token", "share_interaction", "token_score", "token_best", "inverse_token_score", "only_beyond"]


@pytest.fixture(scope="module")
def dictionary():
    return planted_dictionary("jumprelu", d_sae=20)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return planted_model(tmp_path_factory.mktemp("model"), d_vocab=90)


def slow_rows(table, provenance, *things, **more):
    """Return the columns of a table's rows of the feature that can be checked, and what the slow way finds."""
    columns = checked_columns(provenance, list(table))
    own = table[table["feature"] == FEATURE] if "feature" in table else table
    rows = json.loads(own.to_json(orient="records", double_precision=15))
    asked = Asked(things[:1], provenance["settings"], FEATURE, *things[1:], columns=tuple(table), **more)
    return columns, rows, slow_numbers(asked, provenance, columns, rows)


def check(table, provenance, *things, **more):
    """The slow way agrees with the table's rows of the feature, and disagrees with another row."""
    columns, rows, slow = slow_rows(table, provenance, *things, **more)
    assert len(columns) > 1
    assert slow.left_out == {}
    assert len(slow.numbers) == len(columns) * len(rows)
    sizes = {name: table[name].abs().max() for name in columns}
    wrong = [one for one in slow.numbers if not agrees(rows[one.row][one.column], one, sizes)]
    assert wrong == []
    other = table[table["feature"] == FEATURE + 1].iloc[0] if "feature" in table else table.iloc[-1]
    assert [one for one in slow.numbers if not agrees(other[one.column], one, sizes)] != []


def agrees(shown, one, sizes):
    return same(float(shown), one.value, CLOSE * sizes[one.column] + ROUNDING)


def test_distances_agree(dictionary):
    near = (nearest_features(dictionary.W_dec, k=9, copies=copies) for copies in (True, False))
    study = GeometryStudy(dictionary, "decoder", *near)
    check(hubs(study.distinct), study.provenance, dictionary)


def test_positional_scores_agree(dictionary, model):
    stats = position_statistics(dictionary, model, settings=PositionSettings(n_pos=8))
    settings = {"n_pos": 8, "context_size": stats.context_size, "n_samples": stats.n_samples}
    assert stats.method == POSITIONS
    said = tables.provenance(dictionary=dictionary, model=model, method=stats.method, settings=settings)
    check(score_table(stats), said, dictionary, model)


@pytest.mark.parametrize("architecture", ["gated", "topk", "abstopk"])
def test_positional_scores_of_other_architectures_agree(architecture, model):
    how = {"topk": "layer_norm"}.get(architecture, "none")
    other = planted_dictionary(architecture, d_sae=20, normalize_activations=how)
    stats = position_statistics(other, model, settings=PositionSettings(n_pos=8, grid_tokens=70))
    settings = {"n_pos": 8, "context_size": stats.context_size, "n_samples": stats.n_samples}
    said = tables.provenance(dictionary=other, model=model, method=stats.method, settings=settings)
    check(score_table(stats), said, other, model)


def test_positional_scores_from_text_agree(dictionary, model):
    stats = corpus_statistics(dictionary, model, ROWS, n_pos=8, context_size=6, budget_bytes=2**20)
    settings = {"n_pos": 8, "context_size": 6, "n_samples": len(ROWS)}
    said = tables.provenance(dictionary=dictionary, model=model, method=stats.method, settings=settings)
    table = score_table(stats).drop(columns=NOT_FROM_TEXT)
    check(table, said, dictionary, model, text=Text(ROWS))
    curves = position_tables.curves(stats, [FEATURE, FEATURE + 1], stage="pre_acts").drop(columns=["low", "high"])
    check(curves, tables.with_settings(said, stage="Pre-activations"), dictionary, model, text=Text(ROWS))


@pytest.mark.parametrize("architecture", ["jumprelu", "gated", "topk"])
@pytest.mark.parametrize(("left_out", "with_first"), [((), True), ((3, 4), False)])
def test_activations_on_text_agree(architecture, left_out, with_first, model, tmp_path):
    reader = planted_dictionary(architecture, d_sae=20, hook_name="blocks.0.hook_resid_post")
    artifacts = ArtifactStore(tmp_path)
    found = activation_pass(reader, model, ROWS, artifacts, left_out=left_out)
    store = open_store(reader, model, ROWS, artifacts, left_out=left_out)
    deciles = activation_quantiles(store, found, with_first=with_first)
    said = tables.provenance(dictionary=reader, model=model, method=TOKEN_PASS, settings={"with_first": with_first})
    whole = found.feature_table(with_first=with_first)
    for table in (whole, decile_table(whole, deciles)):
        check(table, said, reader, model, text=Text(ROWS, left_out))


def test_activations_at_each_position_agree(model, tmp_path):
    reader = planted_dictionary(d_sae=20, hook_name="blocks.0.hook_resid_post")
    artifacts = ArtifactStore(tmp_path)
    activation_pass(reader, model, ROWS, artifacts, left_out=(3, 4))
    store = open_store(reader, model, ROWS, artifacts, left_out=(3, 4))
    acts, kept = feature_activations(store, FEATURE, d_sae=20), counted(ROWS, (3, 4))
    profile = position_profile(acts, kept.sum(axis=0))
    said = tables.provenance(dictionary=reader, model=model, method=TOKEN_PASS, settings={"feature": FEATURE})
    assert not kept.all()
    check(profile, said, reader, model, text=Text(ROWS, (3, 4)))
    by_token = pd.DataFrame({"token": [1], "density": [0.5]})
    assert checked_columns(said, list(by_token)) == []


@pytest.mark.parametrize("hook", ["blocks.0.mlp.hook_post", "blocks.0.attn.hook_z"])
def test_logit_weights_behind_a_matrix_agree(hook, model):
    inside = planted_dictionary(d_sae=20, d_in=model.hook_width(hook), hook_name=hook)
    settings = LogitSettings(unit_rows=True)
    rows, tokens = residual_directions(inside, model, settings), unembedding(model, settings)
    study = LogitStudy(inside, model, settings, logit_statistics(rows, tokens, center=settings.center))
    check(logit_table(study.stats, model.token_strings), study.provenance, inside, model)


def two_widths():
    narrow = planted_dictionary(d_sae=20, seed=1)
    rows = np.random.default_rng(2).normal(size=(30, 8))
    rows[:12] = np.repeat(narrow.W_dec[4:8], 3, axis=0) + 0.05 * rows[:12]
    return narrow, planted_dictionary(d_sae=30, seed=3, tensors={"W_dec": rows})


@pytest.mark.parametrize("similarity", ["decoder", "encoder"])
def test_matching_agrees(similarity):
    a, b = two_widths()
    comparison, told = compare(a, b), {"similarity": similarity, "threshold": 0.7}
    said = tables.provenance(dictionary=[a, b], method=MATCHING, settings=told)
    pairs, near = match(comparison, similarity), nearest(comparison, similarity)
    numbers = ["feature_a", "feature_b", "decoder_cosine", "encoder_cosine", "alignment"]
    check_of_two(matching_tables.pair_table(pairs)[numbers], said, a, b)
    only_b = matching_tables.unmatched_table(np.arange(30), near.b, near.of_b, "b")
    check_of_two(only_b, tables.with_settings(said, end="b"), a, b)
    there, back = comparison.decoder, comparison.encoder
    between = there if similarity == "decoder" else back
    ends = (between.b_in_a_cos, between.b_in_a_idx), (between.a_in_b_cos, between.a_in_b_idx)
    relation = relate(*(part[:, 0] for end in ends for part in end), threshold=0.7)
    labels = matching_tables.label_table(relation)
    check_of_two(labels, tables.with_settings(said, end="b"), a, b)


def test_splitting_agrees():
    narrow, wide = two_widths()
    wider = planted_dictionary(d_sae=40, seed=4)
    said = tables.provenance(dictionary=[narrow, wide, wider], method=SPLITTING, settings={"threshold": 0.7})
    betweens = {one.d_sae: compare(narrow, one).decoder for one in (wide, wider)}
    check_of_two(children_table(betweens, threshold=0.7), said, narrow, wide, wider)
    steps = pd.DataFrame({"split_step": "30 → 40", "coarse_feature": [3, 9], "child": [0, 5], "split_cosine": np.nan})
    slow = slow_numbers(
        Asked((narrow, wide, wider), said["settings"], 0), said, ["split_cosine"], steps.to_dict("records")
    )
    unit = [one.W_dec.astype(float) / np.linalg.norm(one.W_dec.astype(float), axis=1)[:, None] for one in (wide, wider)]
    assert [one.value for one in slow.numbers] == pytest.approx([unit[0][3] @ unit[1][0], unit[0][9] @ unit[1][5]])


def check_of_two(table, said, *dictionaries):
    """The slow way agrees with every row of a table of several dictionaries, and with no column of its rows shifted."""
    columns = checked_columns(said, list(table))
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    slow = slow_numbers(Asked(dictionaries, said["settings"], 0), said, columns, rows)
    assert columns
    assert slow.left_out == {}
    sizes = {name: table[name].abs().max() for name in columns}
    assert [one for one in slow.numbers if not agrees(rows[one.row][one.column], one, sizes)] == []
    for column in columns:
        found = [one for one in slow.numbers if one.column == column]
        assert [one for one in found if not agrees(rows[one.row - 1][column], one, sizes)] != []


def test_enrichment_agrees(dictionary, model):
    settings = LogitSettings()
    rows, tokens = residual_directions(dictionary, model, settings), unembedding(model, settings)
    sets = token_sets(early=set(range(40)), pair={3, 4}, last=set(range(60, 90)))
    scores = enrichment(rows, tokens, sets, draws=50)
    told = settings.done_to(model).as_inputs()
    said = tables.provenance(dictionary=dictionary, model=model, method=ENRICHMENT, settings=told)
    named = {one.name: one.tokens for one in sets.sets}
    check(feature_scores(scores, "early"), tables.with_settings(said, token_set="early"), dictionary, model, sets=named)
    table = set_against_set(scores, "early", "last")
    about = tables.with_settings(said, token_set="early", other_set="last")
    check(table, about, dictionary, model, sets=named)
    check(best_sets(scores, FEATURE), tables.with_settings(said, feature=FEATURE), dictionary, model, sets=named)


@pytest.mark.parametrize("settings", [LogitSettings(), LogitSettings(center="none", fold_ln=False, unit_rows=True)])
def test_logit_weights_agree(dictionary, model, settings):
    rows, tokens = residual_directions(dictionary, model, settings), unembedding(model, settings)
    study = LogitStudy(dictionary, model, settings, logit_statistics(rows, tokens, center=settings.center))
    check(logit_table(study.stats, model.token_strings), study.provenance, dictionary, model)


def test_what_is_not_computed_anew_has_its_reason(dictionary):
    said = tables.provenance(dictionary=dictionary, method=GEOMETRY, settings={})
    assert checked_columns(said, ["feature", "features_in_bin", "nearest_cosine"]) == ["nearest_cosine"]
    assert why_not(said, "features_in_bin", ["feature"]) == "it counts, and chance lies beside"
    assert "here it is a number of all features" in why_not(said, "nearest_cosine", ["d_sae"])
    assert "no slow version" in why_not(said, "token_text", ["feature"])
    assert why_not(said | {"method": "a new one"}, "nearest_cosine", ["feature"]).startswith("figures by a new one")
    both = tables.provenance(dictionary=[dictionary, dictionary], method=GEOMETRY, settings={})
    assert "is of 2 dictionaries" in why_not(both, "nearest_cosine", ["feature"])


def test_every_number_that_is_checked_has_an_oracle():
    for check in CHECKS.values():
        assert [name for name in check.statistics.split() if room_of(name) is None] == []
        assert set(check.of_all.split()) <= set(check.statistics.split())
        reasons = {name for names in check.not_these for name in names.split()}
        assert reasons & set(check.statistics.split()) == set()
        assert reasons <= set(STATISTICS)


def test_what_the_slow_way_does_not_cover_is_explained(dictionary, model):
    pursuit, settings = planted_dictionary("matching_pursuit"), {"n_pos": 8, "context_size": 6, "n_samples": 90}
    said = tables.provenance(dictionary=pursuit, model=model, method=POSITIONS, settings=settings)
    with pytest.raises(DoesNotFitError, match=r"it is a matching_pursuit dictionary\. Expected one of standard"):
        slow_numbers(Asked((pursuit,), settings, 0, model), said, ["peak"], [{"feature": 0}])
    with pytest.raises(DoesNotFitError, match="is not the dictionary that this table was made from"):
        slow_numbers(Asked((dictionary,), settings, 0, model), said, ["peak"], [{"feature": 0}])


def test_a_cancelled_audit_ends(dictionary):
    class Cancelled:
        def update(self, done, total):
            raise CancelledError("stop")

        def note(self, text):
            pass

    said = tables.provenance(dictionary=dictionary, method=GEOMETRY, settings={"side": "decoder"})
    asked, rows = Asked((dictionary,), said["settings"], 0), [{"feature": 0}]
    with pytest.raises(CancelledError):
        slow_numbers(asked, said, ["nearest_cosine"], rows, progress=Cancelled())
    assert np.isfinite(slow_numbers(asked, said, ["nearest_cosine"], rows).numbers[0].value)
