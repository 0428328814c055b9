"""Proxies: what a token's text says it is part of, and how a feature goes with it."""

import unicodedata

import numpy as np
import pytest

from core.activations.store import FeatureActivations, feature_activations
from core.activations.token_pass import activation_pass, open_store
from core.catalogue import STATISTICS
from core.errors import BadSettingError
from core.models.tokens import byte_alphabet
from core.models.vocabulary import STRAY
from core.oracles.strings import ratios
from core.proxies.disagreements import active_without, silent_hits
from core.proxies.library import pattern_proxy, proxies
from core.proxies.ranking import rank_features
from core.proxies.tables import (
    bin_table,
    class_table,
    feature_proxy,
    hit_classes,
    ratio_classes,
    sensitivity_table,
    threshold_table,
)
from core.proxies.text import characters, proxy_text, token_bytes
from core.proxies.values import proxy_values
from core.work.artifacts import ArtifactStore
from core.work.patterns import TooSlowError, find_spans
from tests.doubles.activation_rows import planted
from tests.doubles.planted import planted_model

STAND_IN = {byte: name for name, byte in byte_alphabet().items()}
PIECES = [b"", b" ", b"A", b"AB", b" aF", b"cafe", b"CAFE", b"9", b"TA", b"+/", "ж".encode(), " жи".encode(), b"\xd0"]
KA = "か".encode()
PIECES += [b"\xb6", b" \xd0", KA, KA[:1], KA[1:], b"\x82\xd0", b"\xff", b"z!", "é".encode(), b"\xb6 "]
SPECIAL = 5
RNG = np.random.default_rng(0)
FILLER = np.full((250, 9), 1)  # much white space: all other tokens are rare, and strings of them unlikely
SPLIT = [12, 22, 14, 13, 12, 13, 18, 13, 7]  # Cyrillic letters over two tokens, with and without spaces
ROWS = np.concatenate([RNG.integers(0, len(PIECES), (40, 9)), [SPLIT], FILLER])


def raw(pieces) -> list[str]:
    return ["".join(STAND_IN[byte] for byte in piece) for piece in pieces]


def text_of(rows, pieces=PIECES, special=()):
    return proxy_text(np.asarray(rows), raw(pieces), special=special)


def values(name: str, rows, pieces=PIECES, special=()) -> np.ndarray:
    return proxy_values(text_of(rows, pieces, special), proxies()[name])


def slow_ratios(name, rows, pieces, silent):
    """The definition, over all strings that end at each token."""
    proxy = proxies()[name]
    return ratios(rows, pieces, silent, proxy.alphabets, proxy.least_tokens, proxy.blocks)


@pytest.mark.parametrize("name", ["base64", "hex", "dna", "cyrillic", "kana", "latin_beyond_ascii"])
def test_ratios_are_the_largest_over_all_strings_that_end_at_a_token(name):
    silent = [len(piece) == 0 or i == SPECIAL for i, piece in enumerate(PIECES)]
    expected = slow_ratios(name, ROWS, PIECES, silent)
    np.testing.assert_allclose(values(name, ROWS, special=[SPECIAL]), expected, rtol=1e-5)
    assert (expected > 0).any()
    assert np.isneginf(expected[(ROWS == 0) | (ROWS == SPECIAL)]).all()


def test_base64_has_known_answers():
    pieces = [b"ab", b"!", b"c"]
    one, two, three = values("base64", [[0, 1, 2], [2, 2, 0]], pieces)[0]
    assert one == pytest.approx(np.log(6 / 2) - 2 * np.log(64), rel=1e-5)
    assert two == pytest.approx(np.log(6 / 1) + np.log(1e-10), rel=1e-5)
    assert three == pytest.approx(np.log(6 / 3) - np.log(64), rel=1e-5)
    # A rare token is likelier as Base64, and a chain of them the more so.
    rare = [bytes([65 + i]) * 2 for i in range(26)] + [b" "]
    chain = values("base64", [[*range(8)], *[[26] * 8] * 99_999], rare)[0]
    assert chain == pytest.approx(np.arange(1, 9) * (np.log(8e5) - 2 * np.log(64)), rel=1e-4)


def test_dna_takes_two_tokens_and_one_token_of_text_has_none():
    assert np.isneginf(values("dna", [[2]]))
    assert values("base64", [[2]]) == pytest.approx(-np.log(64))
    row = [[8, 8, 2]]
    expected = [-np.inf, 2 * (np.log(1.5) - 2 * np.log(4))]
    assert values("dna", row)[0, :2] == pytest.approx(expected)


