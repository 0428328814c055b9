"""Tables and charts that follow the selection, on the kinds of charts that pages draw."""

import altair as alt
import numpy as np
import pandas as pd
import pytest

from core.selection.selection import Selection
from ui.shared import charts, following, selected
from ui.shared.selected import Ground

SHA, D_SAE = "ab" * 32, 40
OF_ONE = {"dictionaries": [{"sha256": SHA}]}
OWN = ("feature",)


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    selected.stand_on(None)


def stand(*features: int, only: bool = False) -> None:
    chosen = Selection.of(features, dictionary_sha256=SHA, d_sae=D_SAE) if features else None
    selected.stand_on(Ground(SHA, SHA, D_SAE, lambda selection: None, chosen, only))


def points() -> pd.DataFrame:
    return pd.DataFrame({"feature": np.arange(20), "across": np.arange(20) / 10 + 1, "up": np.arange(20) * 5.0})


def scatter() -> alt.Chart:
    return charts.scatter(points(), "across", "up", x_title="a", y_title="u", x_log=True, select="point")


def heatmap() -> alt.LayerChart:
    cells = pd.DataFrame({"feature": [1, 1, 2, 3], "position": [0, 1, 1, 2], "acts": [1.0, 2.0, 3.0, 4.0]})
    return charts.heatmap(
        cells, row="feature", value="acts", n_pos=4, row_order=[3, 1, 2], row_title="F", value_title="v", select="cell"
    )


def test_a_figure_knows_which_columns_hold_features_of_the_open_dictionary():
    assert following.own_columns(OF_ONE, None) == ()
    stand()
    assert following.own_columns(OF_ONE, None)[0] == "feature"
    two = {"dictionaries": [{"sha256": SHA}, {"sha256": "cd" * 32}]}
    assert following.own_columns(two, None) == ()
    assert following.own_columns(two, {"feature_a": "cd" * 32, "feature_b": SHA}) == ("feature_b",)


def test_a_table_shows_its_members_only_where_a_person_asks_for_it():
    table = points().iloc[5:].assign(feature=lambda t: t["feature"].astype(float))
    for features, only, expected in (((), True, None), ((6, 9, 39), False, None), ((6, 9, 39), True, [1, 4])):
        stand(*features, only=only)
        rows = following.member_rows(table, OWN)
        assert (rows if rows is None else rows.tolist()) == expected
    assert following.member_rows(table.rename(columns={"feature": "other"}), OWN) is None


def test_a_scatter_greys_all_but_members_and_draws_these_last():
    stand(3, 4, 39)
    chart, said = following.followed(scatter(), OWN)
    assert said == "2 members of the selection stand out"
    assert chart.data["feature"].tolist()[-2:] == [3, 4]
    opacity = chart.to_dict()["encoding"]["opacity"]
    assert opacity["condition"]["test"] == "datum.in_selection"
    assert opacity["condition"]["value"] > 5 * opacity["value"]


def test_a_scatter_draws_members_alone_on_request():
    stand(3, 4, 39, only=True)
    chart, said = following.followed(scatter(), OWN)
    assert (chart.data["feature"].tolist(), said) == ([3, 4], "only members of the selection are drawn")


def test_a_heatmap_keeps_the_rows_of_members_and_their_order():
    stand(2, 3, only=True)
    chart, _ = following.followed(heatmap(), OWN)
    spec = chart.to_dict()
    drawn = spec["layer"][0]["encoding"]["y"]
    assert (drawn["sort"], drawn["scale"]["domain"]) == (["3", "2"], ["3", "2"])
    assert {row["feature"] for rows in spec["datasets"].values() for row in rows} == {"2", "3"}


def test_a_chart_without_members_or_of_other_things_stays_as_it_is():
    for only in (False, True):
        stand(30, only=only)
        chart, said = following.followed(scatter(), OWN)
        assert (len(chart.data), said) == (20, "no feature of the selection is in this chart")
    stand(3, only=True)
    for own in ((), ("neighbor",)):
        chart, said = following.followed(scatter(), own)
        assert (len(chart.data), said) == (20, "")


def test_a_rectangle_in_a_scatter_holds_the_features_inside_it():
    stand()
    chart = scatter()
    brush = following.brushed(chart, OWN, ["point"])
    assert [param["name"] for param in chart.to_dict()["params"]] == ["point", "brush"]
    event = {"selection": {"brush": {"across": [2.05, 1.45], "up": [0, 40]}, "point": []}}
    assert brush.features(event) == [5, 6, 7, 8]
    for nothing in (None, {}, {"selection": {"brush": {}}}, {"selection": {"brush": {"across": [0, 9]}}}):
        assert brush.features(nothing) == []
    assert following.brushed(heatmap(), OWN, ["cell"]) is None


def test_a_layered_chart_of_points_gets_a_rectangle_too():
    stand()
    layered = alt.layer(scatter(), alt.Chart(points()).mark_rule().encode(x="across:Q"))
    assert following.brushed(layered, OWN, ["point"]) is not None
    assert "brush" in str(layered.to_dict())
