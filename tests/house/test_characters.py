"""Half characters reach no file, table or chart, and columns of numbers are not touched on the way."""

import io
import json
import os

import altair as alt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from core import tables
from core.characters import whole, whole_table, whole_value
from core.dictionaries.sources import folder as sources_folder
from core.workspace import Workspace
from tests.doubles.planted import planted_dictionary
from ui.shared import pictures
from ui.shared.finish import finished

ODD = ["\ud800", "a\udc00b", "\udcff", ("\ud800", "x"), ["\udfff"]]


def odd_table(cell) -> pd.DataFrame:
    cells = np.empty(2, dtype=object)
    cells[:] = ["fine", cell]
    return pd.DataFrame({"token": pd.Series(cells, dtype=object), "n": [1.0, 2.0]})


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\ud800", "�"), ("a\udc00b", "a�b"), ("\ud83d\ude00", "\U0001f600"), ("\x00\u202e", "\x00\u202e"), ("", "")],
)
def test_half_characters_become_one_sign_and_halves_that_belong_together_their_character(text, shown):
    assert whole(text) == shown
    assert whole_value({text: [text, (text, 1)], "n": None}) == {shown: [shown, (shown, 1)], "n": None}


@pytest.mark.parametrize("cell", ODD, ids=ascii)
def test_every_file_of_a_table_holds_half_characters_as_a_sign(cell):
    table, source = odd_table(cell), {"settings": {"name": "\ud800"}}
    assert "�" in tables.to_csv(table).decode()
    read = pq.read_table(io.BytesIO(tables.to_parquet(table.tail(1), source)))
    assert json.loads(read.schema.metadata[tables.PROVENANCE_KEY])["settings"] == {"name": "�"}
    assert json.loads(tables.side_file(table, title="\ud800", note="", provenance=source))["title"] == "�"


@pytest.mark.parametrize("cell", ["\ud800", "a\udc00b"], ids=ascii)
@pytest.mark.parametrize("kind", ["alone", "layered", "beside"])
def test_every_chart_and_its_pictures_hold_half_characters_as_a_sign(cell, kind):
    one = alt.Chart(odd_table(cell)).mark_bar().encode(x="n:Q", y="token:N")
    chart = {"alone": one, "layered": one + one.mark_text(), "beside": one | one}[kind]
    said = {"title": cell, "note": cell, "provenance": {cell: cell}}
    spec = pictures.specification([finished(chart, dark=False)], **said, dark=False)
    assert whole(cell) in pictures.to_json(spec).decode()
    assert pictures.to_svg(spec).startswith(b"<svg")


def test_columns_without_half_characters_are_the_same_memory():
    table = pd.DataFrame({"n": np.arange(5.0), "token": ["a", "\x00", "b", "c", "d"]})
    assert whole_table(table) is table
    mended = whole_table(table.assign(odd=pd.Series(["\ud800"] * 5, dtype=object)))
    assert mended["odd"].tolist() == ["�"] * 5
    assert np.shares_memory(mended["n"].to_numpy(), table["n"].to_numpy())


def test_a_folder_whose_name_is_no_utf_8_is_listed_and_opened_by_a_title_that_can_be_shown(tmp_path):
    folder = tmp_path / os.fsdecode(b"bad\xffname")
    try:
        planted_dictionary().save(folder)
    except OSError:
        pytest.skip("this file system holds names in UTF-8 only")
    workspace = Workspace(roots=(tmp_path,), pinned=(folder,))
    listed = sources_folder.entries(workspace)[0]
    opened = sources_folder.open(str(folder), workspace)
    assert (listed.title, opened.title) == ("bad�name", "bad�name")
    assert listed.id == opened.id == f"folder/{folder}"
