"""What files cannot say, a person can: settings behind the path, wherever a path goes."""

from pathlib import Path

import numpy as np
import pytest

from core.dictionaries.formats.sae_lens import WEIGHTS_FILE
from core.dictionaries.sources import entries, open_dictionary
from core.dictionaries.sources.folder import SETTINGS
from core.errors import BadDictionaryError, LoupeError, UnknownNameError
from core.notebook import AppError, _folder_of, load_dictionary
from core.workspace import Workspace, parse_arguments, split_tail
from tests.doubles import saved
from tests.doubles.foreign import CASES, TRANSPOSED, draw, write_arrays
from tests.doubles.foreign_maths import D_IN, D_SAE

WHERE = "#model_name=gpt2-small&hook_name=blocks.3.hook_resid_post"


@pytest.fixture
def weights(tmp_path) -> Path:
    write_arrays(tmp_path / "sae.pt", draw(60, **TRANSPOSED))
    return tmp_path / "sae.pt"


def test_a_notebook_opens_a_path_with_settings_wherever_it_lies(weights):
    config = load_dictionary(f"{weights}{WHERE}").config
    assert (config.model_name, config.hook_name) == ("gpt2-small", "blocks.3.hook_resid_post")


def test_a_path_on_the_command_line_keeps_its_settings_and_is_offered_with_them(weights):
    workspace = parse_arguments(["--sae", f"{weights}{WHERE}", "--sae", f"{weights}#k=3", "--sae", str(weights)])
    offered = [entry for entry in entries(workspace) if entry.id.startswith("folder/")]
    ids = [entry.id for entry in offered]
    assert ids == [f"folder/{weights}{WHERE}", f"folder/{weights}#k=3", f"folder/{weights}"]
    assert [open_dictionary(id, workspace).config.k for id in ids] == [None, 3, None]
    assert len({entry.title for entry in offered}) == 3


def test_the_app_is_started_with_the_settings(weights):
    assert _folder_of(f"{weights}{WHERE}") == f"{weights}{WHERE}"
    with pytest.raises(AppError, match="There is no folder"):
        _folder_of(f"{weights}x{WHERE}")


@pytest.mark.parametrize(
    ("setting", "architecture", "k"),
    [("k=3", "topk", 3), ("architecture=TopK&k=2", "topk", 2), ("architecture=abstopk&k=2", "abstopk", 2)],
)
@pytest.mark.parametrize("layout", ["plain", "sae-lens"])
def test_architecture_and_k_are_set_in_every_layout(weights, tmp_path, setting, architecture, k, layout):
    path = weights if layout == "plain" else saved.write(tmp_path / "sae")
    dictionary = load_dictionary(f"{path}#{setting}")
    assert (dictionary.config.architecture, dictionary.config.k) == (architecture, k)
    x = np.random.default_rng(0).normal(size=(9, D_IN)).astype(np.float32)
    assert (np.count_nonzero(dictionary.encode(x), axis=1) <= k).all()
    assert dictionary.inferred[-1].startswith("set by hand: ")


def test_an_architecture_without_its_k_or_of_no_library_is_named(weights):
    with pytest.raises(BadDictionaryError, match="nothing says its k"):
        load_dictionary(f"{weights}#architecture=topk")
    with pytest.raises(BadDictionaryError, match=r"has architecture 'gelu'; expected one of .*topk"):
        load_dictionary(f"{weights}#architecture=gelu")


def test_the_class_settles_what_tensors_do_not_tell_apart(tmp_path):
    case = CASES["BatchTopKSAE"]
    case.write(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(BadDictionaryError, match="set #dict_class= behind the path"):
        load_dictionary(tmp_path)
    assert load_dictionary(f"{tmp_path}#dict_class=BatchTopKSAE").config.kind == "batchtopk"
    assert load_dictionary(f"{tmp_path}#dict_class=AutoEncoderTopK").config.k == case.arrays["k"]
    assert load_dictionary(f"{tmp_path}#dict_class=AutoEncoderTopK&k=1").config.k == 1
    with pytest.raises(UnknownNameError, match=r"no class of dictionary_learning called 'BatchTopK'. Did you mean"):
        load_dictionary(f"{tmp_path}#dict_class=BatchTopK")


def test_whether_the_bias_is_subtracted_and_the_input_normalised_can_be_said(weights):
    config = load_dictionary(f"{weights}#apply_b_dec_to_input=false&normalize_activations=layer_norm").config
    assert (config.apply_b_dec_to_input, config.normalize_activations) == (False, "layer_norm")
    for odd in ("apply_b_dec_to_input=perhaps", "normalize_activations=zscore", "hook_head_index=x"):
        with pytest.raises(BadDictionaryError, match=f"has {odd.split('=')[0]} "):
            load_dictionary(f"{weights}#{odd}")


def test_a_hook_set_by_hand_stands_above_the_module_that_the_config_names(tmp_path):
    path = saved.write(tmp_path / "sae", metadata={"hf_hook_name": "model.layers.2"})
    assert load_dictionary(path).config.hook_name == "blocks.2.hook_resid_post"
    assert load_dictionary(f"{path}#hook_name=blocks.1.hook_mlp_out").config.hook_name == "blocks.1.hook_mlp_out"


def test_a_folder_whose_name_looks_like_settings_is_a_folder(tmp_path):
    for name in ("run#lr=3e-4", "run#lr=1&k=2"):
        path = saved.write(tmp_path / name)
        assert load_dictionary(path).config.k is None
        assert load_dictionary(f"{path}#k=2").config.k == 2
        workspace = Workspace(roots=(tmp_path,))
        assert open_dictionary(f"folder/{path}", workspace).config.k is None
        assert parse_arguments(["--sae", str(path)]).pinned == (path,)


@pytest.mark.parametrize("text", ["#" * 4096, "#a=" * 1300, "a#b=" + "&c=" * 1300, "a" * 10_000 + "#k=1", "#k=1\n#"])
def test_settings_are_split_in_a_blink_whatever_is_typed(text):
    path, tail = split_tail(text)
    assert (path in text, tail in text) == (True, True)


def test_a_setting_that_there_is_not_is_named_wherever_a_path_goes(weights):
    (key,) = parse_arguments(["--sae", f"{weights}#top_k=3"]).offered
    for opened in (load_dictionary, lambda text: open_dictionary(f"folder/{key}", Workspace(roots=(weights.parent,)))):
        with pytest.raises(UnknownNameError, match="no setting called 'top_k'"):
            opened(f"{weights}#top_k=3")


@pytest.mark.parametrize("name", SETTINGS)
def test_nonsense_in_any_setting_is_an_error_of_the_family_or_harmless(weights, name):
    for value in ("", "x", "9" * 400, "-1", "null", "\ud800", "../..", "<b>"):
        said = message_of(f"{weights}#{name}={value}")
        assert len(said) < 1500
        said.encode()


def message_of(text: str) -> str:
    """Open a path; return what the error says, and nothing where there is none."""
    try:
        load_dictionary(text)
    except LoupeError as error:
        return str(error)
    return ""


def test_a_weights_file_of_sae_lens_named_itself_is_its_folder(tmp_path):
    path = saved.write(tmp_path / "sae")
    assert load_dictionary(f"{path / WEIGHTS_FILE}#k=2").config.d_sae == D_SAE
