"""A model with another name than the dictionary's is offered where it fits, with the setting to write."""

import json

import pytest

from core.dictionaries.sources import open_dictionary
from core.errors import BadDictionaryError, NotDownloadedError, UnknownNameError
from core.installation import PROJECT
from core.models.search import find_model, fitting_models, locate, offer_others
from core.workspace import Workspace, parse_arguments
from tests.doubles.pages import page, text_of
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.planted_pages import write_workspace
from tests.doubles.tiny_models import D_MODEL, write_tiny


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


def test_a_page_that_needs_the_model_offers_it_where_the_files_name_none(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    planted_dictionary(metadata={"model_name": None}).save(tmp_path / "mine")
    with page(tmp_path, monkeypatch, "logit_weights") as open_page:
        at = open_page({"sae": f"folder/{(tmp_path / 'mine').resolve()}"})
        assert not at.exception
        assert "write #model_name=planted after the path" in text_of(at, "error")


def test_a_page_opens_with_the_only_model_that_fits_and_says_so(tmp_path, monkeypatch):
    write_workspace(tmp_path)
    planted_dictionary(metadata={"model_name": "my-run-7"}).save(tmp_path / "mine")
    with page(tmp_path, monkeypatch, "logit_weights") as open_page:
        at = open_page({"sae": f"folder/{(tmp_path / 'mine').resolve()}"})
        assert not at.exception
        assert text_of(at, "error") == ""
        assert "The dictionary names my-run-7. The model shown is planted, the only one" in text_of(at, "warning")


GEMMA, HOOK = "google/gemma-2-2b", "blocks.1.hook_resid_pre"


def reads(hook: str = HOOK, name: str = "gemma-2-2b", d_in: int = D_MODEL):
    return planted_dictionary(d_in=d_in, hook_name=hook, metadata={"model_name": name}).config


def test_a_snapshot_of_the_hubs_cache_is_the_model_of_its_repository(tmp_path):
    snapshot = tmp_path / "models--google--gemma-2-2b" / "snapshots"
    write_tiny("gemma2", snapshot).rename(snapshot / "0123abc")
    workspace = Workspace(models=(snapshot / "0123abc",), cache=tmp_path)
    for name in (GEMMA, "gemma-2-2b"):
        found = locate(name, workspace, reads())
        assert (found.folder, found.name, found.because) == (snapshot / "0123abc", GEMMA, "")
    assert find_model("gemma-2-2b", workspace).name == GEMMA


def test_a_renamed_folder_is_the_model_that_its_config_names_and_that_is_said(tmp_path):
    folder = write_tiny("gemma2", tmp_path)
    config = json.loads((folder / "config.json").read_text()) | {"_name_or_path": GEMMA}
    (folder / "config.json").write_text(json.dumps(config))
    found = locate("gemma-2-2b", Workspace(models=(folder,), cache=tmp_path), reads())
    assert found.folder == folder
    assert found.because == f"The model is that of {folder}: its config says that it comes from {GEMMA}."


def test_the_only_model_that_fits_is_taken_and_of_two_none(tmp_path):
    one, two = write_tiny("gemma2", tmp_path), write_tiny("llama", tmp_path)
    narrow = planted_model(tmp_path).folder
    found = locate("gemma-2-2b", Workspace(models=(narrow, one), cache=tmp_path), reads())
    assert found.folder == one
    assert found.because.startswith("The dictionary names gemma-2-2b. The model shown is gemma2, the only one")
    with pytest.raises(NotDownloadedError):
        locate("gemma-2-2b", Workspace(models=(one, two), cache=tmp_path), reads())
    with pytest.raises(UnknownNameError, match=r"no model called 'mine'.*llama"):
        locate("mine", Workspace(models=(one, two), cache=tmp_path), reads(name="mine"))
    with pytest.raises(UnknownNameError):
        locate("mine", Workspace(models=(one,), cache=tmp_path), reads(name="mine", d_in=9))
    with pytest.raises(UnknownNameError):
        locate("mine", Workspace(models=(one,), cache=tmp_path), reads("blocks.9.hook_resid_pre", "mine"))


def test_a_name_goes_before_a_fit_and_a_broken_folder_is_in_nobodys_way(tmp_path):
    broken, named = tmp_path / "broken", write_tiny("llama", tmp_path)
    broken.mkdir()
    (broken / "config.json").write_text("{")
    workspace = Workspace(models=(broken, write_tiny("gemma2", tmp_path), named), cache=tmp_path)
    assert locate("llama", workspace, reads()).folder == named
    with pytest.raises(BadDictionaryError, match="broken is no model folder"):
        find_model("broken", workspace)


def test_the_commands_dtype_is_what_models_run_in(tmp_path):
    folder = write_tiny("llama", tmp_path)
    assert parse_arguments(["--dtype", "bfloat16"]).dtype == "bfloat16"
    assert find_model("llama", Workspace(models=(folder,), cache=tmp_path, dtype="bfloat16")).dtype == "bfloat16"
    assert find_model("llama", Workspace(models=(folder,), cache=tmp_path)).dtype == "float32"
    assert parse_arguments([]).dtype == "own"
