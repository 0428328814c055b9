"""What a selection shares: slow twins, a planted group, and a selection drawn at random."""

import numpy as np
import pandas as pd
import pytest

from core.selection.summary import COLUMNS, summary

D_SAE = 300


def numbers(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Twelve numbers of each feature: some go together, some tie, some are not known of all."""
    base = rng.normal(size=(8, D_SAE))
    base[1] = base[0] + 0.3 * base[1]
    base[2] = np.round(base[2])
    base[3, rng.random(D_SAE) < 0.6] = 0  # as the density of dead features
    base[4, rng.random(D_SAE) < 0.5] = np.nan
    return {f"number {i}": row for i, row in enumerate(base)}


def texts(rng: np.random.Generator) -> dict[str, list[set[str]]]:
    tokens = [{f"token {int(i)}"} for i in rng.integers(0, 30, D_SAE)]
    tags = [set(np.array(["code", "maths"])[rng.random(2) < 0.2].tolist()) for _ in range(D_SAE)]
    return {"top_token": tokens, "feature_tags": tags}


def drawn(rng: np.random.Generator, n: int) -> np.ndarray:
    members = np.zeros(D_SAE, dtype=bool)
    members[rng.choice(D_SAE, n, replace=False)] = True
    return members


@pytest.mark.parametrize("seed", range(3))
def test_the_comparison_agrees_with_scipy_and_with_counting_pairs(seed):
    from scipy.stats import false_discovery_control, fisher_exact, mannwhitneyu

    rng = np.random.default_rng(seed)
    given, held, members = numbers(rng), texts(rng), drawn(rng, 40)
    table = summary(given, held, members)
    assert list(table.columns) == COLUMNS
    p = {}
    for name, values in given.items():
        mine, others = (values[mask & ~np.isnan(values)] for mask in (members, ~members))
        p[name, ""] = mannwhitneyu(mine, others, method="asymptotic").pvalue
        row = table[table["compared"] == name].iloc[0]
        pairs = [(a > b) + 0.5 * (a == b) for a in mine for b in others]
        assert row["member_larger"] == pytest.approx(np.mean(pairs))
        assert row[["member_median", "other_median", "n_members", "n_others"]].tolist() == pytest.approx(
            [np.median(mine), np.median(others), len(mine), len(others)]
        )
    for name, values in held.items():
        known = np.array([bool(value) for value in values])
        for text in sorted({text for value in values for text in value}):
            has = np.array([text in value for value in values])
            if has.sum() >= 5:
                cells = [[int((a & b & known).sum()) for b in (has, ~has)] for a in (members, ~members)]
                p[name, text] = fisher_exact(cells, alternative="greater").pvalue
    q = dict(zip(p, false_discovery_control(list(p.values())), strict=True))
    for row in table.itertuples():
        assert 10**row.log10_q_members == pytest.approx(q[row.compared, row.compared_value], rel=1e-6)
    assert table["log10_q_members"].is_monotonic_increasing


def test_a_planted_group_is_found_and_what_was_not_planted_is_not():
    rng = np.random.default_rng(7)
    given, held, members = numbers(rng), texts(rng), drawn(rng, 30)
    given["planted"] = rng.normal(size=D_SAE) + 1.5 * members
    for feature in np.flatnonzero(members)[:20]:
        held["feature_tags"][feature].add("months")
    for feature in np.flatnonzero(~members)[:20]:
        held["feature_tags"][feature].add("months")
    found = summary(given, held, members)
    sure = found[found["log10_q_members"] <= np.log10(0.05)]
    assert set(zip(sure["compared"], sure["compared_value"], strict=True)) == {
        ("planted", ""),
        ("feature_tags", "months"),
    }
    tag = sure[sure["compared_value"] == "months"].iloc[0]
    assert tag["member_share"] > 3 * tag["other_share"]


def test_of_selections_drawn_at_random_at_most_one_in_twenty_seems_to_share_anything():
    rng = np.random.default_rng(1)
    given, held = numbers(rng), texts(rng)
    false = sum(
        bool((summary(given, held, drawn(rng, n))["log10_q_members"] <= np.log10(0.05)).any())
        for n in (6, 20, 80)
        for _ in range(100)
    )
    assert false <= 24  # 15 expected at most, three standard deviations above 12


def test_too_few_features_are_not_compared():
    rng = np.random.default_rng(2)
    assert summary(numbers(rng), texts(rng), drawn(rng, 4)).empty
    assert summary({}, {}, drawn(rng, 10)).empty
    constant = summary({"same": np.ones(D_SAE)}, {}, drawn(rng, 10)).iloc[0]
    assert (constant["member_larger"], constant["log10_q_members"]) == (0.5, 0)


def test_texts_that_no_member_has_count_as_tests_but_have_no_row():
    members = np.arange(D_SAE) < 10
    held = [{"ours"} if i < 10 else {f"theirs {i % 20}"} for i in range(D_SAE)]
    table = summary({}, {"tag": held}, members)
    assert table["compared_value"].tolist() == ["ours"]
    alone = summary({}, {"tag": [value & {"ours"} or {"x"} for value in held]}, members)
    assert table["log10_q_members"][0] == pytest.approx(alone["log10_q_members"][0] + np.log10(21 / 2))
    assert isinstance(table, pd.DataFrame)
