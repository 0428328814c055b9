"""Tables that pick a feature by a click."""

import pandas as pd
import pytest

from core import catalogue
from ui.shared.figure import listing

TABLE = pd.DataFrame({"feature": [7, 3], "neighbor": [1, 2], "neighbor_cosine": [0.5, 0.25]})


@pytest.fixture
def click(monkeypatch):
    """Return a function that draws TABLE, clicks rows of it, and returns what is picked afterwards."""
    state = {"feature": 0}
    monkeypatch.setattr("streamlit.session_state", state)

    def clicked(rows, **settings):
        drawn = {}
        monkeypatch.setattr("streamlit.dataframe", lambda table, **how: drawn.update(how))
        listing(TABLE, "t", **settings)()
        state["t"] = {"selection": {"rows": rows}}
        drawn["on_select"]()
        return state["feature"]

    return clicked


def test_a_click_takes_the_feature_of_the_column_that_picks(click):
    assert click([1], picks="feature") == 3
    assert click([0], picks="neighbor") == 1


@pytest.mark.parametrize("rows", [[], [2], [-1]])
def test_no_row_or_one_that_is_gone_picks_nothing(click, rows):
    assert click(rows, picks="feature") == 0


def test_a_function_is_told_the_row(click):
    told = []
    assert click([1], picks=told.append) == 0
    assert told == [1]


def test_a_table_that_picks_nothing_does_not_react(monkeypatch):
    drawn = {}
    monkeypatch.setattr("streamlit.dataframe", lambda table, **how: drawn.update(how))
    listing(TABLE, "t", order=["neighbor"], config={"neighbor": "as said"})()
    assert drawn["on_select"] == "ignore"
    assert drawn["column_order"] == ["neighbor"]
    assert drawn["column_config"]["neighbor"] == "as said"
    assert drawn["column_config"]["neighbor_cosine"]["label"] == catalogue.statistic("neighbor_cosine").title
