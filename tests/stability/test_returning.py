"""Stability: 1 for copies, chance for random dictionaries, the same under any numbering; what cannot be is refused."""

import numpy as np
import pandas as pd
import pytest

from core.errors import DoesNotFitError
from core.matching.null import random_ratio
from core.stability.chance import return_chance, second_moments
from core.stability.returning import Stability, stability
from core.work.artifacts import ArtifactStore
from tests.doubles.planted import planted_dictionary

D, N = 24, 60


def dictionary(rows, *, title=None, **more):
    rows = np.asarray(rows, np.float32)
    return planted_dictionary(
        d_in=rows.shape[1],
        d_sae=len(rows),
        tensors={"W_dec": rows, "W_enc": rows.T, "b_dec": np.zeros(rows.shape[1]), "b_enc": np.zeros(len(rows))},
        title=title,
        **more,
    )


def random_rows(seed, n=N, d=D):
    return np.random.default_rng(seed).standard_normal((n, d))


def noisy(rows, size, seed):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit + size * np.random.default_rng(seed).standard_normal(rows.shape) / np.sqrt(rows.shape[1])


@pytest.mark.parametrize("rule", ["nearest", "mutual"])
@pytest.mark.parametrize("side", ["decoder", "encoder"])
def test_all_features_return_in_permuted_and_scaled_copies(rule, side):
    rows, rng = random_rows(0), np.random.default_rng(1)
    copies = [dictionary(rows[order] * rng.uniform(0.5, 2, (N, 1))) for order in map(rng.permutation, [N] * 3)]
    found = stability(dictionary(rows), copies, side, rule=rule)
    assert found.count.tolist() == [3] * N
    assert found.share.tolist() == [1.0] * N
    assert found.histogram()["returning_features"].tolist() == [0, 0, 0, N]
    for copy, one in zip(copies, found.returns, strict=True):
        matched = copy.W_dec[one.partner]
        np.testing.assert_allclose(
            matched / np.linalg.norm(matched, axis=1, keepdims=True), dictionary(rows).W_dec, atol=1e-6
        )


def test_features_of_random_dictionaries_return_as_often_as_chance_says():
    own, others = dictionary(random_rows(0)), [dictionary(random_rows(seed)) for seed in range(1, 41)]
    found = stability(own, others, threshold=0.0)
    expected = found.chance.mean()
    assert expected == pytest.approx(0.01, abs=0.004)  # the threshold is then that by chance alone
    drawn = found.share.mean()
    assert abs(drawn - expected) < 4 * np.sqrt(0.01 / (N * len(others)))
    table = found.histogram()
    assert table["random_features"].sum() == pytest.approx(N)
    assert (table["random_features"] * table["return_count"]).sum() == pytest.approx(len(others) * found.chance.sum())


def test_with_like_directions_on_all_sides_chance_is_that_of_the_closed_form():
    rows = np.concatenate([np.eye(D), -np.eye(D)])
    p = return_chance(rows, second_moments(rows), 0.6)
    assert p == pytest.approx(random_ratio(2 * D, D, np.array([0.6]))[0], rel=1e-6)


def test_a_feature_returns_where_it_was_planted_and_the_count_says_in_how_many():
    rows = random_rows(0)
    others = []
    for place in range(3):  # feature 0 is in all three, 1 in two of them, 2 in one
        other = random_rows(10 + place)
        other[:3] = noisy(rows[:3], 0.2, place)
        other[3 - place : 3] = random_rows(20 + place, 3)[3 - place :]
        others.append(dictionary(other))
    found = stability(dictionary(rows), others, threshold=0.9)
    assert found.count[:3].tolist() == [3, 2, 1]
    assert found.count[3:].max() == 0
    assert found.at_least(2).tolist() == [0, 1]
    assert [one.share for one in found.returns] == pytest.approx([3 / N, 2 / N, 1 / N])
    table = found.table()
    assert table["return_share"][:4].tolist() == pytest.approx([1, 2 / 3, 1 / 3, 0])
    assert table["return_low"][0] == pytest.approx(3 / (3 + 1.96**2), abs=1e-4)  # Wilson's interval of 3 out of 3
    assert table["return_high"][0] == pytest.approx(1)