def test_arabic_letters_of_two_byte_tokens_count_once_they_are_whole():
    data = "سلام".encode() + b"plain text " * 4
    pieces = sorted({data[i : i + 1] for i in range(len(data))})
    found = values("arabic", [[pieces.index(data[i : i + 1]) for i in range(len(data))]], pieces)[0]
    assert found[1:8:2] == pytest.approx(-np.log(8 / len(data)))
    assert found[0:8:2] == pytest.approx(-np.log(8 / len(data)))  # these bytes occur in Arabic letters alone
    assert (found[8:] < -20).all()


def test_bytes_are_read_as_python_reads_them_however_odd():
    for seed in range(60):
        data = np.random.default_rng(seed).choice(np.frombuffer("aé€😀ж".encode() + b"\xff\xc0\xed\xa0", np.uint8), 12)
        codes, first, last = characters(data, np.zeros(12, np.int64))
        assert "".join(map(chr, codes)).replace(STRAY, "") == data.tobytes().decode("utf-8", "ignore")
        assert first[0] == 0
        assert last[-1] == 11
        assert (first[1:] == last[:-1] + 1).all()
    assert characters(np.frombuffer("é".encode(), np.uint8), np.array([0, 1]))[0].tolist() == [ord(STRAY)] * 2
    assert token_bytes(["▁hi", "<0xE2>", "<0xZZ>", "▁é"]) == (b" hi", b"\xe2", b"<0xZZ>", " é".encode())


def test_characters_do_not_depend_on_how_many_tokens_are_read_at_once(monkeypatch):
    whole = text_of(ROWS)
    monkeypatch.setattr("core.proxies.text._TOKENS_AT_ONCE", 20)
    parts = text_of(ROWS)
    for name in ("codes", "first", "last"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name))


def test_every_block_holds_the_letters_of_its_script():
    seen = set()
    for proxy in proxies().values():
        for name, first, last in proxy.blocks:
            letters = [chr(i) for i in range(first, last + 1) if unicodedata.category(chr(i)).startswith("L")]
            word = {"CJK": "CJK", "LATIN-1": "LATIN"}.get(name.split()[0].upper(), name.split()[0].upper())
            assert letters
            strangers = [c for c in letters if word not in unicodedata.name(c)]
            assert len(strangers) < 0.25 * len(letters), (name, strangers[:5])
            assert not seen & set(range(first, last + 1))
            seen |= set(range(first, last + 1))
    assert proxies()["hebrew"].rule == "Hebrew U+0590 to U+05FF"
    assert proxies()["base64"].rule == "[A-Za-z0-9+/]"


def test_patterns_hit_tokens_alone_or_whatever_a_match_in_the_text_touches():
    pieces = [b"ab", b"c", b"\xc3", b"\xa9", b" ", b"d"]
    rows = np.array([[0, 1, 2, 3, 5], [1, 4, 2, 5, 0]])

    def hits(pattern, across, special=()):
        found = proxy_values(text_of(rows, pieces, special), pattern_proxy(pattern, across=across))
        return found.astype(int).tolist()

    assert hits("^c|b$", False) == [[1, 1, 0, 0, 0], [1, 0, 0, 0, 1]]
    assert hits("bc", True) == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert hits("é", True) == [[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]
    assert hits("x*", True) == [[0] * 5] * 2  # empty matches touch nothing
    assert hits("(?s).+", True, special=[1]) == [[1, 0, 1, 1, 1], [0, 1, 1, 1, 1]]
    assert hits("bcé", True, special=[1]) == [[0] * 5] * 2
    assert find_spans("b|x*", ["ab", "b"]).tolist() == [[0, 1, 2], [1, 0, 1]]
    assert pattern_proxy("a b", across=True).rule == "/a b/ in the text, any token that a match touches"


def test_patterns_that_cannot_be_used_say_why(monkeypatch):
    with pytest.raises(BadSettingError, match=r"/a\(b/ is no regular expression: .* at character 2 \('\(b'\)"):
        pattern_proxy("a(b")
    with pytest.raises(BadSettingError, match="0 characters, expected 1 to 200"):
        pattern_proxy("")
    with pytest.raises(BadSettingError, match="201 characters"):
        pattern_proxy("a" * 201)

    def slow(*arguments):
        raise TooSlowError(0)

    monkeypatch.setattr("core.proxies.values.find_spans", slow)
    with pytest.raises(BadSettingError, match="/a/ took more than 10 s on 2,619 tokens"):
        proxy_values(text_of(ROWS), pattern_proxy("a", across=True))


def test_texts_without_rows_or_without_text_have_no_values():
    none = np.zeros((0, 4), np.int64)
    for proxy in (*proxies().values(), pattern_proxy("a"), pattern_proxy("a", across=True)):
        assert proxy_values(text_of(none), proxy).shape == (0, 4)
        blank = proxy_values(text_of([[0, 0]]), proxy)
        assert (blank <= 0).all()


def compared(threshold=0.0, seed=3):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(30, 8)).astype(np.float32) * 12
    value[1, :5] = [10, 5, 0, -10, -30]
    value[rng.random(value.shape) < 0.1] = -np.inf
    act = np.where(rng.random(value.shape) < 0.3, rng.integers(-2, 9, value.shape), 0).astype(np.float32)
    act += (value > 3) * np.float32(1.5)
    counted = rng.random(value.shape) < 0.9
    row, position = np.nonzero(act)
    pair = feature_proxy(FeatureActivations(row, position, act[row, position]), value, counted, threshold=threshold)
    return pair, act[counted].astype(float), value[counted]


