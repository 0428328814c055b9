"""The overview's table of all features: what is stored, what is asked for, and filters."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.doubles import pages, planted_pages
from tests.doubles.pages import button, fine
from ui.shared.figure import figure

N = 12


@pytest.fixture
def at(tmp_path, monkeypatch):
    """The tab, opened for the first time."""
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    with pages.page(tmp_path, monkeypatch, "overview") as run:
        yield run({"tab": "Table of features"})


def table(at: AppTest):
    return fine(at).dataframe[0].value


def press(at: AppTest, label: str) -> AppTest:
    return button(at, label).click().run()


def test_only_what_is_at_hand_is_listed_and_nothing_is_computed(at):
    found = table(at)
    assert len(found) == N
    assert {"encoder_norm", "encoder_bias", "effective_coordinates"} <= set(found.columns)
    assert "density" not in found.columns
    assert {"Activations on text", "Neighbours"} <= {button.label for button in at.button}


def test_what_is_asked_for_is_computed_and_comes_in_by_itself(at):
    press(at, "Neighbours")
    found = table(at)
    assert found["nearest_cosine"].between(-1, 1).sum() >= N - 1
    assert "Neighbours" not in {button.label for button in at.button}
    press(at, "Activations on text")
    assert {"nearest_cosine", "density", "largest_activation"} <= set(table(at).columns)


def test_a_download_names_the_text_of_its_statistics_and_its_bos(at, monkeypatch):
    told = []
    monkeypatch.setattr(
        "ui.overview.all_features.figure", lambda *given, **how: told.append(how) or figure(*given, **how)
    )
    fine(at.run())
    assert told[-1]["provenance"]["settings"] == {}
    press(at, "Activations on text")
    text = told[-1]["provenance"]["settings"]["text"]
    assert "rows of 6 tokens" in text
    assert "no BOS" in text


def test_a_range_keeps_the_features_inside_and_is_said_under_the_table(at):
    biases = table(at).set_index("feature")["encoder_bias"]
    at.multiselect(key="ov_filters").select("encoder_bias").run()
    at.number_input(key="ov_encoder_bias_from").set_value(-1.0).run()
    found = table(at)
    assert (
        found["feature"].tolist()
        == biases.index[biases >= -1].tolist()
        == sorted([planted_pages.POSITIONAL, planted_pages.NEWCOMER])
    )
    assert f"2 of {N} features" in " ".join(text.value for text in at.markdown)
    assert any("≥" in text.value and "1" in text.value for text in at.caption)


def test_a_table_too_long_for_a_browser_shows_the_largest_and_says_so(at, monkeypatch):
    norms = table(at)["encoder_norm"].to_numpy()
    monkeypatch.setattr("ui.overview.all_features.MOST_ROWS", 4)
    at.run()
    at.selectbox(key="ov_by").set_value("encoder_norm").run()
    found = table(at)
    np.testing.assert_allclose(found["encoder_norm"], np.sort(norms)[::-1][:4])
    assert any("files hold all" in text.value for text in at.caption)
