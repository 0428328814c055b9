"""A model with another name than the dictionary's is offered where it fits, with the setting to write."""

import pytest

from core.dictionaries.sources import open_dictionary
from core.errors import UnknownNameError
from core.models.search import find_model, fitting_models, offer_others
from core.workspace import PROJECT, Workspace
from tests.doubles.pages import page, text_of
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.planted_pages import write_workspace


@pytest.fixture
def workspace(tmp_path):
    planted_model(tmp_path)
    return Workspace(roots=(tmp_path,), models=(tmp_path / "planted", PROJECT / "demo" / "model"))


def opened(workspace, root, *, tail="", **changes):
    planted_dictionary(**changes).save(root / "mine")
    return open_dictionary(f"folder/{root / 'mine'}{tail}", workspace)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["planted"]),
        ({"hook_name": "blocks.9.hook_resid_pre"}, []),
        ({"d_in": 6}, []),
        ({"d_in": 128}, []),  # the demo's model has this width, but nobody's dictionaries
    ],
)
def test_models_fit_that_have_the_hook_with_the_width(workspace, tmp_path, changes, expected):
    found = opened(workspace, tmp_path, metadata={"model_name": "my-run-7"}, **changes)
    assert fitting_models(found.config, workspace) == expected


@pytest.mark.parametrize(("tail", "setting"), [("", "#model_name=planted"), ("#context_size=6", "&model_name=planted")])
def test_the_setting_that_is_offered_opens_the_model(workspace, tmp_path, tail, setting):
    found = opened(workspace, tmp_path, tail=tail, metadata={"model_name": "my-run-7"})
    with pytest.raises(UnknownNameError) as error:
        find_model(found.config.model_name, workspace)
    offer_others(error.value, found, workspace)
    assert "There is no model called 'my-run-7'" in str(error.value)
    assert f"write {setting} after the path" in str(error.value)
    again = open_dictionary(found.id + setting, workspace)
    assert find_model(again.config.model_name, workspace).name == "planted"


@pytest.mark.parametrize("name", ["my-run-7", None])
def test_a_page_that_needs_the_model_offers_it(tmp_path, monkeypatch, name):
    write_workspace(tmp_path)
    planted_dictionary(metadata={"model_name": name}).save(tmp_path / "mine")
    with page(tmp_path, monkeypatch, "logit_weights") as open_page:
        at = open_page({"sae": f"folder/{(tmp_path / 'mine').resolve()}"})
        assert not at.exception
        assert "write #model_name=planted after the path" in text_of(at, "error")
