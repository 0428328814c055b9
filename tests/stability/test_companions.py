"""Which statistics go with returning: rank correlations, their intervals and false discovery rates."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, spearmanr

from core.stability.companions import companions, rank_correlation


def test_correlations_are_spearmans_with_ties_and_nan_left_out():
    rng = np.random.default_rng(0)
    share = rng.integers(0, 5, 300) / 4
    statistic = share + rng.standard_normal(300)
    statistic[:20] = np.nan
    share[20:30] = np.nan
    table = companions(share, {"planted": statistic, "noise": rng.standard_normal(300)})
    known = np.isfinite(share) & np.isfinite(statistic)
    assert table["companion"].tolist() == ["planted", "noise"]
    first = table.iloc[0]
    assert first["companion_correlation"] == pytest.approx(spearmanr(share[known], statistic[known])[0])
    assert first["companion_features"] == known.sum() == 270
    assert first["companion_low"] < first["companion_correlation"] < first["companion_high"]


def test_the_interval_holds_the_true_correlation_in_95_of_100_draws():
    rng, r = np.random.default_rng(1), 0.6
    truth, held = 6 / np.pi * np.arcsin(r / 2), 0  # of the ranks of two normal variables
    for _ in range(300):
        x = rng.standard_normal(100)
        y = r * x + np.sqrt(1 - r**2) * rng.standard_normal(100)
        row = companions(x, {"y": y}).iloc[0]
        held += row["companion_low"] <= truth <= row["companion_high"]
    assert 0.91 <= held / 300 <= 0.98


def test_of_statistics_without_relation_q_is_rarely_small_and_equals_benjamini_and_hochbergs():
    rng = np.random.default_rng(2)
    share = rng.standard_normal(400)
    table = companions(share, {f"noise {i}": rng.standard_normal(400) for i in range(40)})
    p = [2 * (1 - _normal(abs(np.arctanh(r)) * np.sqrt(397))) for r in table["companion_correlation"]]
    assert table["companion_q"].tolist() == pytest.approx(false_discovery_control(p).tolist(), rel=1e-6)
    assert (table["companion_q"] > 0.05).all()
    strong = companions(share, {"itself": share, "noise": rng.standard_normal(400)})
    assert strong["companion_q"][0] < 1e-100 < 0.01 < strong["companion_q"][1]


def _normal(z):
    from scipy.stats import norm

    return norm.cdf(z)


def test_constant_and_hardly_known_statistics_have_no_row():
    share = np.linspace(0, 1, 50)
    few = np.where(np.arange(50) < 9, share, np.nan)
    assert companions(share, {"constant": np.ones(50), "few": few}).empty
    enough = np.where(np.arange(50) < 10, share, np.nan)
    assert companions(share, {"enough": enough})["companion_features"].tolist() == [10]
    assert np.isnan(rank_correlation(share, np.ones(50)))
