"""Folders that hold no dictionary are refused with the value found, what was expected, and the next step."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from core.errors import BadDictionaryError
from tests.doubles.saved import D_IN, D_SAE, numpy_weights, read, write


def refused(path: Path, got: str, expected: str, step: str) -> None:
    """Assert that reading fails with a message of three parts: value, expectation, next step."""
    with pytest.raises(BadDictionaryError, match=f"(?s){got}.*{expected}.*{step}"):
        read(path)


def test_a_folder_that_is_no_dictionary_is_refused(tmp_path):
    refused(tmp_path, "holds no dictionary in a known format", "Expected one of these", "choose the folder")


def test_a_config_without_weights_is_refused(tmp_path):
    (write(tmp_path) / "sae_weights.safetensors").unlink()
    refused(tmp_path, "no sae_weights.safetensors", "Expected both", "copy the weights")


@pytest.mark.parametrize("text", [b"{", b"", b"\xff\xfe", b"[" * 100_000, b'{"a": ' + b"1" * 5000 + b"}"])
def test_a_config_that_is_no_json_is_refused(tmp_path, text):
    (write(tmp_path) / "cfg.json").write_bytes(text)
    refused(tmp_path, "cfg.json is not valid JSON", "Expected the dictionary's config", "save the dictionary again")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"a"'])
def test_a_config_that_is_no_object_is_refused(tmp_path, text):
    (write(tmp_path) / "cfg.json").write_text(text)
    refused(tmp_path, "holds a JSON", "expected an object", "Save the dictionary again")


@pytest.mark.parametrize("text", ["{}", '{"d_in": 3}', '{"d_in": 8, "architecture": ["x"], "hook_point": 3}'])
def test_an_old_config_that_sae_lens_cannot_translate_is_refused(tmp_path, text):
    (write(tmp_path) / "cfg.json").write_text(text)
    refused(tmp_path, r"cfg.json (is no|does not say)", "Expected", "(check the file|Add it)")


def test_missing_weights_are_named(tmp_path):
    weights = numpy_weights()
    del weights["b_enc"]
    refused(write(tmp_path, weights=weights), "lack b_enc", "needs; found W_dec, W_enc, b_dec", "Check that")


def test_a_skip_transcoder_without_its_skip_is_refused(tmp_path):
    write(tmp_path, "skip_transcoder", d_out=D_IN, apply_b_dec_to_input=False)
    refused(tmp_path, "lack W_skip", "a skip_transcoder dictionary needs", "Check that")


def test_unknown_weights_are_named(tmp_path):
    weights = numpy_weights() | {"b_magic": np.ones(3, np.float32)}
    refused(write(tmp_path, weights=weights), "hold b_magic", "expected W_dec, W_enc, b_dec, b_enc", "Check that")


@pytest.mark.parametrize("name", ["W_enc", "W_dec", "b_enc", "b_dec"])
def test_weights_of_another_shape_are_refused(tmp_path, name):
    weights = numpy_weights()
    weights[name] = np.concatenate([weights[name], weights[name]])
    refused(write(tmp_path, weights=weights), f"{name} has shape", r"expected \(.* from d_in 8 and d_sae 12", "Check")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    weights = numpy_weights()
    weights["W_dec"][3, 4] = value
    refused(write(tmp_path, weights=weights), "W_dec holds 1 values", "expected finite", "save or download it again")


def test_weights_of_whole_numbers_are_refused(tmp_path):
    weights = numpy_weights() | {"b_enc": np.zeros(D_SAE, np.int64)}
    refused(write(tmp_path, weights=weights), "b_enc holds int64", "expected floating-point", "Save the dictionary")


def test_truncated_weights_are_refused_at_any_length(tmp_path):
    whole = (write(tmp_path) / "sae_weights.safetensors").read_bytes()
    for length in [0, 4, 8, 20, 300, len(whole) // 2, len(whole) - 1]:
        (tmp_path / "sae_weights.safetensors").write_bytes(whole[:length])
        refused(tmp_path, "cannot be read as safetensors", "Expected a whole file", "copy or download it again")


def test_eight_bit_weights_are_refused(tmp_path):
    import torch
    from safetensors.torch import save_file as save_tensors

    write(tmp_path)
    weights = {name: torch.from_numpy(array) for name, array in numpy_weights().items()}
    weights["W_dec"] = weights["W_dec"].to(torch.float8_e4m3fn)
    save_tensors(weights, tmp_path / "sae_weights.safetensors")
    refused(tmp_path, "W_dec in .* is stored as F8_E4M3", "expected one of F64, F32", "Save the weights again")


@pytest.mark.parametrize("architecture", ["batchtopk", "matryoshka_batchtopk"])
def test_training_checkpoints_are_refused(tmp_path, architecture):
    write(tmp_path, "standard", weights=numpy_weights())
    write_architecture(tmp_path, architecture)
    refused(tmp_path, f"training checkpoint of a {architecture}", "Expected an inference", "save_inference_model")


def test_an_unknown_architecture_is_refused_with_the_known_ones(tmp_path):
    write_architecture(write(tmp_path), "crosscoder")
    refused(tmp_path, "'crosscoder'", "expected one of abstopk, .*topk, .*transcoder", "Convert")


def write_architecture(path: Path, architecture: str) -> None:
    config = json.loads((path / "cfg.json").read_text())
    (path / "cfg.json").write_text(json.dumps(config | {"architecture": architecture}))


@pytest.mark.parametrize(
    ("where", "field", "value", "expected"),
    [
        ("", "d_in", "8", "a positive whole number"),
        ("", "d_in", 8.0, "a positive whole number"),
        ("", "d_sae", True, "a positive whole number"),
        ("", "d_sae", -12, "a positive whole number"),
        ("", "k", "3", "from 1 to 12"),
        ("", "k", 0, "from 1 to 12"),
        ("", "k", 13, "from 1 to 12"),
        ("", "normalize_activations", "twice", "one of constant_norm_rescale"),
        ("", "normalize_activations", True, "one of constant_norm_rescale"),
        ("", "reshape_activations", "hook_q", "one of hook_z, none"),
        ("", "apply_b_dec_to_input", "false", "true or false"),
        ("", "rescale_acts_by_decoder_norm", 1, "true or false"),
        ("", "metadata", ["hook_name"], "a JSON object"),
        ("metadata", "context_size", "128", "a whole number from 1"),
        ("metadata", "context_size", -1, "a whole number from 1"),
        ("metadata", "context_size", 0, "a whole number from 1"),
        ("metadata", "context_size", 10**12, "to 16777216"),
        ("metadata", "context_size", 1.5, "a whole number from 1"),
        ("metadata", "hook_name", "<b>blocks.0.hook_resid_pre</b>", "a hook's name such as"),
        ("metadata", "hook_name", "blocks.0.hook\nresid_pre", "a hook's name such as"),
        ("metadata", "hook_name", "b" * 201, "a hook's name such as"),
        ("metadata", "hook_name", 3, "a hook's name such as"),
        ("metadata", "model_name", {"name": "gpt2"}, "a text of at most 200"),
        ("metadata", "model_name", "m" * 201, "a text of at most 200"),
        ("metadata", "prepend_bos", "yes", "true or false"),
        ("metadata", "training_architecture", 5, "a text of at most 200"),
        ("metadata", "model_from_pretrained_kwargs", "centred", "a JSON object"),
        ("metadata", "model_from_pretrained_kwargs", {"center_writing_weights": "no"}, "true or false"),
    ],
)
def test_a_field_of_a_wrong_kind_is_named_with_its_value(tmp_path, where, field, value, expected):
    write(tmp_path, **({"metadata": {field: value}} if where else {field: value}))
    name = "center_writing_weights" if isinstance(value, dict) and field.endswith("kwargs") else field
    shown = repr(value)[:20].translate({ord(c): "." for c in "\\[](){}*+?|^$"})
    if name != field:
        shown = "'no'"
    refused(tmp_path, f"cfg.json has {name} {shown}", f"expected .*{expected}", "Correct the file")


@pytest.mark.parametrize(
    ("where", "field"), [("", "d_in"), ("", "d_sae"), ("", "architecture"), ("metadata", "hook_name")]
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_field_that_is_needed_and_missing_is_named(tmp_path, where, field, value):
    write(tmp_path, weights=numpy_weights(), **({"metadata": {field: value}} if where else {field: value}))
    refused(tmp_path, f"does not say {field}", "Expected it there", "Add it")


@pytest.mark.parametrize("architecture", ["topk", "abstopk"])
def test_a_topk_dictionary_needs_its_k(tmp_path, architecture):
    refused(write(tmp_path, architecture), "does not say k", "Expected", "Add it")


def test_a_transcoder_needs_its_output_width_and_subtracts_nothing(tmp_path):
    write(tmp_path, "transcoder", apply_b_dec_to_input=False)
    refused(tmp_path, "does not say d_out", "Expected", "Add it")
    write(tmp_path, "transcoder", d_out=D_IN, apply_b_dec_to_input=True)
    refused(tmp_path, "apply_b_dec_to_input True", "expected false", "Correct the file")


ODD = [None, True, -1, 0, 3, 1e308, "", "x", "\0", "<script>", "9" * 5000, [], [[]], {}, {"a": {}}, float("nan")]
FIELDS = ["architecture", "d_in", "d_sae", "k", "normalize_activations", "reshape_activations", "metadata", "dtype"]
FIELDS += ["device", "rescale_acts_by_decoder_norm", "apply_b_dec_to_input", "d_out", "self"]
METADATA = ["model_name", "hook_name", "hook_name_out", "context_size", "prepend_bos", "training_architecture"]
METADATA += ["model_from_pretrained_kwargs", "self", "sae_lens_version"]


@pytest.mark.parametrize("value", ODD, ids=[repr(value)[:12].replace("\\0", "NUL") for value in ODD])
def test_an_odd_value_anywhere_is_refused_or_harmless(tmp_path, value):
    opened = 0
    for where, fields in (("", FIELDS), ("metadata", METADATA)):
        for field in fields:
            write(tmp_path, weights=numpy_weights(), **({where: {field: value}} if where else {field: value}))
            with suppress(BadDictionaryError):
                read(tmp_path)
                opened += 1
    assert opened >= 4  # dtype, device and unknown fields are none of our business


def test_what_sae_lens_does_not_accept_is_explained_when_it_is_built(tmp_path):
    weights = numpy_weights()
    lacking = read(write(tmp_path, "temporal", weights={name: weights[name] for name in ("W_dec", "b_dec")}))
    with pytest.raises(BadDictionaryError, match=r"cannot build this temporal .* Expected .* save_model wrote; save"):
        lacking.encode(np.zeros((1, 2, D_IN), np.float32))


def test_an_old_finetuned_scaling_factor_is_refused(tmp_path):
    write(tmp_path, weights=numpy_weights() | {"scaling_factor": np.full(D_SAE, 1.5, np.float32)})
    refused(tmp_path, r"scaling_factor \(1\.5 to 1\.5\)", "expected 1", "Multiply it into the weights")
