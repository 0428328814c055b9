"""Cross-layer transcoders, by layer and as a whole: values of their own forward pass, and what is refused."""

import json

import numpy as np
import pytest

from core.dictionaries.config import check_reconstructs
from core.dictionaries.sources import open_dictionary
from core.dictionaries.sources.folder import find
from core.errors import BadDictionaryError, DoesNotFitError
from core.workspace import Workspace
from tests.doubles.cross_layer import HOOKS, LAYERS, D, N, acts_of, circuit_tracer, draw, gemma_scope, output
from tests.doubles.foreign import write_arrays

X = 2 * np.random.default_rng(1).normal(size=(20, LAYERS, D)).astype(np.float32)


def opened(path, tail=""):
    return open_dictionary(f"folder/{path}{tail}", Workspace(roots=(path.parent,)))


@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize("target", range(LAYERS))
def test_all_layers_that_write_to_a_target_give_its_output_together(tmp_path, threshold, target):
    w = draw(threshold)
    dictionary = opened(circuit_tracer(tmp_path / "clt", w), f"#target={target}")
    x = X[:, : target + 1].reshape(len(X), -1)
    config = dictionary.config
    assert config.hooks_in == tuple(f"blocks.{i}.hook_resid_mid" for i in range(target + 1))
    assert (config.hook_name_out, config.model_name) == (f"blocks.{target}.hook_mlp_out", "gemma-2-2b")
    assert (config.kind, config.d_sae) == ("cross_layer_transcoder", (target + 1) * N)
    expected = acts_of(w, X)[:, : target + 1].reshape(len(X), -1)
    np.testing.assert_allclose(dictionary.encode(x), expected, atol=1e-5)
    np.testing.assert_allclose(dictionary.encode_with_pre_acts(x)[0], expected, atol=1e-5)
    np.testing.assert_allclose(dictionary.reconstruct(x), output(w, X, target), atol=1e-5)
    np.testing.assert_array_equal(dictionary.W_dec, w["W_dec"][: target + 1, :, target].reshape(-1, D))
    check_reconstructs(config, "x")
    assert not dictionary.folded


def test_without_a_setting_the_last_layer_is_the_target(tmp_path):
    folder = circuit_tracer(tmp_path / "clt", draw())
    assert opened(folder).sha256 == opened(folder, "#target=2").sha256
    assert opened(folder).config.target_layer == 2


@pytest.mark.parametrize("target", range(LAYERS))
def test_the_layers_of_gemma_scope_2_add_their_skip_connection(tmp_path, target):
    w = draw(threshold=True)
    dictionary = opened(gemma_scope(tmp_path / "gemma-scope-2-1b-pt" / "clt", w), f"#target={target}")
    x = X[:, : target + 1].reshape(len(X), -1)
    np.testing.assert_allclose(dictionary.reconstruct(x), output(w, X, target, skip=True), atol=1e-5)
    assert dictionary.config.model_name == "gemma-3-1b-pt"
    assert dictionary.config.hook_name == f"blocks.{target}.ln2.hook_out"


def test_one_layer_with_one_target_has_its_rows_and_reconstructs_nothing(tmp_path):
    w = draw(threshold=True)
    dictionary = opened(circuit_tracer(tmp_path / "clt", w), "#layer=1&target=2")
    config = dictionary.config
    np.testing.assert_array_equal(dictionary.W_dec, w["W_dec"][1, :, 2])
    np.testing.assert_array_equal(dictionary.b_dec, w["b_dec"][2])
    np.testing.assert_allclose(dictionary.encode(X[:, 1]), acts_of(w, X)[:, 1], atol=1e-5)
    assert (config.hook_name, config.hook_name_out) == ("blocks.1.hook_resid_mid", "blocks.2.hook_mlp_out")
    with pytest.raises(DoesNotFitError, match=r"before it write to layer 2 too.*Open all of them with #target=2"):
        check_reconstructs(config, dictionary.title)
    assert any("features of layer 1 alone" in note for note in dictionary.notes)


