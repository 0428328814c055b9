"""Files of training scripts that nobody here has seen: read as their config says, or refused by the right name."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats.stored import unseen_turns
from core.errors import BadDictionaryError
from core.notebook import load_dictionary
from tests.doubles.foreign import draw, write_arrays
from tests.doubles.foreign_maths import D_IN, D_SAE, K, largest, relu
from tests.doubles.planted import planted_dictionary

X = 2 * np.random.default_rng(3).normal(size=(30, D_IN)).astype(np.float32) + 0.5
OURS = draw(70, W_enc=(D_IN, D_SAE), W_dec=(D_SAE, D_IN), b_enc=(D_SAE,), b_dec=(D_IN,))
LINEAR = {
    "encoder.weight": OURS["W_enc"].T.copy(),
    "encoder.bias": OURS["b_enc"],
    "decoder.weight": OURS["W_dec"].T.copy(),
    "decoder.bias": OURS["b_dec"],
}
NO_CLASS = "No config names the class of this dictionary"


def computed(keep=relu, *, subtracts: bool = True, mean: object = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return acts and x_hat of the planted weights, in float64, with any activation function."""
    w = {name: array.astype(np.float64) for name, array in OURS.items()}
    before = (X - mean - (w["b_dec"] if subtracts else 0)) @ w["W_enc"] + w["b_enc"]
    acts = keep(before)
    return acts, acts @ w["W_dec"] + w["b_dec"] + mean


def topk(x: np.ndarray) -> np.ndarray:
    return relu(largest(x))


def jump(threshold: np.ndarray | float):
    return lambda x: x * (x > threshold)


def agrees(dictionary: Dictionary, acts: np.ndarray, x_hat: np.ndarray) -> None:
    np.testing.assert_allclose(dictionary.encode(X), acts, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dictionary.reconstruct(X), x_hat, rtol=1e-4, atol=1e-4)


def opened(path: Path, settings: str = "") -> Dictionary:
    return load_dictionary(f"{path}{settings}", fold_decoder_norms=False)


def save(path: Path, content: dict[str, object]) -> Path:
    """Save a nested dict as torch does, arrays as tensors."""
    import torch

    def tensors(value):
        if isinstance(value, dict):
            return {name: tensors(inner) for name, inner in value.items()}
        return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors(content), path)
    return path


def prefixed(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {prefix + name: array for name, array in arrays.items()}


WRAPPERS = {
    "alone": lambda weights: weights,
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 3, "final_loss": 0.2},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "optimizer_state_dict": {"state": {0: {"m": X}}}},
    "two deep": lambda weights: {"checkpoint": {"state_dict": weights}},
    "of a name of its own": lambda weights: {"my_net": weights, "step": 7},
}
PREFIXES = ("", "_orig_mod.", "module.", "module._orig_mod.", "model.sae.", "_forward_module.")


@pytest.mark.parametrize(("wrapper", "prefix"), product(WRAPPERS, PREFIXES))
@pytest.mark.parametrize("names", ["ours", "linear"])
def test_weights_are_found_under_any_wrapper_and_prefix(tmp_path, wrapper, prefix, names):
    weights = prefixed(OURS if names == "ours" else LINEAR, prefix)
    dictionary = opened(save(tmp_path / "net.pt", WRAPPERS[wrapper](weights)))
    agrees(dictionary, *computed(subtracts=names == "ours"))
    said = " ".join(dictionary.inferred)
    assert ("inside the file" in said) == (wrapper not in ("alone",))
    assert (prefix and "taken off the names" in said) or not prefix


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_taken_off_in_safetensors_and_npz_too(tmp_path, prefix):
    for file in ("net.safetensors", "net.npz"):
        write_arrays(tmp_path / file, prefixed(OURS, prefix))
        agrees(opened(tmp_path / file), *computed())


