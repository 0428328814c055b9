"""The file of a matching: reading gives what was written, and nothing else is read; the command line that makes it."""

import dataclasses
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.matching import file
from core.matching.__main__ import main
from core.matching.comparison import compare
from core.matching.file import MatchFileError, from_json, match_file, to_json
from core.matching.numbers import null_numbers, pair_numbers
from core.matching.pairs import Matching, match
from tests.doubles.planted import planted_dictionary

ROOT = Path(__file__).parents[2]


def planted_file(similarity="decoder", method="one-to-one", **changes):
    a, b = planted_dictionary(d_sae=9, title="née → 日本"), planted_dictionary(d_sae=7, seed=1, **changes)
    comparison = compare(a, b, k=3)
    matching = match(comparison, similarity, method)
    stats, null = pair_numbers(comparison, similarity), null_numbers(comparison, similarity, k=3)
    return match_file(a, b, matching, settings={"threshold": 0.7, "shuffle_seed": 0}, stats=stats, null=null)


@cache
def good() -> bytes:
    return to_json(planted_file())


def changed(**changes) -> bytes:
    """A good file with some top-level parts replaced."""
    return json.dumps(json.loads(good()) | changes).encode()


@pytest.mark.parametrize(
    ("similarity", "method"), [("decoder", "one-to-one"), ("both", "greedy"), ("encoder", "mutual")]
)
def test_what_is_read_is_what_was_written_to_the_last_bit(similarity, method):
    written = planted_file(similarity, method)
    data = to_json(written)
    read = from_json(data)
    for field in dataclasses.fields(Matching):
        one, other = getattr(read.matching, field.name), getattr(written.matching, field.name)
        assert np.array_equal(one, other)
        if field.name in ("score", "decoder", "encoder"):
            assert one.tobytes() == other.tobytes()
    for name in ("a", "b", "settings", "stats", "null", "app"):
        assert getattr(read, name) == getattr(written, name)
    assert to_json(read) == data == to_json(planted_file(similarity, method))


def test_features_left_out_and_a_matching_without_pairs_survive_as_well():
    W = {"W_dec": np.zeros((7, 8), np.float32), "W_enc": np.ones((8, 7), np.float32)}
    a = planted_dictionary(d_sae=9)
    away = np.linalg.lstsq(a.W_dec[:8], -np.ones(8), rcond=None)[0]
    while (a.W_dec @ away).max() >= 0:
        away -= a.W_dec[(a.W_dec @ away).argmax()]
    W["W_dec"][2:], W["W_enc"][:, 2:] = away, 1
    written = planted_file(tensors=W)
    read = from_json(to_json(written)).matching
    assert read.left_out_b.tolist() == [0, 1]
    assert read.unmatched_b.tolist() == [2, 3, 4, 5, 6]
    assert (len(read.a), len(read.unmatched_a)) == (0, 9)


def test_a_file_from_before_pairs_were_proven_is_read_and_said_to_be_among_candidates():
    old = json.loads(good())
    assert old.pop("gap") == 0
    assert "of the 3 nearest of each feature" in from_json(json.dumps(old).encode()).matching.proof
    assert from_json(good()).matching.proof == "proven to be the best of all pairs"
    assert "at most 0.25 larger" in from_json(changed(gap=0.25)).matching.proof
    for gap in ("0", True, -1, 10**400):
        with pytest.raises(MatchFileError, match="gap is no number"):
            from_json(changed(gap=gap))


def test_the_file_says_in_plain_json_what_was_matched_with_what():
    written = planted_file()
    content = json.loads(to_json(written))
    assert content["version"] == "sae-match/v1"
    assert content["a"]["sha256"] == written.a["sha256"] == planted_dictionary(d_sae=9).sha256
    assert (content["a"]["d_sae"], content["b"]["d_sae"]) == (9, 7)
    assert content["params"] == {"threshold": 0.7, "shuffle_seed": 0, "k": 3}
    i, j, score, *_ = content["pairs"][0]
    assert (i, j) == (written.matching.a[0], written.matching.b[0])
    assert np.float32(score) == written.matching.score[0]
    assert len(str(score)) < 12
    assert {"pw_mcc", "mmcs_ab", "mmcs_ba", "shared"} <= set(content["stats"])
    assert {"random", "shuffled", "control_a"} <= set(content["null"])


