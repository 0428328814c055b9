"""A config that names another number of layers than kinds of layers is read by its files, and the model says so."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import BadDictionaryError
from core.models.language_model import LanguageModel
from core.models.layer_kinds import settle
from core.work.artifacts import ArtifactStore
from tests.doubles import pages, planted_pages
from tests.doubles.tiny_models import write_tiny

KINDS = {
    "gpt_neo": ("num_layers", "attention_types", [[["global", "local"], 3]], [[["global"], 1]]),
    "gemma2": ("num_hidden_layers", "layer_types", ["sliding_attention", "full_attention"] * 3, ["sliding_attention"]),
    "gemma3": ("num_hidden_layers", "layer_types", ["sliding_attention"] * 2 + ["full_attention"] * 4, []),
}
"""Where a config says how many layers there are, where their kinds; kinds of more, and of fewer."""
ROWS = np.random.default_rng(4).integers(0, 200, (2, 7))


def change(folder, found) -> None:
    config = json.loads((folder / "config.json").read_text())
    text = config.get("text_config", config)
    text |= found
    text.pop("attention_layers", None)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_more_layers_than_there_are_change_no_number_and_are_told(tmp_path, name):
    folder, (number, kinds, more, _) = write_tiny(name, tmp_path), KINDS[name]
    last = LanguageModel(folder).hook_names()[-1]
    expected = LanguageModel(folder).activations(ROWS, last)
    change(folder, {kinds: more})
    model = LanguageModel(folder, store=ArtifactStore(tmp_path / "cache"))
    np.testing.assert_array_equal(model.activations(ROWS, last), expected)
    assert len(model.notes) == 1
    for said in (f"{number} is {model.n_layers}", f"{kinds} the kinds of 6", "(the blocks in the files)"):
        assert said in model.notes[0]


@pytest.mark.parametrize("name", KINDS)
def test_the_files_decide_against_the_number_of_layers(tmp_path, name):
    folder, number = write_tiny(name, tmp_path), KINDS[name][0]
    whole = LanguageModel(folder)
    change(folder, {number: 17})
    model = LanguageModel(folder, store=ArtifactStore(tmp_path / "cache"))
    assert model.n_layers == whole.n_layers
    assert model.hook_names() == whole.hook_names()
    np.testing.assert_array_equal(*(each.activations(ROWS, whole.hook_names()[-1]) for each in (model, whole)))
    assert f"{number} is 17" in model.notes[0]


@pytest.mark.parametrize("name", ["gpt_neo", "gemma2"])
def test_layers_whose_kinds_nobody_says_are_refused(tmp_path, name):
    folder, (_, kinds, _, fewer) = write_tiny(name, tmp_path), KINDS[name]
    change(folder, {kinds: fewer})
    with pytest.raises(BadDictionaryError, match=r"contradicts itself.*rows of 2 blocks.*kinds of all layers are not"):
        LanguageModel(folder)


def test_without_blocks_in_the_files_the_number_of_layers_is_believed(tmp_path):
    folder = write_tiny("gpt_neo", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if ".h." not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    change(folder, {"num_layers": 1})
    model = LanguageModel(folder)
    np.testing.assert_array_equal(model.W_E, tensors["transformer.wte.weight"])
    np.testing.assert_array_equal(model.W_U, tensors["transformer.wte.weight"].T)
    assert model.n_layers == 1
    assert "hold no blocks that would show it" in model.notes[0]


def test_blocks_above_the_number_of_layers_are_told(tmp_path):
    folder = write_tiny("llama", tmp_path)
    assert not LanguageModel(folder).notes
    change(folder, {"num_hidden_layers": 1})
    assert LanguageModel(folder).notes[0].startswith("The files hold 1 more block than the 1 layers that config.json")


@pytest.mark.parametrize(
    "config",
    [
        {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
        {"num_layers": 2, "num_hidden_layers": 3, "layer_types": ["full_attention"]},
        {"layer_types": ["full_attention"]},
        {"num_layers": 2, "attention_types": [["global"], 1]},
        {"num_layers": 2, "attention_types": "global", "layer_types": None},
        {"num_layers": True, "layer_types": ["a", "b"]},
    ],
)
def test_other_configs_are_left_as_they_are(config):
    assert settle(config, ["h.0.w"]) == (config, ())


@pytest.mark.parametrize("names", [["h.0.w", "h.1.w", "vision.0.w"], ["h.0.w", "h.2.w"], ["h.0.w", "h.1.w", "h.2.w"]])
def test_files_that_bear_out_neither_or_both_decide_nothing(names):
    config = {"num_layers": 1, "layer_types": ["full_attention"] * 2}
    with pytest.raises(ValueError, match="contradicts itself"):
        settle(config, names)


def test_a_list_that_stands_for_more_layers_than_any_model_has_is_not_written_out():
    with pytest.raises(ValueError, match="the kinds of 2000000000000 layers, of at most 1000"):
        settle({"num_layers": 2, "attention_types": [[["global", "local"], 10**12]]}, ())


@pytest.mark.parametrize("name", ["logit_weights", "feature"])
def test_pages_say_what_was_believed(tmp_path, monkeypatch, name):
    planted_pages.write_workspace(tmp_path)
    monkeypatch.setattr(LanguageModel, "notes", ("One of two numbers was believed.",))
    with pages.page(tmp_path, monkeypatch, name) as open_page:
        at = open_page()
    assert any(warning.value.startswith("One of two numbers") for warning in at.warning)