def test_a_word_of_a_compiler_inside_a_name_is_taken_off(tmp_path):
    inside = {name.replace(".", "._orig_mod."): array for name, array in LINEAR.items()}
    agrees(opened(save(tmp_path / "net.pt", inside)), *computed(subtracts=False))


def test_two_names_that_mean_the_same_are_refused(tmp_path):
    path = save(tmp_path / "net.pt", OURS | {"_orig_mod.W_enc": OURS["W_enc"]})
    with pytest.raises(BadDictionaryError, match="names that mean the same"):
        opened(path)


def test_several_sets_of_tensors_without_a_known_name_are_named(tmp_path):
    path = save(tmp_path / "net.pt", {"left": OURS, "right": OURS})
    with pytest.raises(BadDictionaryError, match=r"several sets of tensors \(left, right\)"):
        opened(path)


@pytest.mark.parametrize(
    "pair",
    [
        *[("encoder", "decoder"), ("encoder_linear", "decoder_linear"), ("enc", "dec"), ("encoder.0", "decoder.0")],
        ("encoder.0", "decoder"),
    ],
)
def test_two_linear_layers_are_known_under_their_usual_names(tmp_path, pair):
    words = dict(zip(("encoder", "decoder"), pair, strict=True))
    named = {f"{words[name.split('.')[0]]}.{name.split('.')[1]}": array for name, array in LINEAR.items()}
    dictionary = opened(save(tmp_path / "net.pt", named))
    agrees(dictionary, *computed(subtracts=False))
    assert any(note.startswith(NO_CLASS) for note in dictionary.notes)


CONFIGS = {
    "sae_type and top_k": {"sae_type": "topk", "top_k": K},
    "activation": {"activation": "TopK", "k": K},
    "dict_class": {"dict_class": "AutoEncoderTopK", "k": K},
    "architecture": {"architecture": "top-k", "k": K, "activation": "relu"},
    "k alone": {"k": K, "lr": 3e-4},
    "arch": {"arch": "TopKSAE", "k": K},
}
PLACES = ("inside", "named after the file", "config.json", "cfg.json")


@pytest.mark.parametrize(("config", "place"), product(CONFIGS, PLACES))
@pytest.mark.parametrize("names", ["ours", "linear"])
def test_a_topk_is_one_wherever_its_config_says_so(tmp_path, config, place, names):
    weights, said = OURS if names == "ours" else LINEAR, CONFIGS[config]
    if config == "dict_class" and names == "linear":
        weights = {name.replace("decoder.bias", "b_dec"): array for name, array in LINEAR.items()}
    path = save(tmp_path / "net.pt", {"state_dict": weights, "cfg": said} if place == "inside" else weights)
    if place != "inside":
        file = "net_cfg.json" if place == "named after the file" else place
        (tmp_path / file).write_text(json.dumps(said))
    dictionary = opened(path)
    assert (dictionary.config.architecture, dictionary.config.k) == ("topk", K)
    agrees(dictionary, *computed(topk))
    assert not any(note.startswith(NO_CLASS) for note in dictionary.notes)


@pytest.mark.parametrize("value", ["gelu", "leaky_relu", "tanh-relu", "groupmax", "topk-4x"])
@pytest.mark.parametrize("key", ["activation", "activation_fn", "sae_type"])
@pytest.mark.parametrize("names", ["ours", "linear"])
def test_a_config_that_names_what_is_not_computed_here_is_refused_by_that_name(tmp_path, key, value, names):
    path = save(tmp_path / "net.pt", {"state_dict": OURS if names == "ours" else LINEAR, "cfg": {key: value}})
    with pytest.raises(BadDictionaryError, match=f"has {key} '{value}'; expected one of"):
        opened(path)


def test_a_topk_that_says_no_k_asks_for_it(tmp_path):
    path = save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": {"sae_type": "topk"}})
    with pytest.raises(BadDictionaryError, match=r"nothing says its k .*PATH#k=32"):
        opened(path)
    agrees(opened(path, f"#k={K}"), *computed(topk))