@pytest.mark.parametrize("threshold", [0.0, 4.5])
def test_numbers_of_a_feature_and_a_proxy_are_those_of_the_dense_table(threshold):
    pair, f, value = compared(threshold)
    hits, active = value > threshold, f != 0
    numbers = pair.numbers()
    assert numbers["proxy_correlation"] == pytest.approx(np.corrcoef(f, hits)[0, 1])
    assert numbers["proxy_excess_correlation"] == pytest.approx(np.corrcoef(f, np.maximum(value - threshold, 0))[0, 1])
    assert numbers["proxy_specificity"] == pytest.approx(hits[active].mean())
    assert numbers["proxy_sensitivity"] == pytest.approx(active[hits].mean())
    assert numbers["proxy_base_rate"] == pytest.approx(hits.mean())
    assert numbers["proxy_lift"] == pytest.approx(hits[active].mean() / hits.mean())
    assert numbers["proxy_weight"] == pytest.approx(f[hits].sum() / f.sum())
    table = threshold_table(pair)
    for row in table.itertuples():
        here = active & (f >= row.proxy_cutoff)
        assert row.active_tokens == here.sum()
        assert row.proxy_specificity == pytest.approx(hits[here].mean())
        assert row.proxy_sensitivity == pytest.approx(here[hits].mean())
    assert sorted(table["proxy_cutoff"]) == sorted(set(f[active]))


def test_bins_and_classes_add_up_to_all_active_tokens():
    pair, f, value = compared()
    table, edges = bin_table(pair, n=5), np.linspace(f.min(), f.max(), 6)
    for i, row in enumerate(table.itertuples()):
        here = (f != 0) & (f >= edges[i]) & ((f < edges[i + 1]) | (i == 4))
        assert (row.active_tokens, row.proxy_active_tokens) == (here.sum(), (here & (value > 0)).sum())
        assert row.proxy_specificity_low <= row.proxy_specificity <= row.proxy_specificity_high
    names, number = ratio_classes(pair)
    assert names == ["over 10", "5 to 10", "0 to 5", "-10 to 0", "-10 or less", "no string"]
    for name, low, high in zip(names[:5], [10, 5, 0, -10, -1e9], [1e9, 10, 5, 0, -10], strict=True):
        assert (number == names.index(name)).tolist() == ((value > low) & (value <= high)).tolist()
    for classes in (ratio_classes(pair), hit_classes(pair)):
        split = class_table(pair, *classes, n=5)
        together = split.groupby("proxy_bin_low")["proxy_class_tokens"].sum()
        assert together.tolist() == table["active_tokens"].tolist()
        assert split["proxy_class_activation"].sum() == pytest.approx(f.sum())
        assert split.groupby("proxy_bin_low")["proxy_class_share"].sum().to_numpy() == pytest.approx(1)
    split = class_table(pair, *hit_classes(pair), n=5)
    assert split["proxy_class_tokens"][:5].tolist() == table["proxy_active_tokens"].tolist()


