"""Examples, intervals, tokens and positions of one feature, against slow doubles on planted activations."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer

from core.activations.store import FeatureActivations
from core.errors import BadSettingError
from core.feature import examples
from core.feature.contexts import context_table, context_texts, contexts, window
from core.feature.profile import position_profile
from core.feature.report import report
from core.maths.significance import wilson
from core.work.patterns import TooSlowError
from tests.doubles.planted import write_tokenizer

N_ROWS, N_POS = 30, 9
RNG = np.random.default_rng(5)
ROWS = RNG.integers(1, 20, (N_ROWS, N_POS))
DENSE = np.where(RNG.random(ROWS.shape) < 0.4, RNG.gamma(2, 1, ROWS.shape), 0).astype(np.float32)
DENSE[4] = 0
DENSE[7, [2, 5]] = DENSE[9, 1] = 3.5  # equals, in a row and across rows


def sparse(dense: np.ndarray) -> FeatureActivations:
    row, position = np.nonzero(dense)
    return FeatureActivations(row, position, dense[row, position])


FOUND = sparse(DENSE)
NONE = sparse(np.zeros((2, 3), np.float32))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer(path, 257)
    return Tokenizer.from_file(str(path))


def triples(found: FeatureActivations) -> list[tuple[int, int, float]]:
    return list(zip(found.row.tolist(), found.position.tolist(), found.act.tolist(), strict=True))


@pytest.mark.parametrize("dense", [DENSE, -DENSE])
def test_the_strongest_contexts_are_one_a_row_by_size_and_earlier_ones_first_among_equals(dense):
    expected = []
    for row in range(N_ROWS):
        best = max(range(N_POS), key=lambda p: (abs(dense[row, p]), -p))
        if dense[row, best]:
            expected.append((row, best, float(dense[row, best])))
    expected.sort(key=lambda one: (-abs(one[2]), one[0]))
    assert triples(examples.strongest_of_rows(sparse(dense))) == expected
    assert 4 not in [row for row, _, _ in expected]


def test_contexts_are_sorted_by_position_and_by_row_too():
    found = examples.strongest_of_rows(FOUND)
    assert (np.diff(examples.ordered(found, "position").position) >= 0).all()
    assert (np.diff(examples.ordered(found, "row").row) > 0).all()


def test_eleven_intervals_of_equal_width_hold_every_active_token_once_and_examples_are_of_their_interval():
    levels = examples.intervals(FOUND)
    assert len(levels) == 11
    largest = float(DENSE.max())
    for i, level in enumerate(levels):
        assert (level.low, level.high) == pytest.approx((largest * i / 11, largest * (i + 1) / 11))
        inside = [a for a in FOUND.act.tolist() if level.low < a <= level.high]
        assert level.count == len(inside)
        assert all(level.low < a <= level.high for a in level.examples.act)
        rows = level.examples.row
        assert len(set(rows.tolist())) == len(rows) <= 5
    assert sum(level.count for level in levels) == len(FOUND.act)


def test_an_activation_on_the_border_of_two_intervals_is_in_the_lower_one():
    levels = examples.intervals(sparse(np.arange(12, dtype=np.float32)[None]))
    assert [level.examples.act.tolist() for level in levels] == [[float(i)] for i in range(1, 12)]


def test_quantile_groups_are_equally_large_and_in_order():
    levels = examples.quantile_groups(FOUND)
    counts = [level.count for level in levels]
    assert sum(counts) == len(FOUND.act)
    assert max(counts) - min(counts) <= 1
    ranked = np.split(np.sort(FOUND.act), np.cumsum(counts)[:-1])
    for level, part in zip(levels, ranked, strict=True):
        assert level.high == part.max()
        assert set(level.examples.act.tolist()) <= set(part.tolist())
    few = examples.quantile_groups(examples.taken(FOUND, np.arange(3)))
    assert [level.count for level in few] == [1, 1, 1]


def test_draws_are_even_and_only_the_seed_decides_them():
    again = [examples.intervals(FOUND, seed=3)[1].examples for _ in range(2)]
    assert triples(again[0]) == triples(again[1])
    low = {one for seed in range(60) for one in triples(examples.intervals(FOUND, seed=seed)[0].examples)}
    assert len(low) == examples.intervals(FOUND)[0].count  # every token of the interval has its turn
    drawn = examples.random_active(FOUND, n=8, seed=1)
    assert set(triples(drawn)) <= set(triples(FOUND))
    assert len(set(drawn.row.tolist())) == 8
    anywhere = examples.random_tokens(FOUND, np.ones(ROWS.shape, bool), n=50, seed=2)
    assert sorted(anywhere.row.tolist()) == list(range(N_ROWS))
    np.testing.assert_array_equal(anywhere.act, DENSE[anywhere.row, anywhere.position])
    assert (anywhere.act == 0).any()


def test_tokens_drawn_from_the_text_are_counted_ones_and_all_of_them_have_their_turn():
    counted = ROWS[0, 0] != ROWS
    counted[3:] = False
    drawn = [examples.random_tokens(FOUND, counted, n=1, seed=seed) for seed in range(900)]
    times = np.zeros(ROWS.shape, int)
    for one in drawn:
        times[one.row, one.position] += 1
    np.testing.assert_array_equal(times > 0, counted)
    assert times[counted].max() < 2.5 * 900 / counted.sum()
    assert sorted(examples.random_tokens(FOUND, counted, n=50).row.tolist()) == [0, 1, 2]
    assert not len(examples.random_tokens(FOUND, np.zeros(ROWS.shape, bool), n=5).act)


def test_token_counts_match_a_loop():
    table = examples.token_counts(FOUND, ROWS)
    assert table["active_count"].is_monotonic_decreasing
    for row in table.itertuples():
        here = DENSE[row.token == ROWS]
        assert row.active_count == (here != 0).sum()
        assert row.share_of_token == pytest.approx((here != 0).mean())
        assert row.share_of_active == pytest.approx((here != 0).sum() / (DENSE != 0).sum())
        assert row.mean_active == pytest.approx(here[here != 0].mean())
        assert row.largest_activation == here.max()
    assert set(table["token"]) == set(ROWS[DENSE != 0].tolist())


def test_a_feature_of_one_token_is_told_from_one_of_many():
    single = sparse(np.where(ROWS == 3, DENSE + 1, 0).astype(np.float32))
    token, share, n = examples.commonest_strongest(single, ROWS)
    assert (token, share) == (3, 1)
    assert n == min(20, (ROWS == 3).any(axis=1).sum())
    best = examples.strongest_of_rows(FOUND)
    tops = ROWS[best.row, best.position][:20].tolist()
    token, share, _ = examples.commonest_strongest(FOUND, ROWS)
    assert share == pytest.approx(tops.count(token) / 20) == max(map(tops.count, tops)) / 20


def test_a_dead_feature_has_no_examples_and_no_numbers():
    assert examples.intervals(NONE) == examples.quantile_groups(NONE) == []
    assert triples(examples.strongest_of_rows(NONE)) == triples(examples.random_active(NONE, n=3)) == []
    assert examples.token_counts(NONE, ROWS).empty
    assert examples.commonest_strongest(NONE, ROWS)[0] == -1
    assert position_profile(NONE, np.full(3, 2))["fires_share"].tolist() == [0, 0, 0]


def test_the_position_profile_counts_what_is_counted_and_its_interval_is_wilsons():
    counted = np.full(N_POS, N_ROWS)
    counted[0] = 0
    part = sparse(np.where(np.arange(N_POS) > 0, DENSE, 0).astype(np.float32))
    table = position_profile(part, counted)
    for p in range(1, N_POS):
        here = DENSE[:, p][DENSE[:, p] != 0]
        assert table["fires_share"][p] == pytest.approx(len(here) / N_ROWS)
        assert table["mean_active"][p] == pytest.approx(here.mean(), rel=1e-6)
        assert table["std_active"][p] == pytest.approx(here.std(), rel=1e-5)
        for end in ("share_low", "share_high"):  # where the score test is just not rejected
            share, p0 = len(here) / N_ROWS, table[end][p]
            assert abs(share - p0) / np.sqrt(p0 * (1 - p0) / N_ROWS) == pytest.approx(1.959964, abs=1e-5)
    assert table.loc[0, ["fires_share", "mean_active"]].isna().all()
    low, high = wilson(np.array([0, 10]), np.array([10, 10]))
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[1] == pytest.approx(1)


def test_a_context_holds_the_tokens_around_with_their_activations_and_whole_characters(tokenizer):
    ids = [i for i in range(257) if tokenizer.decode([i]) == "\ufffd"]
    rows = ROWS.copy()
    rows[7, :4] = tokenizer.encode("日!").ids
    assert set(rows[7, :3].tolist()) <= set(ids)
    shown = examples.taken(FOUND, np.flatnonzero((FOUND.row == 7) & (FOUND.position == 2)))
    (one,) = contexts(tokenizer, rows, FOUND, shown, width=1)
    assert (one.row, one.start, one.center) == (7, 1, 1)
    assert one.pieces == ["", "日", "!"]  # its first byte lies outside
    assert one.acts == DENSE[7, 1:4].tolist()
    assert one.ids == rows[7, 1:4].tolist()
    (whole,) = contexts(tokenizer, rows, FOUND, shown, width=None)
    assert "".join(whole.pieces) == tokenizer.decode(rows[7].tolist())
    assert [window(p, 5, 2) for p in (0, 2, 4)] == [(0, 3), (0, 5), (2, 5)]
    texts = context_texts(tokenizer, rows, shown, width=None)
    assert texts == ["".join(whole.pieces)]
    table = context_table(rows, shown, texts, [f"t{i}" for i in range(257)], ["g"])
    assert table.loc[0, ["text_row", "position", "token_label", "example_group"]].tolist() == [
        7,
        2,
        f"'t{rows[7, 2]}'",
        "g",
    ]


def test_contexts_are_searched_and_bad_patterns_are_explained(monkeypatch):
    texts = ["def f():\n", "x = 1", "# def"]
    assert examples.matching(r"^def|=", texts).tolist() == [0, 1]
    assert examples.matching("nothing", texts).tolist() == []
    with pytest.raises(BadSettingError, match=r"at character 1"):
        examples.matching("(a", texts)
    with pytest.raises(BadSettingError, match="201 characters"):
        examples.matching("a" * 201, texts)

    def slow(patterns, texts):
        raise TooSlowError(0)

    monkeypatch.setattr(examples, "search_all", slow)
    with pytest.raises(BadSettingError, match="3 contexts after 10 s"):
        examples.matching("(a+)+b", texts)


def test_the_report_says_it_all_in_json_and_twice_the_same(tokenizer):
    strings = [tokenizer.decode([i]) for i in range(257)]
    counted = np.full(N_POS, N_ROWS)

    def make(found):
        return report(tokenizer, strings, ROWS, found, counted, tables={}, provenance={"feature": 1})

    content = json.loads(make(FOUND))
    assert content["active_tokens"] == (DENSE != 0).sum()
    assert sum(content["histogram"]["counts"]) == len(FOUND.act)
    assert [level["count"] for level in content["intervals"]] == [level.count for level in examples.intervals(FOUND)]
    assert content["strongest"][0]["acts"][content["strongest"][0]["center"]] == DENSE.max()
    assert make(FOUND) == make(FOUND)
    assert json.loads(make(NONE))["positions"]["mean_active"] == [None] * N_POS