def test_claims_that_contradict_each_other_or_the_tensors_are_refused(tmp_path):
    path = save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": {"sae_type": "topk", "activation": "jumprelu"}})
    with pytest.raises(BadDictionaryError, match="has activation 'jumprelu'; expected what goes with sae_type topk"):
        opened(path)
    path = save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": {"sae_type": "jumprelu"}})
    with pytest.raises(BadDictionaryError, match=r"JumpReLU dictionary .sae_type jumprelu. without a threshold"):
        opened(path)
    path = save(tmp_path / "net.pt", {"state_dict": LINEAR, "cfg": {"sae_type": "gated"}})
    with pytest.raises(BadDictionaryError, match="those of a standard dictionary, but sae_type gated says gated"):
        opened(path)


JUMPRELU = {"architecture": "JumpReLU", "k": None}


@pytest.mark.parametrize("name", ["threshold", "log_threshold", "jumprelu.log_threshold"])
@pytest.mark.parametrize("one", [True, False])
def test_thresholds_are_read_as_numbers_or_logarithms_of_one_or_all_features(tmp_path, name, one):
    threshold = np.float32(0.3) if one else np.linspace(0.1, 0.9, D_SAE, dtype=np.float32)
    stored = np.log(threshold).astype(np.float32) if "log" in name else threshold
    dictionary = opened(save(tmp_path / "net.pt", {"sae": OURS | {name: np.array(stored)}, "cfg": JUMPRELU}))
    agrees(dictionary, *computed(jump(threshold), subtracts=False))