def test_sensitivity_by_ratio_counts_every_token_that_ends_a_string():
    pair, f, value = compared()
    table, value = sensitivity_table(pair, n=4), np.maximum(value, np.where(np.isfinite(value), -30, -np.inf))
    edges = np.linspace(value[np.isfinite(value)].min(), value.max(), 5)
    for i, row in enumerate(table.itertuples()):
        here = (value >= np.float32(edges[i])) & ((value < np.float32(edges[i + 1])) | (i == 3))
        assert (row.proxy_value_tokens, row.active_tokens) == (here.sum(), (here & (f != 0)).sum())


def test_a_silent_feature_and_a_proxy_without_hits_have_tables_too():
    none = FeatureActivations(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    value, counted = np.full((3, 4), -np.inf, np.float32), np.ones((3, 4), bool)
    pair = feature_proxy(none, value, counted)
    assert np.isnan(pair.numbers()["proxy_specificity"])
    assert pair.numbers()["proxy_base_rate"] == 0
    assert bin_table(pair)["active_tokens"].sum() == 0
    assert len(threshold_table(pair)) == 0
    bins = sensitivity_table(pair)
    assert bins["proxy_value_tokens"].sum() == 0
    assert [bins["proxy_value_low"].min(), bins["proxy_value_high"].max()] == [0, 1]
    assert len(active_without(pair, n=3)[0]) == len(silent_hits(pair, n=3)[0]) == 0


def test_disagreements_are_one_of_a_row_and_the_clearest_first():
    pair, _, _ = compared()
    row, position = active_without(pair, n=50)
    assert len(set(row)) == len(row)
    assert (np.diff(np.abs(pair.act[row, position])) <= 0).all()
    wrong = pair.counted & (pair.act != 0) & ~(pair.value > 0)
    assert wrong[row, position].all()
    assert set(row) == set(np.nonzero(wrong)[0])
    row, position = silent_hits(pair, n=4)
    missed = pair.counted & (pair.act == 0) & (pair.value > 0)
    assert missed[row, position].all()
    assert pair.value[row[0], position[0]] == pair.value[missed].max()


@pytest.mark.parametrize("left_out", [(), (0, 7)])
def test_one_scan_ranks_all_features_as_each_alone(tmp_path, left_out):
    dictionary, model, artifacts = planted("standard"), planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    rows = np.random.default_rng(2).integers(0, 20, (30, 6))
    statistics = activation_pass(dictionary, model, rows, artifacts, left_out=left_out, block_rows=7)
    store = open_store(dictionary, model, rows, artifacts, left_out=left_out, block_rows=7)
    counted = ~np.isin(rows, left_out)
    value = (rows % 3 == 0).astype(np.float32)
    told = []
    progress = type("Told", (), {"update": lambda _, done, total: told.append(done), "note": lambda _, text: None})()
    table = rank_features(store, statistics, (value > 0) & counted, progress=progress)
    assert told == [1, 2, 3, 4, 5]
    assert table["proxy_correlation"].is_monotonic_decreasing
    for row in table.to_dict("records"):
        found = feature_activations(store, row.pop("feature"), d_sae=12)
        numbers = feature_proxy(found, value, counted).numbers()
        assert row == pytest.approx({name: numbers[name] for name in row}, rel=1e-5, nan_ok=True)
    tables = [table, bin_table(compared()[0]), threshold_table(compared()[0]), sensitivity_table(compared()[0])]
    tables.append(class_table(compared()[0], *hit_classes(compared()[0])))
    assert {name for table in tables for name in table} | set(compared()[0].numbers()) <= set(STATISTICS)


def test_silent_features_are_not_ranked_and_constant_ones_have_no_correlation(tmp_path):
    b_enc = np.full(12, 0.37, np.float32)
    b_enc[3] = -5
    dictionary = planted("standard", tensors={"W_enc": np.zeros((8, 12), np.float32), "b_enc": b_enc})
    model, artifacts = planted_model(tmp_path), ArtifactStore(tmp_path / "cache")
    rows = np.random.default_rng(2).integers(0, 20, (30, 6))
    statistics = activation_pass(dictionary, model, rows, artifacts)
    table = rank_features(open_store(dictionary, model, rows, artifacts), statistics, rows % 3 == 0)
    assert sorted(table["feature"]) == [i for i in range(12) if i != 3]
    assert table["proxy_correlation"].isna().all()
    assert (table["active_tokens"] == rows.size).all()
