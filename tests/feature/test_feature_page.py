"""The feature page on a planted workspace, run by AppTest through the router."""

import re
from contextlib import suppress

import numpy as np
import pytest

from core.corpus import streams
from core.feature.own_direction import OwnDirection
from core.interventions.controls import ControlSettings
from core.overview.sample_text import STEP
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine, reading, table, text_of
from ui.feature import overview
from ui.interventions import own_contexts
from ui.shared.errors import NotStored
from ui.studies import compute, token_pass

FEATURE = planted_pages.POSITIONAL
TABS = ["Summary", "Examples", "Proxies", "Logits", "Related", "Notes"]
QUERY = {"rows": "20", "feature": str(FEATURE)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def open_page(workspace):
    """Return a function that opens the page with a query, with what the tests before it computed."""
    with pages.kept_page(workspace, "feature", QUERY) as open_page:
        yield open_page


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens_from_a_link(open_page, tab):
    at = fine(open_page({"tab": tab}))
    assert at.title[0].value.split(" · ")[0] == f"Feature {FEATURE}"


def test_a_feature_is_called_by_what_it_fires_on_and_promotes_and_at_once_by_a_new_note(open_page):
    fine(open_page({"tab": "Summary"}))
    compute.jobs().submit("after the names", "", lambda progress: None).result(120)
    at = fine(open_page({"tab": "Related"}))
    title = text_of(at, "title")
    assert re.fullmatch(rf"Feature {FEATURE} · '.+' → '.+'", title)
    assert title.split(" · ")[1] in text_of(at.sidebar, "caption")
    near = table(at, "neighbor")
    assert near.columns[near.columns.get_loc("neighbor") + 1] == "neighbor_name"
    at = fine(open_page({"tab": "Notes"}))
    area = next(area for area in at.text_area if area.label == "What it is")
    at = fine(area.input("*start* of a line").run())
    assert text_of(at, "title") == f"Feature {FEATURE} · *start* of a line"
    fine(next(area for area in at.text_area if area.label == "What it is").input("").run())


def test_the_overview_shows_where_a_planted_feature_fires_without_a_click(open_page):
    at = fine(open_page())
    # The feature reads position alone: every row, at positions 2 and 3 of the context of 6.
    assert reading(at, "Density") == f"{2 / 6:.4g}"
    assert reading(at, "Active tokens") == "40"
    assert reading(at, "Strongest position") == str(planted_pages.PEAK)
    assert len(at.get("vega_lite_chart")) == 3
    text = next(part.value for part in at.html if "loupe-text" in part.value)
    assert text.count('class="strongest"') == 16
    assert table(at, "logit_weight")["logit_weight"].is_monotonic_decreasing


@pytest.mark.parametrize("tab", TABS)
def test_what_needs_no_text_is_shown_while_the_token_pass_waits_for_the_button(open_page, monkeypatch, tab):
    monkeypatch.setattr("ui.studies.first_text.growing_pass", token_pass.token_pass)  # not even a few rows are read
    monkeypatch.setattr("ui.studies.token_pass.AT_ONCE_S", -1.0)
    at = fine(open_page({"tab": tab, "rows": "23"}))  # so many rows are not stored
    assert [button.label for button in at.button].count("Run the token pass") == 1
    assert len(at.error) == 0
    waits = [caption.value for caption in at.caption].count("This needs the token pass, see above.")
    if tab in ("Examples", "Proxies"):
        assert waits == 1
    if tab in ("Summary", "Logits"):
        assert table(at, "logit_weight")["logit_weight"].is_monotonic_decreasing
    if tab == "Related":
        assert len(table(at, "neighbor_cosine")) > 0
        assert waits >= 1
    if tab == "Notes":
        assert [area.label for area in at.text_area].count("What it is") == 1


@pytest.mark.parametrize(("rows", "tab"), list(enumerate(TABS, 29)))
def test_the_first_views_rest_on_a_few_rows_until_the_whole_pass_is_there(open_page, monkeypatch, rows, tab):
    monkeypatch.setattr("ui.studies.first_text.FIRST_TOKENS", 3 * 6 + 5)
    monkeypatch.setattr("ui.studies.token_pass.AT_ONCE_S", -1.0)
    query = {"tab": tab, "rows": str(rows)}  # so many rows are not stored
    at = fine(open_page(query))
    assert "So far this page rests on 18 tokens" in text_of(at, "caption")
    assert "This needs the token pass, see above." not in text_of(at, "caption")
    assert [button.label for button in at.button].count("Run the token pass") == 1
    assert reading(at, "Active tokens") == "6", "two of six positions in three rows"
    at = fine(next(button for button in at.button if button.label == "Run the token pass").click().run())
    assert reading(at, "Active tokens") == str(2 * rows)
    assert "So far" not in text_of(at, "caption")
    assert reading(fine(open_page(query)), "Active tokens") == str(2 * rows)


def test_only_some_documents_are_tokenised_for_the_first_views(tmp_path, monkeypatch):
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    read, asked = streams.standard_library, []
    for module in ("core.corpus.streams", "core.overview.sample_text"):
        monkeypatch.setattr(f"{module}.standard_library", lambda step=1: asked.append(step) or read(step))
    monkeypatch.setattr("ui.studies.first_text.FIRST_TOKENS", 3 * 6)
    with pages.page(tmp_path, monkeypatch, "feature") as open_page:
        fine(open_page({"feature": str(FEATURE)}))
    assert asked == [STEP, 1], "the whole library only after the first rows"


def test_the_histogram_can_be_of_one_position(open_page):
    at = fine(open_page())
    at.number_input(key="fe_at").set_value(0).run()
    assert "never active at position 0" in fine(at).info[0].value
    at.number_input(key="fe_at").set_value(planted_pages.PEAK).run()
    assert any("20 active tokens · position 2" in caption.value for caption in fine(at).caption)


@pytest.mark.parametrize("kind", ["Strongest", "Intervals", "Quantiles", "Random active", "Random text"])
def test_every_kind_of_example_can_be_linked_to(open_page, kind):
    at = fine(open_page({"tab": "Examples", "fe_examples": kind, "fe_width": "whole row"}))
    outlined = sum(part.value.count('class="strongest"') for part in at.html)
    expected = {"Strongest": 20, "Random active": 20, "Random text": 20}
    assert outlined == expected.get(kind, outlined) > 0
    assert table(at, "share_of_token")["active_count"].sum() == 40


def test_contexts_are_searched_and_a_bad_or_fruitless_pattern_is_explained(open_page):
    at = fine(open_page({"tab": "Examples", "fe_search": "[a-z]{2}"}))
    assert any("20 rows with an active token" in caption.value for caption in at.caption)
    assert any("of 20 contexts match" in caption.value for caption in at.caption)
    at.text_input(key="fe_search").set_value("nowhere in it").run()
    assert "0 of 20 contexts match" in fine(at).info[0].value.replace("\\", "")
    at.text_input(key="fe_search").set_value("(").run()
    assert "is no regular expression" in at.error[0].value.replace("\\", "")


def test_a_feature_that_never_fires_says_so_and_still_shows_its_logits(open_page):
    at = fine(open_page({"feature": str(planted_pages.NEWCOMER)}))  # it waits for position 9
    assert "active on none of the 120 tokens" in at.info[0].value
    assert reading(at, "Density") == "0"
    assert len(table(at, "logit_weight")) == 10
    at = fine(open_page({"feature": str(planted_pages.NEWCOMER), "tab": "Examples"}))
    assert "there are no examples" in at.info[1].value


def test_a_direction_from_a_file_stands_in_for_a_feature_and_goes_again(open_page, workspace):
    rows = np.eye(planted_pages.D)[[0, 6]]  # dimension 6 is what position writes
    np.save(workspace / "probe.npy", rows)
    at = fine(open_page())
    at.text_input(key="own_path").set_value("probe.npy").run()
    at.number_input(key="own_row").set_value(1).run()
    at.button(key="own_take").click().run()
    fine(at)
    assert "stands in for a feature" in " ".join(part.value for part in at.markdown)
    assert "probe.npy, row 1" in " ".join(part.value for part in at.markdown).replace("\\", "")
    at.number_input(key="fe_threshold").set_value(0.5).run()
    assert reading(fine(at), "Density") == f"{2 / 6:.4g}"
    assert reading(at, "Largest activation") == "2"
    for tab in ("Examples", "Proxies", "Logits", "Related", "Notes"):
        at.query_params["tab"] = tab
        fine(at.run())
        assert reading(at, "Largest activation") == "2", tab
    assert "Notes belong to features" in at.info[0].value
    at.button(key="own_back").click().run()
    assert reading(fine(at), "Largest activation") == "1.5"


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [("short.npy", np.ones(3), "has 3 numbers, expected 8"), ("zero.npy", np.zeros(8), "are 0, expected a direction")],
)
def test_a_file_that_is_no_direction_is_explained(open_page, workspace, name, array, says):
    np.save(workspace / name, array)
    at = open_page()
    at.text_input(key="own_path").set_value(name).run()
    assert says in at.error[0].value
    at.text_input(key="own_path").set_value("/etc/passwd").run()
    assert "may read" in at.error[0].value