def test_the_input_is_normalised_where_the_config_says_so(tmp_path):
    said = {"sae_type": "topk", "top_k": K, "input_unit_norm": True}
    dictionary = opened(save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": said}))
    mean = X.mean(axis=1, keepdims=True)
    std = (X - mean).std(axis=1, ddof=1, keepdims=True)
    w = {name: array.astype(np.float64) for name, array in OURS.items()}
    acts = topk(((X - mean) / (std + 1e-5) - w["b_dec"]) @ w["W_enc"] + w["b_enc"])
    agrees(dictionary, acts, (acts @ w["W_dec"] + w["b_dec"]) * std + mean)
    assert "inputs normalised (layer_norm)" in dictionary.origin.stated[0]


def test_batch_topk_without_a_threshold_keeps_k_on_every_token_and_says_so(tmp_path):
    path = save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": {"sae_type": "batchtopk", "top_k": K}})
    dictionary = opened(path)
    assert (dictionary.config.architecture, dictionary.config.kind) == ("topk", "batchtopk")
    assert any(f"it keeps exactly {K} on every token" in note for note in dictionary.notes)


@pytest.mark.parametrize("which", ["encoder", "decoder", "both"])
@pytest.mark.parametrize("ending", [".pt", ".safetensors"])
def test_weights_that_lie_the_other_way_round_are_turned_as_the_biases_show(tmp_path, which, ending):
    turned = dict(OURS)
    for name, part in (("W_enc", "encoder"), ("W_dec", "decoder")):
        if which in (part, "both"):
            turned[name] = np.ascontiguousarray(OURS[name].T)
    write_arrays(tmp_path / f"net{ending}", turned)
    dictionary = opened(tmp_path / f"net{ending}")
    agrees(dictionary, *computed())
    assert any("the other way round" in phrase for phrase in dictionary.inferred)


SQUARE = draw(71, W_enc=(D_IN, D_IN), W_dec=(D_IN, D_IN), b_enc=(D_IN,), b_dec=(D_IN,))
WIDE = draw(72, W_enc=(D_IN, D_SAE), W_dec=(D_SAE, D_SAE), b_enc=(D_SAE,), b_dec=(D_SAE,))
ITS_CFG = {"architecture": "standard", "d_in": D_IN, "d_sae": D_IN, "apply_b_dec_to_input": True, "dtype": "float32"}
ITS_CFG |= {"metadata": {"hook_name": "blocks.1.hook_resid_pre", "model_name": "gpt2-small"}}


@pytest.mark.parametrize("file", ["net.pt", "net.npz", "net.safetensors", "linear.pt", "sae_weights.safetensors"])
def test_it_is_said_of_square_weights_that_no_length_shows_which_way_round_they_are_stored(tmp_path, file):
    linear = {"encoder.weight": SQUARE["W_enc"], "decoder.weight": SQUARE["W_dec"]}
    linear |= {"encoder.bias": SQUARE["b_enc"], "decoder.bias": SQUARE["b_dec"]}
    write_arrays(tmp_path / file, linear if file == "linear.pt" else SQUARE)
    if file == "sae_weights.safetensors":
        (tmp_path / "cfg.json").write_text(json.dumps(ITS_CFG))
    dictionary = opened(tmp_path if file == "sae_weights.safetensors" else tmp_path / file)
    assert [phrase for phrase in dictionary.inferred if phrase.startswith("W_enc and W_dec as this format stores them")]
    np.testing.assert_array_equal(dictionary.W_enc, SQUARE["W_enc"].T if file == "linear.pt" else SQUARE["W_enc"])


def test_nothing_of_the_kind_is_said_of_weights_whose_biases_show_it(tmp_path):
    write_arrays(tmp_path / "net.npz", OURS)
    assert not [phrase for phrase in opened(tmp_path / "net.npz").inferred if "other way round" in phrase]


def test_of_a_transcoder_each_square_matrix_is_named_alone():
    assert unseen_turns(WIDE) == (
        "W_dec as this format stores it: with as many features as inputs, no length can show whether it is stored the "
        "other way round",
    )
    assert unseen_turns({"W_dec": np.zeros((3, 4, 4))}) == ()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("names", ["ours", "linear"])
def test_a_mean_beside_the_weights_is_subtracted_and_added_again_with_a_note(tmp_path, names, prefix):
    mean = np.linspace(-1, 1, D_IN, dtype=np.float32)
    weights = prefixed(OURS if names == "ours" else LINEAR, prefix)
    dictionary = opened(save(tmp_path / "net.pt", {"state_dict": weights, "config": {"lr": 1}, "mean": mean}))
    agrees(dictionary, *computed(subtracts=names == "ours", mean=mean.astype(np.float64)))
    assert any(note.startswith("The file holds a mean") for note in dictionary.notes)


@pytest.mark.parametrize("subtracts", [True, False])
def test_a_mean_beside_a_gated_dictionary_moves_both_of_its_biases(tmp_path, subtracts):
    mean = np.linspace(-1, 1, D_IN, dtype=np.float32)
    gates = draw(73, b_gate=(D_SAE,), b_mag=(D_SAE,), r_mag=(D_SAE,))
    weights = {name: array for name, array in OURS.items() if name != "b_enc"} | gates
    path = save(tmp_path / "net.pt", {"state_dict": weights, "mean": mean})
    dictionary = opened(path, f"#apply_b_dec_to_input={str(subtracts).lower()}")
    w = {name: array.astype(np.float64) for name, array in weights.items()}
    both = (X - mean.astype(np.float64) - (w["b_dec"] if subtracts else 0)) @ w["W_enc"]
    acts = (both + w["b_gate"] > 0) * relu(np.exp(w["r_mag"]) * both + w["b_mag"])
    agrees(dictionary, acts, acts @ w["W_dec"] + w["b_dec"] + mean)


@pytest.mark.parametrize("name", ["b_enc", "W_enc"])
def test_a_mean_beside_weights_that_do_not_go_together_is_no_bug(tmp_path, name):
    odd = OURS | {name: np.concatenate([OURS[name], OURS[name]], axis=-1)}
    path = save(tmp_path / "net.pt", {"state_dict": odd, "mean": np.ones(D_IN, np.float32)})
    with pytest.raises(BadDictionaryError, match="has shape"):
        opened(path, "#apply_b_dec_to_input=false")


@pytest.mark.parametrize("name", ["std", "scale", "norm"])
def test_other_arrays_beside_the_weights_are_named(tmp_path, name):
    path = save(tmp_path / "net.pt", {"state_dict": OURS, name: np.ones(D_IN, np.float32)})
    with pytest.raises(BadDictionaryError, match=f"has {name} besides"):
        opened(path)


def test_one_layer_scripts_say_model_hook_and_context(tmp_path):
    said = {"seed": 49, "seq_len": 128, "enc_dtype": "fp32", "model_name": "gelu-2l", "site": "mlp_out", "layer": 0}
    said |= {"act_name": "blocks.0.hook_mlp_out", "act_size": D_IN, "dict_size": D_SAE, "name": "gelu-2l_0"}
    save(tmp_path / "25.pt", OURS)
    (tmp_path / "25_cfg.json").write_text(json.dumps(said))
    dictionary = opened(tmp_path / "25.pt")
    config = dictionary.config
    assert (config.model_name, config.hook_name, config.context_size) == ("gelu-2l", "blocks.0.hook_mlp_out", 128)
    assert dictionary.notes == ()


def test_sizes_that_differ_from_the_weights_are_refused(tmp_path):
    path = save(tmp_path / "net.pt", {"state_dict": OURS, "cfg": {"dict_size": D_SAE + 1}})
    with pytest.raises(BadDictionaryError, match=f"d_sae {D_SAE + 1} in the config"):
        opened(path)


def test_how_a_file_was_read_is_printed_with_the_dictionary(tmp_path):
    path = save(tmp_path / "net.pt", {"state_dict": LINEAR, "cfg": {"k": K, "unheard_of": 1}})
    text = repr(opened(path, "#model_name=gpt2-small"))
    for said in (
        f"net.pt: topk, d_in {D_IN}, d_sae {D_SAE}, k {K}",
        "read as dictionary_learning",
        f"stated: net.pt says architecture topk from k {K}",
        "inferred: weights from 'state_dict' inside the file",
        "inferred: class AutoEncoderNew from the names of its tensors",
        "inferred: set by hand: model_name gpt2-small",
        "note: net.pt also says unheard_of=1, which this app does not use",
    ):
        assert said in text


def test_a_file_in_no_known_format_says_which_tensors_it_holds(tmp_path):
    own = dict(zip(("up", "down", "b_up", "b_down"), OURS.values(), strict=True))
    for path in (save(tmp_path / "net.pt", own), tmp_path / "net.safetensors"):
        write_arrays(path, own)
        with pytest.raises(BadDictionaryError, match=r"It holds the tensors b_down, b_up, down, up. Expected one of"):
            opened(path)


def test_a_folder_of_dictionaries_says_which_it_holds_and_how_to_name_one(tmp_path):
    for layer in range(14):
        planted_dictionary(seed=layer).save(tmp_path / f"layer_{layer}")
    (tmp_path / "elsewhere").symlink_to(tmp_path / "layer_0")
    with pytest.raises(BadDictionaryError, match=r"It holds 14 of them \(layer_0, layer_1, layer_2, .* and 2 more\)"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("W_enc_0.safetensors", "W_dec_0.safetensors", "config.yaml"), "a cross-layer transcoder"),
        (("hyperparams.json", "checkpoints/final.safetensors"), "a dictionary of Llama Scope"),
        (("layers.3/sae.safetensors", "layers.4/sae.safetensors"), "folders layers.3, layers.4 hold weights"),
        (("one.safetensors",), "It holds one.safetensors: name that file itself"),
        (("model-00001-of-00002.safetensors",), "a language model"),
    ],
)
def test_a_folder_of_something_else_is_called_by_its_name(tmp_path, files, said):
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    with pytest.raises(BadDictionaryError, match=said):
        opened(tmp_path)
