"""The known world: what was planted is what sae-lens' own numbers find, and what the pages say is counted beside it."""

from dataclasses import replace

import numpy as np
import pytest

from core.dictionaries.config import check_said
from core.dictionaries.sources import entries, open_dictionary
from core.dictionaries.sources import world as source
from core.dictionaries.world import N_FEATURES, RATES, draw, world
from core.dictionaries.world_rows import KINDS, planted
from core.errors import DoesNotFitError, UnknownNameError
from core.geometry.neighbors import nearest_between, nearest_features
from core.workspace import Workspace
from core.worlds.said import Verdict, absorbed, best_features, duplicated, recovered
from core.worlds.sampled import sampled
from core.worlds.study import WorldStudy, check_known


@pytest.fixture(scope="module")
def narrow():
    return open_dictionary("world/narrow", Workspace())


@pytest.fixture(scope="module")
def wide():
    return open_dictionary("world/wide", Workspace())


@pytest.fixture(scope="module")
def study(narrow, wide):
    near = nearest_features(wide.W_dec, k=20)
    return WorldStudy(wide, near, sampled(wide), nearest_between(narrow.W_dec, wide.W_dec, k=1))


@pytest.fixture(scope="module")
def narrow_study(narrow):
    return WorldStudy(narrow, nearest_features(narrow.W_dec, k=10), sampled(narrow), None)


def counts(study: WorldStudy) -> dict[str, tuple[int, int, int, int]]:
    table = study.verdict_table().set_index("world_what")
    return {
        name: tuple(row[["world_true", "world_hit", "world_missed", "world_false"]]) for name, row in table.iterrows()
    }


def test_the_world_is_drawn_as_it_is_described():
    x, acts = draw(20_000)
    made = world()
    fires = acts > 0
    assert np.abs(x - acts @ made.directions).max() < 1e-5
    assert np.abs(np.linalg.norm(made.directions, axis=1) - 1).max() < 1e-6
    parents = made.parent[8:32]
    assert (fires[:, 8:32] <= fires[:, parents]).all(), "a child fires without its parent"
    for parent in range(8):
        assert fires[:, made.children(parent)].sum(axis=1).max() == 1, "two children of a family fire together"
    alone = fires[:, made.alone]
    assert alone.mean(axis=0) == pytest.approx(RATES["alone"], abs=0.006)
    together = np.corrcoef(alone[:, -2:].T.astype(float))[0, 1]
    others = np.corrcoef(alone[:, :-2].T.astype(float)) - np.eye(len(made.alone) - 2)
    assert together > 0.25 > 10 * np.abs(others).max() / 2


