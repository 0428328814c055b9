"""Tables as files: text survives, formulas do not, and the same table gives the same bytes."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import tables
from core.installation import APP_VERSION
from tests.doubles.planted import planted_dictionary, planted_model

TOKENS = ['"', 'say "hi"', "a,b", "line\nbreak", "car\rriage", "\r\n", "\ttab", "", "NA", " ", "\x00", "é", "'t", "nan"]


def read(data: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(data), keep_default_na=False)


def table() -> pd.DataFrame:
    n = len(TOKENS)
    return pd.DataFrame({"token": TOKENS, "position_score": np.arange(n) / 3, "peak": range(n), "other": [True] * n})


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_csv_gives_back_what_went_in(dtype):
    before = table().assign(token=pd.Series(TOKENS, dtype=dtype))
    after = read(tables.to_csv(before))
    assert after["token"].str.removeprefix("'").tolist() == [token.removeprefix("'") for token in TOKENS]
    assert after["position_score"].tolist() == before["position_score"].tolist()  # to the last bit
    assert after["peak"].tolist() == before["peak"].tolist()
    assert after["other"].tolist() == before["other"].tolist()


def test_every_csv_row_has_all_cells_for_a_plain_reader():
    rows = list(csv.reader(io.StringIO(tables.to_csv(table()).decode(), newline="")))
    assert [len(row) for row in rows] == [4] * (len(TOKENS) + 1)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-x", "'-x"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1", "''=1"),  # so that one apostrophe less is the text again
        ("'t", "'t"),
        (" =", " ="),
        ("a=b", "a=b"),
    ],
)
def test_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(text, cell):
    for dtype in (object, "str", "category"):
        written = read(tables.to_csv(pd.DataFrame({"token": [text, "x"]}, dtype=dtype)))
        assert written["token"].tolist() == [cell, "x"]


def test_numbers_titles_and_missing_values_in_csv():
    frame = pd.DataFrame({"=cmd": [-1.5, np.nan], "mixed": pd.Series(["-x", -2], dtype=object), "gone": [None, "@"]})
    lines = tables.to_csv(frame).decode().splitlines()
    assert lines == ['"\'=cmd","mixed","gone"', '-1.5,"\'-x",""', '"",-2,"\'@"']
    assert list(frame.columns) == ["=cmd", "mixed", "gone"]  # the table itself is untouched


def test_parquet_gives_back_what_went_in_with_its_provenance():
    before = table().assign(token=["=1", *TOKENS[1:]])
    data = tables.to_parquet(before, {"method": "corpus", "settings": {"n_pos": 8}})
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(data)), before)
    note = json.loads(pq.read_schema(io.BytesIO(data)).metadata[tables.PROVENANCE_KEY])
    assert note["method"] == "corpus"
    assert note["settings"] == {"n_pos": 8}
    assert set(note["columns"]) == {"token", "position_score", "peak"}  # the declared ones
    assert note["columns"]["peak"].startswith("Peak position [position]: argmax")


def test_the_same_table_gives_the_same_bytes():
    assert tables.to_csv(table()) == tables.to_csv(table())
    # Also when settings come in another order.
    one, two = ({"a": 1, "b": "x"}, {"b": "x", "a": 1})
    assert tables.to_parquet(table(), one) == tables.to_parquet(table(), two)
    assert tables.to_parquet(table(), one) != tables.to_parquet(table(), {"a": 2, "b": "x"})


def test_provenance_names_contents(tmp_path):
    dictionary, model = planted_dictionary(), planted_model(tmp_path)
    note = tables.provenance(dictionary=dictionary, model=model, method="additive grid", settings={"n_pos": 8})
    assert note["dictionaries"][0]["id"] == dictionary.id
    assert note["dictionaries"][0]["sha256"] == dictionary.sha256
    assert note["model"] == {"name": "planted", "sha256": model.sha256}
    assert note["method"] == "additive grid"
    assert note["app"] == f"SAE Loupe {APP_VERSION}"
    json.dumps(note)
    pair = tables.provenance(dictionary=[dictionary, planted_dictionary(seed=1)], method="cosine", settings={})
    assert len({item["sha256"] for item in pair["dictionaries"]}) == 2
    assert pair["model"] is None