@pytest.mark.parametrize("layer", range(LAYERS))
def test_one_layer_by_itself_adds_up_its_decoders_and_says_so(tmp_path, layer):
    w = draw(threshold=True)
    for write in (circuit_tracer, gemma_scope):
        dictionary = opened(write(tmp_path / write.__name__, w), f"#layer={layer}")
        np.testing.assert_allclose(dictionary.W_dec, w["W_dec"][layer][:, layer:].sum(axis=1), atol=1e-6)
        np.testing.assert_allclose(dictionary.encode(X[:, layer]), acts_of(w, X)[:, layer], atol=1e-5)
        assert any(f"sums over layers {layer} to 2" in note for note in dictionary.notes)
        with pytest.raises(DoesNotFitError, match="sums over all later layers"):
            check_reconstructs(dictionary.config, dictionary.title)


def test_layer_0_alone_gives_the_output_of_layer_0(tmp_path):
    w = draw()
    dictionary = opened(circuit_tracer(tmp_path / "clt", w), "#layer=0&target=0")
    check_reconstructs(dictionary.config, "x")
    np.testing.assert_allclose(dictionary.reconstruct(X[:, 0]), output(w, X, 0), atol=1e-5)


def test_what_can_be_looked_at_is_offered_and_what_is_read_is_counted(tmp_path):
    folder = circuit_tracer(tmp_path / "clt", draw())
    layer, target = opened(folder, "#layer=1").origin.choices
    assert (layer.chosen, target.chosen, list(target.values)) == ("1", "", ["", "1", "2"])
    layer, target = opened(folder, "#target=1").origin.choices
    assert (layer.chosen, target.chosen, list(layer.values)) == ("", "1", ["", "0", "1", "2"])
    workspace = Workspace(roots=(tmp_path,))
    read = {tail: find(f"{folder}{tail}", workspace).nbytes for tail in ("#layer=1", "#target=0", "#target=2")}
    assert read == {"#layer=1": 8 * N * D, "#target=0": 8 * N * D, "#target=2": 3 * 8 * N * D}


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ("#target=3", "has 3 layers, and target 3 is none that it has; expected 0 to 2"),
        ("#layer=7", "layer 7 is none that it has; expected 0 to 2"),
        ("#layer=2&target=1", "target 1 is none that a feature of layer 2 writes to; expected 2 to 2"),
        ("#target=last", "has target 'last'; expected a whole number from 0"),
    ],
)
def test_layers_that_there_are_not_are_named(tmp_path, tail, said):
    folder = circuit_tracer(tmp_path / "clt", draw())
    with pytest.raises(BadDictionaryError, match=said):
        opened(folder, tail)


def test_layers_whose_shapes_do_not_go_together_are_named(tmp_path):
    folder = circuit_tracer(tmp_path / "clt", draw())
    write_arrays(folder / "W_dec_1.safetensors", {"W_dec_1": np.zeros((N + 1, 2, D), np.float32)})
    with pytest.raises(BadDictionaryError, match=r"W_enc in .* has shape \(4, 5\); expected \(4, 6\)"):
        opened(folder)
    (folder / "W_dec_1.safetensors").unlink()
    with pytest.raises(BadDictionaryError, match=r"There is no W_dec_1.safetensors"):
        opened(folder)


@pytest.mark.parametrize("text", ["", "- a", "model_name: &a [1]\nb: *a", "{", "\t:", "a: " + "[" * 2000])
def test_a_config_that_is_no_plain_mapping_is_refused(tmp_path, text):
    folder = circuit_tracer(tmp_path / "clt", draw())
    (folder / "config.yaml").write_text(text)
    with pytest.raises(BadDictionaryError, match="no plain YAML mapping"):
        opened(folder)


def test_a_config_in_json_is_read_as_well(tmp_path):
    folder = circuit_tracer(tmp_path / "clt", draw())
    (folder / "config.yaml").unlink()
    (folder / "config.json").write_text(json.dumps({"model_name": "gpt2", **HOOKS}))
    assert opened(folder).config.model_name == "gpt2"