def test_the_path_of_a_folder_does_not_go_into_the_file():
    a, b = planted_dictionary(d_sae=9), planted_dictionary(seed=1)
    a.id = "folder//home/somebody/secret/mine"
    written = match_file(a, b, match(compare(a, b)), settings={}, stats={}, null={})
    assert written.a["id"] == "folder/mine"
    assert b"somebody" not in to_json(written)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"no JSON \(JSONDecodeError"),
        (b"\xff\xfe", r"no JSON \(UnicodeDecodeError"),
        (b'{"version": "sae-match/v1"', r"no JSON \(JSONDecodeError"),
        (b"[" * 100_000, r"no JSON \(RecursionError"),
        (b'{"x": NaN}', "NaN is no number"),
        (b'{"x": 1e999}', "1e999 is no number"),
        (b"[1]", "holds a list, not an object"),
        (changed(version="sae-match/v2"), r"version is 'sae-match/v2', which another version of this app may read"),
        (changed(version=1), r"version is '1'\. Expected a file in sae-match/v1"),
        (changed(stats=3), "stats is no object"),
        (changed(a={"d_sae": 9}), "sha256 of a is no text"),
        (changed(app=None), "app is no text"),
        (changed(columns=["a", "b"]), "columns are not a, b, score, decoder, encoder"),
        (changed(method="magic"), "method is 'magic'"),
        (changed(metric=["decoder"]), "metric is "),
        (changed(params={}), "no k of at least 1"),
        (changed(params={"k": True}), "no k of at least 1"),
        (changed(pairs=None), "pairs is no list"),
        (changed(pairs=[[0, 0, 0.5]]), "pairs is no list of lists of 5"),
        (changed(pairs=[[0, 0.5, 0.5, 0.5, 0.5]]), "pairs, column b holds something that is no feature"),
        (changed(pairs=[[0, 2**40, 0.5, 0.5, 0.5]]), "pairs, column b holds something that is no feature"),
        (changed(unmatched_a=[-1]), "unmatched_a holds something that is no feature"),
        (changed(left_out_b="none"), "left_out_b holds something that is no feature"),
        (changed(pairs=[]), "do not name each feature of a once"),
        (changed(b={"sha256": "x", "d_sae": 10**12}), "do not name each feature of b once"),
    ],
)
def test_a_file_that_is_not_whole_or_of_another_version_is_refused_by_name(data, message):
    with pytest.raises(MatchFileError, match=message):
        from_json(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pairs: pairs[0].__setitem__(2, "0.5"), "column score, holds something that is no cosine"),
        (lambda pairs: pairs[0].__setitem__(3, 1.5), "column decoder, holds something that is no cosine"),
        (lambda pairs: pairs[0].__setitem__(4, None), "column encoder, holds something that is no cosine"),
        (lambda pairs: pairs[0].__setitem__(1, pairs[1][1]), "do not name each feature of b once"),
        (lambda pairs: pairs.reverse(), "pairs are not in order of a"),
    ],
)
def test_pairs_that_cannot_be_are_refused(change, message):
    pairs = json.loads(good())["pairs"]
    change(pairs)
    with pytest.raises(MatchFileError, match=message):
        from_json(changed(pairs=pairs))


def test_a_file_too_large_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(file, "MOST_BYTES", 1000)
    with pytest.raises(MatchFileError, match=r"at most 1 kB are read"):
        from_json(to_json(planted_file()))


def saved_pair(tmp_path):
    planted_dictionary(d_sae=9).save(tmp_path / "a")
    planted_dictionary(d_sae=7, seed=1).save(tmp_path / "b")
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_the_command_line_writes_a_file_that_reads_back_and_tables(tmp_path, capsys):
    a, b = saved_pair(tmp_path)
    assert main([a, b, "-o", str(tmp_path / "m.json"), "--similarity", "both", "-k", "3"]) == 0
    read = from_json((tmp_path / "m.json").read_bytes())
    assert (read.matching.similarity, read.matching.k, read.b["d_sae"]) == ("both", 3, 7)
    assert "pw_mcc" in capsys.readouterr().out
    for suffix, reader in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        assert main([a, b, "-o", str(tmp_path / f"m.{suffix}"), "--similarity", "both", "-k", "3"]) == 0
        table = reader(tmp_path / f"m.{suffix}")
        assert table["feature_b"].tolist() == read.matching.b.tolist()


def test_the_command_line_explains_what_it_cannot_do_and_keeps_the_file_that_was_there(tmp_path, capsys):
    a, b = saved_pair(tmp_path)
    target = tmp_path / "m.json"
    target.write_text("mine")
    for arguments, message in [
        ([a, a, "-o", str(target)], "are one dictionary"),
        ([a, str(tmp_path / "none"), "-o", str(target)], "none"),
        ([a, b, "-o", str(tmp_path / "m.txt")], "ends in none of .json, .csv, .parquet"),
        ([a, b, "-o", str(tmp_path / "no" / "m.json")], "There is no folder"),
        ([a, b, "-o", str(target), "--threshold", "7"], "The threshold is 7.0"),
        ([a, b, "-o", str(target), "--seed", "-1"], "The seed is -1"),
        ([a, b, "-o", str(target), "-k", "0"], "0 candidates for each feature"),
    ]:
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "m.json"]


def test_progress_is_a_bar_on_a_terminal_and_one_line_per_stage_elsewhere(monkeypatch, capsys):
    from core.matching.__main__ import Bar

    bar = Bar()
    bar.note("nearest")
    bar.update(1, 2)
    assert capsys.readouterr().err == "nearest\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar.note("nearest")
    bar.update(1, 2)
    bar.update(2, 2)
    bar.note("matching")
    bar.update(3, 3)
    bar.close()
    drawn = capsys.readouterr().err
    assert re.findall(r"(\w+): 100%[^\n]* (\d)/\d [^\n]*\n", drawn) == [("nearest", "2"), ("matching", "3")]
    assert drawn.count("\n") == 2


def test_the_module_runs_from_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "core.matching", "-h"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "usage: python -m core.matching" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("odd", ["\ud800", "a\udc00b", "\x00\x1b", "\u202ea", "x" * 1000, "\U0001f600"])
def test_odd_characters_in_a_file_can_be_shown_and_kept(odd):
    a, b = planted_dictionary(d_sae=9), planted_dictionary(d_sae=7, seed=1)
    file = match_file(a, b, match(compare(a, b)), settings={odd: odd}, stats={odd: 1.0}, null={odd: {odd: None}})
    read = from_json(to_json(dataclasses.replace(file, app=odd, a=file.a | {"title": odd})))
    shown = odd.replace("\ud800", "\ufffd").replace("\udc00", "\ufffd")
    assert (read.app, read.a["title"], read.settings, read.null) == (
        shown,
        shown,
        {shown: shown},
        {shown: {shown: None}},
    )
    assert list(read.stats) == [shown]
