"""Pictures of figures: one specification with all data inside, and title, note and provenance in every format."""

import io
import json

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ui.shared import pictures
from ui.shared.finish import finished
from ui.shared.pictures import specification, to_json, to_png, to_svg

SAID = {
    "title": "Mean <b>of</b> & 'a'",
    "note": "16 tokens · click a point · seed 0",
    "provenance": {"app": "SAE Loupe", "sha": "é\ud800"},
}

SPOKEN = "Mean <b>of</b> & 'a'. 16 tokens · seed 0"
"""A picture cannot be clicked, so its note does not say so."""


def points(n=3, **properties):
    data = pd.DataFrame({"x": np.arange(n), "y": np.linspace(0.5, 2, n)})
    data.loc[0, "y"] = np.nan
    return alt.Chart(data).mark_circle().encode(alt.X("x:Q"), alt.Y("y:Q").title("Height")).properties(**properties)


def spec(*charts, dark=False, **settings):
    return specification([finished(chart, dark=dark) for chart in charts], **SAID, dark=dark, **settings)


def rows_of(whole, part=None):
    return whole["datasets"][(part or whole)["data"]["name"]]


def test_all_rows_stand_in_the_specification_and_missing_values_are_null():
    rows = rows_of(spec(points(6_000)))
    assert len(rows) == 6_000  # Altair by itself refuses more than 5,000
    assert rows[0] == {"x": 0, "y": None}
    assert rows[-1] == {"x": 5_999, "y": 2.0}


@pytest.mark.parametrize("nested", [alt.layer, alt.vconcat, alt.hconcat])
def test_data_of_every_part_are_inside(nested):
    text = to_json(spec(nested(points(3), points(4)))).decode()
    assert text.count('"y": null') == 2
    assert text.count('"x": 3') == 1


def test_charts_of_one_figure_stand_below_each_other_in_one_picture():
    whole = spec(points(3), points(4, title="Layer 1"))
    assert [len(rows_of(whole, part)) for part in whole["vconcat"]] == [3, 4]
    assert whole["vconcat"][1]["title"] == "Layer 1"
    assert whole["title"]["text"] == SAID["title"]


def test_selections_are_left_out():
    chart = points().add_params(alt.selection_point(name="point", fields=["x"]))
    assert "params" not in to_json(spec(chart)).decode()


def test_large_text_is_larger_and_the_page_decides_the_colours():
    small, large, dark = spec(points()), spec(points(), text_scale=1.5), spec(points(), dark=True)
    for place, name in (
        ("axis", "labelFontSize"),
        ("axis", "titleFontSize"),
        ("legend", "labelFontSize"),
        ("title", "fontSize"),
    ):
        assert large["config"][place][name] == pytest.approx(1.5 * small["config"][place][name])
    assert small["config"]["background"] == "#ffffff"
    assert dark["config"]["background"] == "#0f1216"
    assert dark["config"]["axis"]["labelColor"] != small["config"]["axis"]["labelColor"]


def test_a_png_holds_title_note_and_provenance_and_three_pixels_for_one():
    image = Image.open(io.BytesIO(to_png(spec(points(width=200, height=100)))))
    assert image.width > 3 * 200
    assert image.height > 3 * 100
    assert image.text["Title"] == SAID["title"]
    assert image.text["Description"] == SPOKEN
    assert json.loads(image.text["Comment"]) == {"app": "SAE Loupe", "sha": "é?"}


def test_an_svg_holds_the_same_and_is_well_formed():
    from xml.etree import ElementTree

    root = ElementTree.fromstring(to_svg(spec(points())))
    name = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{name}title").text == SPOKEN
    assert json.loads(root.find(f"{name}metadata").text)["app"] == "SAE Loupe"
    assert "Height" in "".join(root.itertext())


def test_a_specification_is_json_that_opens_again():
    again = json.loads(to_json(spec(points())))
    assert again["usermeta"]["provenance"]["app"] == "SAE Loupe"
    assert alt.Chart.from_dict(again, validate=True)


def test_without_what_draws_them_pictures_say_how_to_get_it(monkeypatch):
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    for draw in (to_png, to_svg):
        with pytest.raises(pictures.NoPicturesError, match="pip install vl-convert-python"):
            draw(spec(points()))