def test_a_direction_that_does_not_fit_another_dictionary_says_so_and_can_be_left(open_page, workspace):
    np.save(workspace / "probe.npy", np.eye(planted_pages.D)[6])
    at = fine(open_page())
    at.text_input(key="own_path").set_value("probe.npy").run()
    at.button(key="own_take").click().run()
    at.session_state["_own_direction"] = OwnDirection(np.ones(5, np.float32), "of another hook")
    at.run()
    assert "has 5 numbers, expected 8 for this dictionary" in at.error[0].value
    assert not at.tabs
    at.button(key="own_back").click().run()
    assert reading(fine(at), "Largest activation") == "1.5"


def test_the_summary_says_what_ablating_does_beside_random_directions_and_where_to_steer(open_page):
    at = fine(open_page({"tab": "Summary"}))
    said = text_of(at, "caption")
    assert re.search(r"Ablated on its 3 strongest contexts, it changes log-likelihood by [+-]", said)
    assert re.search(r"(in|out)side the band of 20 random directions as long, .* \(seed 0\)", said)
    link = next(each for each in at.get("page_link") if each.proto.label == "Steer it here")
    assert link.proto.page == "interventions"


def test_the_ablation_is_drawn_without_a_second_run_of_the_page_and_is_not_run_again_where_it_is_stored(
    open_page, monkeypatch
):
    heads, runs, drawn, run = [], [], overview.head, own_contexts.ablated_on_own_contexts
    monkeypatch.setattr(overview, "head", lambda *given: (heads.append(1), drawn(*given)))
    monkeypatch.setattr(own_contexts, "ablated_on_own_contexts", lambda *a, **b: (runs.append(1), run(*a, **b))[1])
    monkeypatch.setattr(own_contexts, "CONTROLS", ControlSettings(n=5))  # a result that is not there yet
    at = fine(open_page({"tab": "Summary"}))
    assert "Ablated on its" in text_of(at, "caption")
    assert len(heads) == len(runs) == 1
    compute.loaded.clear()  # as in a new server
    assert "Ablated on its" in text_of(fine(at.run()), "caption")
    assert (len(heads), len(runs)) == (2, 1)


def test_the_names_of_features_follow_a_pass_that_is_stored_already(open_page, monkeypatch):
    fine(open_page({"tab": "Summary"}))
    may_compute = []

    def follow(*given):
        with suppress(NotStored):
            compute.check_may_compute("names")
            may_compute.append(given)

    monkeypatch.setattr("ui.studies.strongest.follow", follow)
    fine(open_page({"tab": "Summary"}))
    assert may_compute
