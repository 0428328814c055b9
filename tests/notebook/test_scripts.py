"""`sae-loupe report`, `table` and `match` for scripts: JSON alone on the standard output, words on the other, codes."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from sae_loupe import printing
from sae_loupe.command import main
from sae_loupe.commands import names
from tests.doubles import saved

DEMO = "demo/layer0-standard-2048"


def no_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def answer(capsys, *words: str) -> dict:
    assert main(words) == 0
    return json.loads(capsys.readouterr().out, parse_constant=no_constant)


def test_a_report_names_value_formula_n_hashes_and_page_of_every_number(capsys, tmp_path):
    found = answer(capsys, "report", DEMO, "--feature", "7", "--json", "--group", "Weights", "--group", "Basis")
    assert found["feature"] == 7
    assert len(found["dictionaries"][0]["sha256"]) == 64
    for number in found["numbers"]:
        assert {"column", "value", "statistic", "formula", "n", "of", "url"} <= set(number)
        assert "feature=7" in number["url"]
        assert found["provenance"][number["group"]]["dictionaries"][0]["sha256"] == found["dictionaries"][0]["sha256"]


def test_a_report_without_a_feature_is_of_the_dictionary_and_says_what_is_missing(capsys, tmp_path):
    found = answer(capsys, "report", str(saved.write(tmp_path / "sae")), "--json", "--cache", str(tmp_path))
    assert {number["statistic"] for number in found["numbers"]} >= {"mean_cosine", "largest_cosine"}
    assert {"On text", "Positions"} == set(found["missing"])
    assert "feature" not in found


def test_a_table_has_a_row_for_each_feature_and_a_definition_for_each_column(capsys, tmp_path):
    found = answer(capsys, "table", DEMO, "--json", "--group", "Weights", "--server", "http://lab:1")
    assert {column["column"] for column in found["columns"]} == set(found["features"]) - {"feature"}
    assert all(len(column) == 2048 for column in found["features"].values())
    assert found["columns"][0]["url"].startswith("http://lab:1/overview?")
    target = tmp_path / "table.parquet"
    assert main(["table", DEMO, "--group", "Weights", "-o", str(target)]) == 0
    assert pd.read_parquet(target)["encoder_norm"].tolist() == found["features"]["encoder_norm"]


def test_what_has_no_number_is_null_and_says_why_elsewhere(capsys, tmp_path):
    weights = saved.numpy_weights()
    weights["W_dec"][3] = 0
    folder = saved.write(tmp_path / "sae", weights=weights)
    found = answer(capsys, "report", str(folder), "--feature", "3", "--json", "--cache", str(tmp_path))
    values = {number["column"]: number["value"] for number in found["numbers"]}
    assert values["encoder_decoder_cosine"] is None
    assert "Logit weights" in found["missing"]


def test_a_matching_is_printed_with_chance_and_its_pairs(capsys, tmp_path):
    folders = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        weights = {name: rng.normal(size=each.shape).astype("f4") for name, each in saved.numpy_weights().items()}
        folders.append(str(saved.write(tmp_path / f"sae{seed}", weights=weights)))
    found = answer(capsys, "match", *folders, "--json", "--cache", str(tmp_path))
    numbers = {number["number"]: number for number in found["numbers"]}
    assert numbers["pw_mcc"]["value"] == pytest.approx(
        sum(pair["match_score"] for pair in found["pairs"]) / saved.D_SAE
    )
    assert numbers["mmcs_ab"]["formula"]
    assert numbers["mmcs_ab"]["by_chance"] is not None
    assert "&b=folder" in found["url"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["report", DEMO, "--feature", "9999", "--json"], "Feature 9999 does not exist"),
        (["report", "demo/nothing", "--feature", "1", "--json"], "no dictionary called"),
        (["table", DEMO, "-o", "table.txt"], "'table.txt' ends in none of .csv, .parquet"),
        (["table", DEMO, "--group", "Weight"], "Did you mean Weights"),
        (["match", DEMO, DEMO, "--json"], "one dictionary"),
        (["match", DEMO, "demo/layer0-batchtopk-2048", "--json", "--threshold", "2"], "The threshold is 2.0"),
    ],
)
def test_an_error_is_said_in_words_beside_an_empty_output(capsys, words, says):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err


def test_what_work_prints_is_not_mixed_with_the_answer(capsys):
    assert printing.run(lambda: print("downloading") or "{}") == 0
    assert capsys.readouterr() == ("{}\n", "downloading\n")


def test_work_that_is_stopped_says_so(capsys):
    def stop() -> str:
        raise KeyboardInterrupt

    assert printing.run(stop) == 130
    assert capsys.readouterr() == ("", "Stopped.\n")


def test_json_has_null_for_what_json_cannot_hold():
    table = pd.DataFrame({"a": [1, 2], "b": [math.nan, math.inf], "c": pd.array([1, None], dtype="Int64")})
    content = {"table": table, "array": np.array([1.5, np.nan], np.float32), "text": "\ud800", "none": None}
    found = json.loads(printing.to_json(content), parse_constant=no_constant)
    assert found["table"] == [{"a": 1, "b": None, "c": 1}, {"a": 2, "b": None, "c": None}]
    assert found["array"] == [1.5, None]


def test_the_subcommands_are_listed():
    assert {"match", "report", "table"} <= set(names())
