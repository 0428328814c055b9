"""No half character reaches a file, table or chart; odd ones are drawn as signs; numbers are not touched."""

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
from core.dictionaries.sources import Entry
from core.dictionaries.sources import folder as sources_folder
from core.feature.names import FeatureNames
from core.overview.recipe import RecipeLine
from core.workspace import Workspace
from tests.doubles.planted import planted_dictionary
from ui.feature_map.component.points import MapPoints, Step
from ui.overview.dictionary import definitions
from ui.shared import pictures
from ui.shared.charts import heatmap
from ui.shared.escape import signs
from ui.shared.finish import finished
from ui.shared.token_text import shaded
from ui.shared.webgl.payload import pack
from ui.studies import opened

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


UNSEEN = ["\x00", "\x1b[31m", "\x7f", "\u202eabc", "\u2066x", "\u200f", "\u061c"]


def escapes(text: str) -> str:
    """Write a text as JSON in ASCII does, without the quotes."""
    return json.dumps(text)[1:-1]


def odd_charts(text: str) -> dict[str, alt.TopLevelMixin]:
    """Charts with a text from outside wherever one can stand."""
    table = pd.DataFrame({"name": [text, "b"], "n": [1.0, 2.0], "kind": pd.Categorical([text, "b"])})
    y = alt.Y("name:N").title(text).sort([text, "b"]).scale(domain=[text, "b"])
    bars = alt.Chart(table, title=text).mark_bar().encode(alt.X("n:Q").title([text, text]), y, tooltip=["name:N"])
    coloured = bars.encode(alt.Color("kind:N").title(text).legend(alt.Legend(title=text)))
    label = alt.Chart(table).mark_text(text=text).encode(alt.Tooltip("n:Q", title=text))
    named = (
        alt.Chart(table.rename(columns={"n": f"n{text}"})).mark_bar().encode(alt.X(f"n{text}:Q"), alt.Text("name:N"))
    )
    cells = pd.DataFrame({"position": [0, 1], "row": [text, "b"], "value": [0.5, 1.0]})
    words = {"row_title": text, "value_title": text, "x_title": text, "x_labels": [text, "b"], "row_order": [text, "b"]}
    cell = heatmap(cells, row="row", value="value", n_pos=2, tooltip=[alt.Tooltip("row:N", title=text)], **words)
    chosen = coloured.encode(opacity=alt.when(alt.datum["name"] == "b").then(alt.value(1)).otherwise(alt.value(0.2)))
    return {
        "bars": coloured,
        "chosen": chosen,
        "words": label,
        "named": named,
        "heatmap": cell,
        "layered": alt.layer(bars, label),
        "beside": alt.hconcat(coloured, alt.vconcat(bars, cell), title=text),
        "facets": bars.facet(alt.Facet("kind:N", title=text)),
    }


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
@pytest.mark.parametrize("kind", odd_charts("a"))
def test_every_text_of_a_chart_and_its_pictures_shows_a_sign_for_what_is_not_seen_or_turns_the_rest(kind, text):
    chart = finished(odd_charts(text)[kind], dark=False)
    for drawn in (chart, finished(chart, dark=False)):
        spec = pictures.specification([drawn], title=text, note=text, provenance={}, dark=False)
        for said in (json.dumps(spec, ensure_ascii=False), json.dumps(spec), json.dumps(chart.to_dict())):
            assert escapes(text) not in said.replace("\\\\u", "\\u")
            assert text not in said
        assert signs(text) in json.dumps(spec, ensure_ascii=False)
    assert json.loads(pictures.to_json(spec))["title"]["text"] == signs(text)


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_names_of_features_on_axes_and_in_tooltips_are_drawn_by_their_signs(text):
    table = pd.DataFrame({"feature": [0, 1], "n": [1.0, 2.0]})
    bars = alt.Chart(table).mark_bar().encode(alt.X("n:Q"), alt.Y("feature:N"), tooltip=["feature:N", "n:Q"])
    spec = json.dumps(finished(bars, dark=False, names={"feature": FeatureNames((text, "b"))}).to_dict())
    spec = spec.replace("\\\\u", "\\u")
    assert escapes(text) not in spec
    assert spec.count(escapes(signs(text))) >= 2


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_the_map_s_labels_titles_groups_and_steps_are_drawn_by_their_signs(text):
    at = np.zeros(2, np.float32)
    points = MapPoints(at, at, np.arange(2), labels=(text, "b"), to_x=at, to_y=at, steps=(Step(text, 0, 2),))
    header = {"label": text, "title": text, "groups": [text], "steps": points.sent_steps()}
    sent = pack(header, points.arrays)
    assert text.encode("utf-8", "surrogatepass") not in points.arrays["labels"].tobytes()
    assert escapes(text).encode() not in sent
    assert sent.count(escapes(signs(text)).encode()) == 4
    assert signs(text).encode() in points.arrays["labels"].tobytes()


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_tokens_in_text_and_their_tooltips_show_what_is_not_seen(text):
    assert text not in shaded([text], [1.0], 1.0, titles=[text])


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_facts_of_a_file_show_what_is_not_seen(text):
    assert text not in definitions([RecipeLine(text, text, text)], meanings=True)


def test_pickers_name_dictionaries_by_signs(monkeypatch):
    monkeypatch.setattr(opened, "entries", lambda workspace: [Entry(id="folder/a", title="b\u202ec")])
    assert opened.naming()("folder/a") == "folder/b\u202ec"
    assert opened.in_pickers()("folder/a") == "folder/b‹U+202E›c"
    assert opened.in_pickers()("folder/\x1b") == "folder/␛"


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
