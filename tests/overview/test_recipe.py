"""What the overview says of a dictionary, and the code that it offers: run, it gives the app's own numbers."""

import ast

import numpy as np
import pytest

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.origin import Origin
from core.dictionaries.sources import open_dictionary
from core.models.search import find_model
from core.overview.recipe import facts, recipe
from core.overview.recipe_code import python_recipe
from core.workspace import Workspace
from tests.doubles import planted_pages
from tests.doubles.planted import planted_dictionary


def values(lines) -> dict[str, str]:
    found = {line.title: line.value for line in lines}
    assert len(found) == len(lines)
    return found


def opened(id: str, like: Dictionary, **changes) -> Dictionary:
    """The same dictionary as if it came from somewhere else."""
    keep = {"title": like.title, "config": like.config, "raw_config": like._raw_config, "tensors": like._tensors}
    return Dictionary(id=id, **(keep | changes))


def test_the_facts_are_those_of_the_source_and_absent_is_absent():
    plain = planted_dictionary("jumprelu", metadata={"training_architecture": "batchtopk", "dataset_path": "some/text"})
    labels = {"release": "r", "repository": "u/x", "revision": "abc"}
    origin = Origin(labels, format="sae-lens", inferred=("k was counted",))
    found = values(facts(opened("registry/r/s", plain, origin=origin)))
    assert found["Kind"] == "batchtopk, saved as jumprelu"
    assert (found["Release"], found["Revision"], found["Training text"]) == ("r", "abc", "some/text")
    assert found["Source"] == "Registry of sae-lens"
    assert found["Concluded"] == "k was counted"
    assert found["Layer"] == "0"  # which is not nothing
    assert not {"Release", "Repository", "Active features, k", "Training text"} & set(
        values(facts(planted_dictionary()))
    )


def test_the_recipe_names_every_choice_that_changes_a_number():
    found = values(recipe(planted_dictionary()))
    assert found["BOS"] == "none"
    assert found["Decoder norms"] == "folded"
    assert found["Decoder bias"] == "subtracted from the input"
    assert found["Writing weights"] == "as in the model's files"
    other = planted_dictionary(
        apply_b_dec_to_input=False,
        normalize_activations="layer_norm",
        fold_decoder_norms=False,
        context_size=None,
        metadata={"prepend_bos": True, "model_from_pretrained_kwargs": {"center_writing_weights": True, "n_ctx": 7}},
    )
    found, meanings = values(recipe(other)), {line.title: line.meaning for line in recipe(other)}
    assert (found["BOS"], found["Context"]) == ("before every row", "not stated")
    assert (found["Decoder norms"], found["Input normalisation"]) == ("as stored", "layer_norm")
    assert (found["Decoder bias"], found["Writing weights"]) == ("not subtracted from the input", "centred")
    assert meanings["Model option center_writing_weights"] == "Done here."
    assert meanings["Model option n_ctx"].startswith("Not done here")
    assert "switched off" in meanings["Decoder norms"]
    assert (
        "would change which are active"
        in {line.title: line.meaning for line in recipe(planted_dictionary("topk"))}["Decoder norms"]
    )


def test_a_scaling_that_the_files_lack_is_said_not_to_be_done():
    found = values(recipe(planted_dictionary(normalize_activations="expected_average_only_in")))
    assert found["Input normalisation"] == "expected_average_only_in, not done here"


@pytest.mark.parametrize(
    ("id", "format", "call"),
    [
        ("registry/rel/blocks.0/x", "dictionary_learning_1", "SAE.from_pretrained('rel', 'blocks.0/x', "),
        ("hub/user/repo/a/b", "sae-lens", "SAE.from_pretrained('user/repo', 'a/b', "),
        ("demo/layer0", "", "SAE.load_from_disk('demo/dictionaries/layer0', "),
        ("hub/user/repo/a@abc", "sae-lens", "open_dictionary('hub/user/repo/a@abc', workspace, "),
        ("folder/p#k=3", "sae-lens", "open_dictionary('folder/p#k=3', workspace, "),
        ("folder/p", "sparsify", "open_dictionary('folder/p', workspace, "),
        ("folder/it's\n__import__('os')", "sae-lens", 'SAE.load_from_disk("folder'),
    ],
)
def test_code_opens_a_dictionary_as_its_source_does_and_is_always_code(id, format, call):
    code = python_recipe(opened(id, planted_dictionary(), origin=Origin(format=format)))
    ast.parse(code)
    assert call.replace('"folder', '"it') in code
    assert ("fold_W_dec_norm()" in code) == ("SAE." in code)
    assert "fold_W_dec_norm()" not in python_recipe(
        opened(id, planted_dictionary(), origin=Origin(format=format), fold_decoder_norms=False)
    )


def test_code_loads_a_known_model_as_the_dictionary_wants_it():
    metadata = {"model_name": "gpt2-small", "model_from_pretrained_kwargs": {"center_writing_weights": True}}
    code = python_recipe(planted_dictionary(metadata=metadata | {"prepend_bos": True}))
    assert "from_pretrained_no_processing('gpt2-small', center_writing_weights=True, device=\"cpu\")" in code
    assert 'to_tokens("Your text", prepend_bos=True)[:, :6]' in code
    assert "x_hat should be" in python_recipe(planted_dictionary("transcoder"))
    flat = python_recipe(planted_dictionary(extra={"reshape_activations": "hook_z"}))
    assert "turn_off_forward_pass_hook_z_reshaping" in flat
    assert ".flatten(2)" in flat


def test_the_code_run_gives_the_numbers_of_the_app(tmp_path):
    folder = planted_pages.write_workspace(tmp_path, hook_name="blocks.1.hook_resid_pre")
    workspace = Workspace(roots=(tmp_path,), models=(tmp_path / "planted",))
    dictionary = open_dictionary(f"folder/{folder}", workspace)
    code = python_recipe(dictionary).replace('"demo/model"', repr(str(tmp_path / "planted")))
    found: dict = {}
    exec(code, found)
    model = find_model("planted", workspace)
    x = model.activations(found["tokens"].numpy(), dictionary.config.hook_name)
    np.testing.assert_allclose(found["acts"].numpy(), dictionary.encode(x), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["x_hat"].numpy(), dictionary.reconstruct(x), rtol=1e-5, atol=1e-5)
    assert found["tokens"].shape == (1, dictionary.config.context_size)
