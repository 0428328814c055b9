"""The page Ground truth, and other pages on a dictionary that has no model."""

import pytest

from core.dictionaries.sources import world as source
from tests.doubles import pages, planted_pages
from tests.doubles.pages import button, fine, table, text_of


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds")
    planted_pages.write_workspace(folder)
    return folder


def test_a_trained_dictionary_leads_to_the_known_world_and_its_features(root, monkeypatch):
    with pages.page(root, monkeypatch, "worlds") as open_page:
        at = fine(open_page())
        assert "Nobody knows what is true of the features of a trained dictionary." in text_of(at)
        button(at, "Open the known world").click().run()
        assert "Of 56 things that are true, the pages say 56; 22 are said wrongly." in text_of(fine(at))
        verdicts = table(at, "world_what").set_index("world_what")
        counted = ["world_true", "world_hit", "world_missed", "world_false"]
        assert verdicts.loc["split", counted].tolist() == [12, 12, 0, 10]
        assert verdicts.loc["absorbed", counted].tolist() == [4, 4, 0, 0]
        features = fine(open_page({"sae": "world/wide", "tab": "Every feature"}))
        assert len(table(features, "world_kind")) == 52
        world = fine(open_page({"sae": "world/wide", "tab": "The world"}))
        assert len(table(world, "world_recall")) == 48


@pytest.mark.parametrize("page", ["overview", "logit_weights", "text", "automata"])
def test_a_page_that_needs_a_model_says_in_words_that_there_is_none(root, monkeypatch, page):
    with pages.page(root, monkeypatch, page) as open_page:
        at = open_page({"sae": "world/wide"})
        assert not at.exception
        assert "no language model behind it, and no text" in text_of(at)


@pytest.mark.parametrize("page", ["geometry", "splitting"])
def test_pages_on_weights_draw_the_known_world(root, monkeypatch, page):
    with pages.page(root, monkeypatch, page) as open_page:
        at = fine(open_page({"sae": "world/wide"}))
        assert source.NOTE in [warning.value.replace("\\", "") for warning in at.warning]
