"""Which models are offered, which open at once, and what is said of those that cannot."""

import pytest

from core.errors import DoesNotFitError, NotDownloadedError, UnknownNameError
from core.models import layouts, search
from core.models.search import check_head, find_model, fitting_models, offer_others, opens_at_once
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace
from tests.doubles.planted import planted_dictionary, planted_model
from tests.doubles.tiny_models import D_MODEL, write_tiny


def broken(root):
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{")
    return root / "broken"


def test_models_open_at_once_when_each_of_their_folders_is_understood(tmp_path, monkeypatch):
    monkeypatch.setattr(search, "model_library_is_imported", lambda: False)
    monkeypatch.setattr(search.downloads, "local_folder", lambda name, workspace: None)
    known, new, own = write_tiny("llama", tmp_path), write_tiny("gpt2", tmp_path), planted_model(tmp_path).folder
    store = ArtifactStore(tmp_path / "cache")
    layouts.read_parts(known, store)

    def at_once(*folders) -> bool:
        return opens_at_once("llama", Workspace(models=folders, cache=tmp_path / "cache"))

    assert (at_once(known), at_once(own, known), at_once(known, new), at_once(new)) == (True, True, False, False)
    monkeypatch.setattr(search.downloads, "local_folder", lambda name, workspace: new)
    assert not at_once(known)
    monkeypatch.setattr(search, "model_library_is_imported", lambda: True)
    assert at_once(known)


def test_a_missing_model_is_named_with_those_that_open_and_those_that_do_not(tmp_path):
    workspace = Workspace(models=(broken(tmp_path), planted_model(tmp_path).folder), cache=tmp_path / "cache")
    with pytest.raises(UnknownNameError, match=r"no model called 'mine'") as unknown:
        find_model("mine", workspace)
    assert "planted" in str(unknown.value)
    assert "It may be in a folder that cannot be opened: " in str(unknown.value)
    with pytest.raises(NotDownloadedError, match="may be in a folder that cannot be opened"):
        find_model("gpt2-small", workspace)
    with pytest.raises(UnknownNameError) as unknown:
        find_model("mine", Workspace(models=workspace.models[1:], cache=tmp_path / "cache"))
    assert "cannot be opened" not in str(unknown.value)


@pytest.mark.parametrize(
    ("id", "sides", "offered"),
    [
        ("folder/runs/lr#1/sae", 1, "write #model_name="),
        ("folder/runs/sae#k=3", 1, "write &model_name="),
        ("folder/runs/sae", 2, ""),
        ("demo/sae", 1, ""),
    ],
)
def test_a_setting_is_offered_in_the_form_that_its_path_needs(tmp_path, id, sides, offered):
    workspace = Workspace(models=(planted_model(tmp_path).folder,))
    dictionary = planted_dictionary(metadata={"model_name": "mine"})
    dictionary.id = id
    object.__setattr__(dictionary.config, "sides", sides)
    error = UnknownNameError("model", "mine", [])
    offer_others(error, dictionary, workspace)
    assert ("after the path" in str(error)) == bool(offered)
    assert offered in str(error)


def test_a_name_that_no_setting_can_hold_is_not_offered(tmp_path):
    folders = []
    for name in ("a#b", "a&b", "ab"):
        folder = write_tiny("llama", tmp_path / name)
        folders.append(folder.rename(folder.parent / name))
    config = planted_dictionary(d_in=D_MODEL, hook_name="blocks.1.hook_resid_pre").config
    assert fitting_models(config, Workspace(models=tuple(folders), cache=tmp_path / "cache")) == ["ab"]


@pytest.mark.parametrize(("head", "fits"), [(0, True), (1, True), (2, False)])
def test_a_head_is_one_of_those_that_the_model_has(tmp_path, head, fits):
    model = planted_model(tmp_path)
    width = model.hook_width("blocks.0.attn.hook_z")
    d_head = model.config["d_head"]
    assert width == 2 * d_head
    config = planted_dictionary(
        hook_name="blocks.0.attn.hook_z", d_in=d_head, metadata={"hook_head_index": head}
    ).config
    if fits:
        check_head(config, model, width)
    else:
        with pytest.raises(DoesNotFitError, match=f"reads head {head}"):
            check_head(config, model, width)