def test_the_same_seed_draws_the_same_inputs_and_leaves_torchs_generator_alone():
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other = draw(50)[0], draw(50)[0]
    assert np.array_equal(one, other)
    assert not np.array_equal(one, draw(50, seed=1)[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_listed_is_what_opens(narrow, wide):
    listed = [entry for entry in entries(Workspace()) if entry.id.startswith("world/")]
    assert [entry.id for entry in listed] == ["world/narrow", "world/wide"]
    for entry, dictionary in zip(listed, (narrow, wide), strict=True):
        assert (entry.d_sae, entry.title, entry.kind) == (dictionary.d_sae, dictionary.title, dictionary.config.kind)
        assert entry.hook_name == dictionary.config.hook_name
        assert dictionary.notes == (source.NOTE,)
    with pytest.raises(UnknownNameError, match="world/widest"):
        open_dictionary("world/widest", Workspace())


def test_a_page_that_needs_a_model_is_told_that_there_is_none(wide):
    with pytest.raises(DoesNotFitError, match="no language model behind it, and no text"):
        check_said(wide.config, wide.title)


def test_every_kind_of_feature_does_what_its_name_says(wide):
    truth, made = planted("wide"), world()
    assert set(KINDS) - set(truth.kind) == {"family"}
    assert "family" in planted("narrow").kind
    x, acts = draw(4_000)
    f, true = wide.encode(x) > 0, acts > 0
    assert not f[:, truth.are("dead")].any()
    for feature in truth.are("kept", "copied"):
        assert wide.W_dec[feature] @ made.directions[truth.of[feature]] > 0.95
    for feature in truth.are("split", "absorbing"):
        child = truth.of[feature]
        assert f[true[:, child], feature].mean() > 0.95
        both = made.directions[child] + made.directions[made.parent[child]]
        assert wide.W_dec[feature] @ both / np.linalg.norm(both) == pytest.approx(1, abs=1e-5)
    for feature in truth.are("holed"):
        parent = int(truth.of[feature])
        first = made.children(parent)[0]
        assert f[true[:, parent] & ~true[:, first], feature].mean() > 0.9
        assert f[true[:, first], feature].mean() < 0.1, "the hole is where the absorbing child fires"


def test_planted_faults_are_called_so_by_the_pages_and_what_is_wrong_is_counted(study):
    assert counts(study) == {
        "recovered": (26, 26, 0, 12),  # the split ones lie near parent and child
        "split": (12, 12, 0, 10),  # Splitting cannot tell copies from split features
        "absorbed": (4, 4, 0, 0),
        "duplicated": (10, 10, 0, 0),
        "dead": (4, 4, 0, 0),
    }


def test_the_narrow_dictionary_has_nothing_to_split_from(narrow_study):
    assert counts(narrow_study) == {"recovered": (12, 12, 0, 4), "duplicated": (0, 0, 0, 0), "dead": (1, 1, 0, 0)}
    assert "world_label" not in narrow_study.feature_table()


def test_the_table_of_features_names_every_error_of_the_verdicts(study):
    table, truth = study.feature_table(), study.truth
    assert table["world_kind"].str.partition(":")[0].tolist() == list(truth.kind)
    wrong = table.set_index("feature")["world_wrong"]
    assert set(wrong[truth.are("copied")]) == {"said: split"}
    assert set(wrong[truth.are("kept", "split", "holed", "absorbing", "dead", "noise")]) == {""}
    assert table["world_feature"].isna().tolist() == (truth.of < 0).tolist()
    assert table["density"].tolist() == study.found.density.tolist()


def test_recall_and_precision_are_those_of_sae_lens(study):
    import torch
    from sae_lens.synthetic.evals import ClassificationMetricsCalculator

    x, acts = draw(20_000)
    rows, truth = (torch.from_numpy(weights.copy()) for weights in (study.dictionary.W_dec, world().directions))
    calculator = ClassificationMetricsCalculator(rows, truth)
    calculator.add_batch(torch.from_numpy(study.dictionary.encode(x)), torch.from_numpy(acts))
    best, recall, precision = best_features(study.found, study.in_world)
    # sae-lens asks for the world's nearest of each dictionary feature; both agree where each is the other's nearest.
    mutual = [j for j in range(N_FEATURES) if calculator.best_matches[best[j]] == j]
    assert len(mutual) > 30
    for j in mutual:
        tp, fp, fn = (float(getattr(calculator, name)[best[j]]) for name in ("tp", "fp", "fn"))
        assert recall[j] == pytest.approx(tp / (tp + fn), abs=1e-9)
        assert precision[j] == pytest.approx(tp / (tp + fp), abs=1e-9)


def test_absorption_shows_as_a_recall_that_is_low_for_the_parent_alone(study):
    table = study.world_table().set_index("world_feature")
    holed = study.truth.of[study.truth.are("holed")]
    assert (table.loc[holed, "world_recall"] < 0.75).all()
    kept = table.loc[study.truth.of[study.truth.are("kept")], "world_recall"]
    assert (kept > 0.93).all()
    assert table["world_has"].value_counts()["yes"] == 26


def test_what_is_said_changes_right_at_the_border_of_each_rule(study):
    just = np.array([0.7, np.nextafter(np.float32(0.7), 1), 0.9, np.nextafter(np.float32(0.9), 1)], np.float32)
    cosines = study.in_world.b_in_a_cos.copy()
    cosines[:2, 0] = just[:2]
    near = replace(study.in_world, b_in_a_cos=cosines)
    assert recovered(study.truth, near, study.world).said[:2].tolist() == [False, True]
    cosines = study.neighbors.cos.copy()
    cosines[:2, 0] = just[2:]
    assert duplicated(study.truth, replace(study.neighbors, cos=cosines)).said[:2].tolist() == [False, True]


@pytest.mark.parametrize(
    ("with_child", "without", "said"), [(0.5, 1, 0), (0.499, 1, 2), (0.25, 0.9, 0), (0.25, 0.901, 2)]
)
def test_absorption_is_said_under_a_half_with_the_child_and_over_nine_tenths_without(study, with_child, without, said):
    parent, child, others = 4, 20, 1 / 4
    best = study.in_world.b_in_a_idx[:, 0]
    rate, both = study.found.rate.copy(), np.zeros_like(study.found.both)
    rate[child], rate[parent] = 0.25, 0.25 + others
    both[child, best[parent]] = with_child * rate[child]
    both[parent, best[parent]] = both[child, best[parent]] + without * others
    found = absorbed(study.truth, study.world, replace(study.found, rate=rate, both=both), study.in_world)
    assert np.flatnonzero(found.said).tolist() == sorted(best[[parent, child]].tolist() if said else [])


def test_counts_of_a_verdict_add_up():
    one = Verdict("x", "page", "rule", np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool))
    assert (one.hit, one.missed, one.false) == (1, 2, 1)


def test_a_dictionary_that_was_trained_has_no_known_truth(wide):
    check_known(wide, ["world/narrow", "world/wide"])
    with pytest.raises(DoesNotFitError, match=r"nobody knows what is true .* pick demo/a or demo/b"):
        check_known(wide, ["demo/a", "demo/b"])
