"""Folders in sae-lens' format are read as sae-lens reads them, and found by their ids."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from core.dictionaries.sources import entries, open_dictionary
from core.errors import DoesNotFitError, PathNotAllowedError, UnknownNameError
from core.workspace import Workspace
from tests.doubles.saved import D_IN, D_SAE, OPTIONS, numpy_weights, read, save, write

NAMES = list(OPTIONS)
CANNOT_FOLD = ["topk", "abstopk", "temporal", "temporal untied", "matching_pursuit"]
CAN_FOLD = [name for name in NAMES if name not in CANNOT_FOLD]


def inputs(name: str) -> np.ndarray:
    shape = (2, 5, D_IN) if name.startswith("temporal") else (40, D_IN)
    return 2 * np.random.default_rng(1).normal(size=shape).astype(np.float32)


def theirs(path: Path, x: np.ndarray, *, fold: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return acts and x_hat as sae-lens computes them from the folder."""
    import torch
    from sae_lens import SAE

    sae = SAE.load_from_disk(path, dtype="float32", fold_W_dec_norm=fold).eval()
    with torch.no_grad():
        return sae.encode(torch.from_numpy(x)).numpy(), sae(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_gives_what_sae_lens_gives(tmp_path, name):
    dictionary, x = read(save(tmp_path, name), fold=False), inputs(name)
    acts, x_hat = theirs(tmp_path, x)
    assert (acts != 0).any()
    assert (acts == 0).any()
    np.testing.assert_array_equal(dictionary.encode(x), acts)
    np.testing.assert_array_equal(dictionary.reconstruct(x), x_hat)
    assert (dictionary.config.architecture, dictionary.folded) == (name.split(" ")[0], False)


@pytest.mark.parametrize("name", CAN_FOLD)
def test_folding_is_sae_lens_folding(tmp_path, name):
    dictionary, x = read(save(tmp_path, name)), inputs(name)
    acts, x_hat = theirs(tmp_path, x, fold=True)
    assert dictionary.folded
    np.testing.assert_allclose(np.linalg.norm(dictionary.W_dec, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(dictionary.encode(x), acts, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dictionary.reconstruct(x), x_hat, rtol=1e-4, atol=1e-5)
    plain, plain_x_hat = theirs(tmp_path, x)
    np.testing.assert_allclose(dictionary.reconstruct(x), plain_x_hat, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(dictionary.encode(x) != 0, plain != 0)


@pytest.mark.parametrize("name", CANNOT_FOLD)
def test_what_sae_lens_cannot_fold_stays_as_it_is(tmp_path, name):
    dictionary, x = read(save(tmp_path, name)), inputs(name)
    assert not dictionary.folded
    np.testing.assert_array_equal(dictionary.encode(x), theirs(tmp_path, x)[0])


@pytest.mark.parametrize("name", NAMES)
def test_the_canonical_weights_are_those_in_the_file(tmp_path, name):
    dictionary = read(save(tmp_path, name), fold=False)
    stored = load_file(tmp_path / "sae_weights.safetensors")
    np.testing.assert_array_equal(dictionary.W_dec, stored["W_dec"])
    np.testing.assert_array_equal(dictionary.b_dec, stored["b_dec"])
    np.testing.assert_array_equal(dictionary.W_enc, stored.get("W_enc", stored["W_dec"].T))
    bias = stored.get("b_enc", stored.get("b_mag", np.zeros(D_SAE)))
    np.testing.assert_array_equal(dictionary.b_enc, bias)


@pytest.mark.parametrize("normalisation", ["layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("name", ["standard", "topk", "transcoder"])
def test_dictionaries_that_normalise_their_input_give_what_sae_lens_gives(tmp_path, name, normalisation):
    dictionary, x = read(save(tmp_path, name, normalize_activations=normalisation), fold=False), inputs(name) + 3
    acts, x_hat = theirs(tmp_path, x)
    for _ in range(2):  # they keep state on the module
        np.testing.assert_array_equal(dictionary.encode(x), acts)
        np.testing.assert_array_equal(dictionary.reconstruct(x), x_hat)


@pytest.mark.parametrize("subtracts", [True, False])
def test_apply_b_dec_to_input_is_as_in_sae_lens(tmp_path, subtracts):
    dictionary, x = read(save(tmp_path, "standard", apply_b_dec_to_input=subtracts), fold=False), inputs("standard")
    np.testing.assert_array_equal(dictionary.encode(x), theirs(tmp_path, x)[0])
    np.testing.assert_array_equal(dictionary.input_bias, dictionary.b_dec * subtracts)


def test_hook_z_inputs_are_flat(tmp_path):
    metadata = {"hook_name": "blocks.0.attn.hook_z"}
    dictionary = read(save(tmp_path, "standard", metadata=metadata, reshape_activations="hook_z"), fold=False)
    x = inputs("standard")
    acts, x_hat = theirs(tmp_path, x.reshape(-1, 2, D_IN // 2))
    np.testing.assert_array_equal(dictionary.encode(x), acts)
    np.testing.assert_array_equal(dictionary.reconstruct(x), x_hat.reshape(-1, D_IN))


def test_a_temporal_dictionary_refuses_rows_that_were_flattened(tmp_path):
    dictionary = read(save(tmp_path, "temporal"))
    for use in (dictionary.encode, dictionary.reconstruct):
        with pytest.raises(DoesNotFitError, match=r"shape \(10, 8\); expected \(batch, pos, 8\)\. Pass whole rows"):
            use(inputs("temporal").reshape(-1, D_IN))


def test_batches_of_rows_are_encoded_like_their_tokens(tmp_path):
    dictionary, x = read(save(tmp_path, "standard")), inputs("standard")
    np.testing.assert_allclose(dictionary.encode(x.reshape(4, 10, D_IN)).reshape(40, -1), dictionary.encode(x))


def test_inputs_of_another_width_are_refused(tmp_path):
    dictionary = read(write(tmp_path))
    with pytest.raises(DoesNotFitError, match=r"shape \(2, 5\); expected \(tokens, 8\).*Choose a dictionary"):
        dictionary.encode(np.zeros((2, 5), np.float32))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["standard", "gated"])
def test_half_precision_files_open_as_float32(tmp_path, name, dtype):
    dictionary, x = read(save(tmp_path, name, dtype=dtype), fold=False), inputs(name)
    assert {array.dtype for array in dictionary._tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(dictionary.encode(x), theirs(tmp_path, x)[0])


def test_a_folder_from_before_sae_lens_6_opens(tmp_path):
    old = {
        "model_name": "planted",
        "hook_point": "blocks.0.hook_resid_pre",
        "hook_point_layer": 0,
        "hook_point_head_index": None,
        "context_size": 128,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "activation_fn_str": "relu",
        "normalize_activations": False,
        "dtype": "float32",
        "device": "mps",
    }
    weights = numpy_weights() | {"scaling_factor": np.ones(D_SAE, np.float32)}
    write(tmp_path, weights=weights)
    (tmp_path / "cfg.json").write_text(json.dumps(old))
    dictionary, x = read(tmp_path, fold=False), inputs("standard")
    config = dictionary.config
    assert (config.architecture, config.hook_name, config.context_size) == ("standard", "blocks.0.hook_resid_pre", 128)
    assert (config.prepend_bos, config.apply_b_dec_to_input, config.normalize_activations) == (True, True, "none")
    np.testing.assert_allclose(dictionary.encode(x), theirs(tmp_path, x)[0])


@pytest.mark.parametrize("setting", ["expected_average_only_in", "covariance_whitening"])
def test_a_rescaling_that_was_not_folded_is_noted(tmp_path, setting):
    (note,) = read(write(tmp_path, normalize_activations=setting)).origin.notes
    assert setting in note
    assert "may be wrong" in note
    assert "save it again" in note
    assert read(write(tmp_path, normalize_activations="layer_norm")).origin.notes == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"center_writing_weights": True, "fold_ln": False, "dtype": "float32"}, None),
        ({"checkpoint_index": 3}, "index=3"),
    ],
)
def test_a_way_of_loading_the_model_that_is_not_followed_is_noted(tmp_path, options, says):
    notes = read(write(tmp_path / "sae", metadata={"model_from_pretrained_kwargs": options})).origin.notes
    assert [says in note for note in notes] == ([True] if says else [])


def test_what_the_config_says_is_read(tmp_path):
    metadata = {
        "context_size": 77,
        "prepend_bos": True,
        "training_architecture": "batchtopk",
        "model_from_pretrained_kwargs": {"center_writing_weights": True},
        "hook_name": "blocks.11.hook_resid_post",
    }
    config = read(write(tmp_path, "jumprelu", metadata=metadata)).config
    assert (config.context_size, config.prepend_bos, config.center_writing_weights) == (77, True, True)
    assert (config.kind, config.architecture, config.layer) == ("batchtopk", "jumprelu", 11)
    bare = read(write(tmp_path, metadata={"context_size": None, "model_name": None})).config
    assert (bare.context_size, bare.model_name, bare.prepend_bos, bare.center_writing_weights) == (
        None,
        None,
        False,
        False,
    )


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    write(tmp_path / "root").joinpath("inner").mkdir()
    write(tmp_path / "root" / "inner")
    write(tmp_path / "pinned")
    return Workspace(roots=(tmp_path / "root",), pinned=(tmp_path / "pinned",))


def test_a_folder_opens_by_its_id_and_keeps_it(tmp_path, workspace):
    for text in (str(tmp_path / "root" / "inner"), "inner", " inner/ "):
        dictionary = open_dictionary(f"folder/{text}", workspace)
        assert dictionary.id == f"folder/{(tmp_path / 'root' / 'inner').resolve()}"
        assert dictionary.title == "inner"
    assert not open_dictionary("folder/inner", workspace, fold_decoder_norms=False).folded


def test_pinned_folders_are_listed_first_and_open(tmp_path, workspace):
    first = entries(workspace)[0]
    assert (first.id, first.title) == (f"folder/{(tmp_path / 'pinned').resolve()}", "pinned")
    assert open_dictionary(first.id, workspace).d_sae == D_SAE


@pytest.mark.parametrize("id", ["", "nowhere", "nowhere/x", "folder", "folder/", "demo/no-such-thing", "/etc"])
def test_an_unknown_id_is_refused_with_those_that_exist(workspace, id):
    with pytest.raises(UnknownNameError, match=r"There is no dictionary called .*(Did you mean|Choose one of|None is)"):
        open_dictionary(id, workspace)


def test_a_file_that_links_outside_is_refused_unless_pinned(tmp_path, workspace):
    outside = write(tmp_path / "outside") / "sae_weights.safetensors"
    for folder in (tmp_path / "root" / "inner", tmp_path / "pinned"):
        (folder / "sae_weights.safetensors").unlink()
        (folder / "sae_weights.safetensors").symlink_to(outside)
    with pytest.raises(PathNotAllowedError, match=r"not a file that this app may read.*Expected.*--root FOLDER"):
        open_dictionary("folder/inner", workspace)
    assert open_dictionary(f"folder/{tmp_path / 'pinned'}", workspace).d_sae == D_SAE