def test_the_numbers_of_features_change_nothing():
    rows, rng = random_rows(0), np.random.default_rng(3)
    other = np.concatenate([noisy(rows[:30], 0.6, 4), random_rows(5, 40)])
    order, other_order = rng.permutation(N), rng.permutation(len(other))
    one = stability(dictionary(rows), [dictionary(other)], threshold=0.5)
    turned = stability(dictionary(rows[order]), [dictionary(other[other_order])], threshold=0.5)
    assert 0 < one.count.sum() < N
    assert turned.count.tolist() == one.count[order].tolist()
    assert turned.returns[0].threshold == one.returns[0].threshold
    assert turned.chance == pytest.approx(one.chance[order], rel=1e-9)
    columns = ["returned_share", "returned_low", "random_share"]
    assert turned.by_other("B")[columns].to_numpy() == pytest.approx(one.by_other("B")[columns].to_numpy())


def test_the_threshold_is_never_below_what_a_random_feature_reaches():
    rows = random_rows(0)
    low, high = (stability(dictionary(rows), [dictionary(random_rows(1))], threshold=t).returns[0] for t in (0.1, 0.97))
    assert low.threshold == low.chance_threshold > 0.5  # 60 directions in 24 dimensions come near each other
    assert high.threshold == 0.97
    assert high.chance_threshold == low.chance_threshold


def test_mutual_matches_are_among_the_nearest():
    rows = random_rows(0)
    other = np.concatenate([noisy(rows[:20], 0.2, 1), random_rows(2, 10)])
    rows[40:50] = noisy(rows[:10], 0.2, 3)  # twins, of which one alone is the other's nearest
    nearest, mutual = (
        stability(dictionary(rows), [dictionary(other)], threshold=0.8, rule=rule) for rule in ("nearest", "mutual")
    )
    assert (mutual.count <= nearest.count).all()
    assert mutual.count.sum() == 20
    assert nearest.count.sum() > 25


def test_features_without_a_direction_are_left_out_of_everything():
    rows = random_rows(0)
    rows[7] = 0
    found = stability(dictionary(rows), [dictionary(rows[::-1])])
    assert found.count[7] == -1
    assert found.histogram()["returning_features"].tolist() == [0, N - 1]
    assert found.expected.sum() == pytest.approx(N - 1)
    assert found.table().loc[7].drop("feature").isna().all()
    assert found.by_other(["B"])["returned_share"].tolist() == [1.0]
    assert found.at_least(0).tolist() == [i for i in range(N) if i != 7]


def test_a_single_dictionary_is_refused():
    with pytest.raises(DoesNotFitError, match=r"lonely is a single dictionary.*choose them"):
        stability(dictionary(random_rows(0), title="lonely"), [])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (dictionary(random_rows(1, d=D - 1), title="narrow"), "narrow has decoder directions of width 23"),
        (dictionary(random_rows(1), title="inside", hook_name="blocks.0.mlp.hook_post"), "inside writes to"),
        (dictionary(random_rows(1), title="far", metadata={"model_name": "another"}), "far belongs to another"),
    ],
)
def test_dictionaries_of_different_spaces_are_refused(other, why):
    with pytest.raises(DoesNotFitError, match=f"{why}.*leave one of them out"):
        stability(dictionary(random_rows(0)), [dictionary(random_rows(2)), other])


def test_what_takes_long_is_kept_by_content_and_found_again(tmp_path, monkeypatch):
    store = ArtifactStore(tmp_path)
    own, other = dictionary(random_rows(0)), dictionary(random_rows(1))
    once = stability(own, [other], store=store)
    monkeypatch.setattr("core.matching.matrix.nearest_between", lambda *_, **__: pytest.fail("matched twice"))
    monkeypatch.setattr("core.stability.returning.second_moments", lambda _: pytest.fail("computed twice"))
    again = stability(own, [other], threshold=0.2, store=store)
    assert again.returns[0].cos.tolist() == once.returns[0].cos.tolist()
    stability(own, [other], rule="mutual", store=store)


def test_a_stored_result_is_the_one_that_was_computed(tmp_path):
    own, others = dictionary(random_rows(0)), [dictionary(random_rows(1)), dictionary(random_rows(2))]
    found, store = stability(own, others, threshold=0.2), ArtifactStore(tmp_path)
    how = {"side": "decoder", "threshold": 0.2, "rule": "nearest"}
    key = Stability.key(own.sha256, [other.sha256 for other in others], **how)
    store.save(found, key)
    pd.testing.assert_frame_equal(store.load(Stability, key).table(), found.table())
    changed = [how | change for change in ({"side": "encoder"}, {"threshold": 0.3}, {"rule": "mutual"})]
    keys = {Stability.key(own.sha256, [other.sha256 for other in others], **one) for one in [how, *changed]}
    keys |= {Stability.key(own.sha256, [others[0].sha256], **how), Stability.key(others[0].sha256, ["x"], **how)}
    assert len(keys) == 6
