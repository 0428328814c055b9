"""No page sends a chart of more marks than a browser draws without a pause, however many features there are."""

import re

import altair as alt
import numpy as np
import pandas as pd
import pytest

from tests.doubles import pages, planted_pages
from tests.doubles.marks import marks_and_bytes
from tests.doubles.planted import planted_dictionary
from ui.shared.spoken import alternative_text
from ui.shared.thinned import MOST_MARKS, thinned
from ui.shell.router import page_files

N = MOST_MARKS + 200


def scatter(n: int) -> alt.Chart:
    return alt.Chart(pd.DataFrame({"x": np.arange(n), "y": np.arange(n)})).mark_circle().encode(x="x", y="y")


def test_a_chart_with_too_many_marks_draws_a_sample_in_order_and_says_so():
    whole = scatter(MOST_MARKS)
    assert thinned(whole)[0].data is whole.data
    assert thinned(whole)[1] == ""
    chart, said = thinned(scatter(3 * MOST_MARKS))
    assert said == "5,000 of 15,000 marks drawn, a random sample (seed 0)"
    assert len(chart.data) == MOST_MARKS
    assert chart.data["x"].is_monotonic_increasing
    assert chart.data["x"].max() > 2 * MOST_MARKS
    pd.testing.assert_frame_equal(chart.data, thinned(scatter(3 * MOST_MARKS))[0].data)


def test_layers_share_the_room_and_small_ones_stay_whole():
    ring, line = scatter(2), scatter(4 * MOST_MARKS).mark_line()
    chart, said = thinned(alt.layer(scatter(MOST_MARKS), scatter(3 * MOST_MARKS), ring, line))
    sizes = [len(layer.data) for layer in chart.layer]
    assert sizes == [1249, 3748, 2, 4 * MOST_MARKS]
    assert said == "4,999 of 20,002 marks drawn, a random sample (seed 0)"
    both = scatter(MOST_MARKS)
    assert thinned(alt.layer(both, both.mark_text()))[1].startswith("5,000 of 10,000")


def write_many(root) -> None:
    """Write the planted model, and two dictionaries of N features beside it."""
    planted_pages.write_workspace(root)
    for name, seed in (("many", 1), ("other", 2)):
        planted_dictionary(d_sae=N, seed=seed).save(root / name)


@pytest.mark.parametrize("name", [page.path.stem for page in page_files()])
def test_no_tab_sends_a_chart_of_too_many_marks_or_without_a_number_in_its_text(tmp_path, monkeypatch, name):
    write_many(tmp_path)
    silent = []

    def spoken(chart, title="", finding="", note=""):
        if not re.search(r"\d", f"{finding} {alternative_text(chart)}"):
            silent.append(title)
        return alternative_text(chart, title, finding, note)

    monkeypatch.setattr("ui.shared.figure.alternative_text", spoken)
    planted_pages.read_little_text(monkeypatch)
    ids = [planted_pages.id_of(tmp_path, folder) for folder in ("many", "other")]
    query = {"sae": ids[0], "b": ids[1], "split_wider": [ids[1]], "split_many": ids, "feature": "4"}
    sae = [part for folder in ("many", "other") for part in ("--sae", str(tmp_path / folder))]
    with pages.page(tmp_path, monkeypatch, name, *sae) as open_page:
        at = open_page(query)
        for tab in [None, *(tab.label for tab in at.tabs[1:])]:
            at = open_page(query | {"tab": tab}) if tab else at
            assert not at.exception, (tab, at.exception[0].stack_trace)
            for chart in at.get("vega_lite_chart"):
                marks, _ = marks_and_bytes(chart.proto)
                assert marks <= MOST_MARKS, (tab, chart.proto.alt, marks)
    assert silent == []
