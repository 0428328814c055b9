"""A model that reads ids which are no text, on every page."""

import pytest

from tests.doubles import pages, planted_pages


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("ids")
    planted_pages.write_workspace(root)
    for path in root.rglob("tokenizer.json"):
        path.unlink()
    return root


@pytest.mark.parametrize("name", ["overview", "activations", "feature", "text"])
def test_pages_on_text_say_that_there_is_no_tokenizer(root, monkeypatch, name):
    with pages.page(root, monkeypatch, name) as open_page:
        at = open_page()
    assert not at.exception
    assert any("has no tokenizer" in error.value for error in at.error)


@pytest.mark.parametrize("name", ["logit_weights", "positions", "geometry"])
def test_pages_on_weights_show_ids(root, monkeypatch, name):
    with pages.page(root, monkeypatch, name) as open_page:
        at = open_page()
    assert not at.exception
    assert not at.error
