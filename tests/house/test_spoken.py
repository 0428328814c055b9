"""What a screen reader says of a chart: what its numbers show, and not its title alone."""

import altair as alt
import numpy as np
import pandas as pd
import pytest

from ui.shared.charts import heatmap, histogram, scatter
from ui.shared.spoken import alternative_text


def curve(values, *, series=None):
    data = pd.DataFrame({"position": range(len(values)), "mean": values, "series": series or ["a"] * len(values)})
    x, y = alt.X("position:Q").title("Position"), alt.Y("mean:Q").title(["Mean", "activation"])
    chart = alt.Chart(data).mark_line().encode(x, y)
    return chart.encode(alt.Color("series:N").title("Series")) if series else chart


def test_title_finding_numbers_and_note_come_in_this_order_as_sentences():
    said = alternative_text(curve([0.5, 2.0, 1.0]), "By position", "Feature 3 follows position.", "768 tokens")
    numbers = "Mean activation: largest 2 at Position 1, least 0.5 at Position 0."
    assert said == f"By position. Feature 3 follows position. {numbers} 768 tokens."


def test_a_curve_is_said_by_its_ends_and_their_series():
    said = alternative_text(curve([0.5, 0.12345, 7.0], series=["plain", "plain", "chance"]))
    assert said == "Mean activation: largest 7 at Position 2, Series chance, least 0.123 at Position 1, Series plain."


@pytest.mark.parametrize("gone", [np.nan, np.inf])
def test_numbers_that_are_not_drawn_are_not_said(gone):
    assert alternative_text(curve([gone, 1.0, gone])) == "Mean activation: 1 at Position 1."
    assert alternative_text(curve([gone, gone]), "Empty") == "Empty."


def test_a_heatmap_is_said_by_its_colour():
    cells = pd.DataFrame({"feature": [7, 8, 8], "position": [0, 1, 2], "act": [0.5, 4.0, 1.0]})
    names = {"row": "feature", "value": "act", "row_order": [7, 8], "row_title": "Feature", "value_title": "Activation"}
    said = alternative_text(heatmap(cells, n_pos=3, **names))
    assert said.startswith("Activation: largest 4 at Feature 8, Position in the sequence 1, least 0.5 at Feature 7")


def test_points_are_said_by_their_number_and_extent():
    table = pd.DataFrame({"feature": [0, 1, 2], "density": [0.1, 0.25, 0.5], "norm": [1000, 2000, 3000]})
    said = alternative_text(scatter(table, "density", "norm", x_title="Density", y_title="Norm"))
    assert said == "3 points; Density from 0.1 to 0.5; Norm from 1,000 to 3,000."


def test_charts_side_by_side_are_said_one_after_the_other():
    counts = histogram(pd.DataFrame({"l0": [1.0, 1.0, 3.0]}), "l0", "L0", bins=2)
    said = alternative_text(alt.hconcat(curve([1.0, 2.0]), counts))
    first = "Mean activation: largest 2 at Position 1, least 1 at Position 0."
    assert said == f"{first} Features: largest 2 at L0 1.5, least 1 at L0 2.5."


def test_places_without_an_axis_are_not_said():
    chart = curve([1.0, 2.0])
    chart.encoding.x = chart.encoding.x.axis(None)
    assert alternative_text(chart) == "Mean activation: largest 2, least 1."


def test_a_layer_whose_numbers_have_no_title_is_passed_over():
    whiskers = alt.Chart(pd.DataFrame({"low": [1.0], "of": ["all"]})).mark_rule().encode(alt.X("low:Q"), alt.Y("of:N"))
    assert alternative_text(alt.layer(whiskers, curve([1.0, 2.0]))).startswith("Mean activation: largest 2")
