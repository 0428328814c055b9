"""What the unembedding and the features' directions become under each setting."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import DoesNotFitError
from core.logit_weights.unembedding import LogitSettings, residual_directions, source_key, unembedding
from tests.doubles.planted import planted_dictionary, planted_model

PLAIN = LogitSettings(fold_ln=False, center_d_model=False, center="none")
V = 40


@pytest.fixture
def model(tmp_path):
    return planted_model(tmp_path, d_vocab=V)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("center", ["mean", "none"])
def test_the_rows_are_what_transformer_lens_makes_of_w_u(model, fold, center):
    hooked = model.hooked
    hooked.load_and_process_state_dict(
        hooked.state_dict(),
        fold_ln=fold,
        center_unembed=center == "mean",
        center_writing_weights=False,
        fold_value_biases=False,
    )
    # TransformerLens centres over d_model when it folds, never else.
    found = unembedding(model, LogitSettings(fold_ln=fold, center_d_model=fold, center=center))
    assert found.rows == pytest.approx(hooked.W_U.detach().numpy().T, abs=1e-6)
    assert found.rows.dtype == np.float32
    assert found.rows.flags.c_contiguous
    assert found.tokens.tolist() == list(range(V))


def test_each_setting_does_one_thing(model):
    W_U, weight = model.W_U.T, model.ln_final[0]
    assert (unembedding(model, PLAIN).rows == W_U).all()
    assert unembedding(model, replace(PLAIN, fold_ln=True)).rows == pytest.approx(W_U * weight)
    centred = unembedding(model, replace(PLAIN, center_d_model=True)).rows
    assert centred == pytest.approx(W_U - W_U.mean(axis=1, keepdims=True), abs=1e-6)
    over_tokens = unembedding(model, replace(PLAIN, center="mean")).rows
    assert over_tokens == pytest.approx(W_U - W_U.mean(axis=0), abs=1e-6)
    assert (unembedding(model, replace(PLAIN, center="median")).rows == W_U).all()
    columns = unembedding(model, replace(PLAIN, center="mean", unit_columns=True)).rows
    assert columns == pytest.approx(unit(over_tokens), abs=1e-6)


def test_a_model_with_rms_norm_keeps_its_mean_over_d_model(model):
    model.config["normalization_type"] = "RMS"
    assert (unembedding(model, replace(PLAIN, center_d_model=True)).rows == model.W_U.T).all()


def test_a_norm_folded_away_before_has_no_weight_to_fold(model):
    tensors = load_file(model.folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "ln_final" not in k}, model.folder / "model.safetensors")
    assert (unembedding(model, replace(PLAIN, fold_ln=True)).rows == model.W_U.T).all()


def test_of_token_columns_at_length_1_a_damaged_one_is_zero(model):
    tensors = load_file(model.folder / "model.safetensors")
    tensors["unembed.W_U"][0, 3] = np.nan
    save_file(tensors, model.folder / "model.safetensors")
    rows = unembedding(model, replace(PLAIN, unit_columns=True)).rows
    assert not rows[3].any()
    assert np.linalg.norm(np.delete(rows, 3, axis=0), axis=1) == pytest.approx(np.ones(V - 1))


def test_ids_without_text_are_left_out_and_the_others_keep_their_ids(tmp_path):
    model = planted_model(tmp_path, d_vocab=260)  # the tokenizer knows 257
    found = unembedding(model, replace(PLAIN, skip_unused=True, center="mean"))
    assert found.tokens.tolist() == list(range(257))
    assert found.rows == pytest.approx(model.W_U.T[:257] - model.W_U.T[:257].mean(axis=0), abs=1e-6)
    assert len(unembedding(model, PLAIN).tokens) == 260


def test_the_tokenizer_counts_where_it_decides_which_ids_are_left_out(model):
    with_tokenizer = source_key(model, replace(PLAIN, skip_unused=True))
    assert source_key(model, PLAIN) == model.sha256
    assert model.tokenizer_sha256 in with_tokenizer
    assert model.sha256 in with_tokenizer


def test_the_settings_are_described_in_words(model):
    assert LogitSettings().describe(model) == "final norm folded, centred over d_model, centred over the vocabulary"
    every = LogitSettings(center="median", unit_columns=True, unit_rows=True, skip_unused=True).describe(model)
    assert every.endswith(
        "median of each feature at 0, token columns of length 1, feature rows of length 1, ids without text left out"
    )


def test_no_caption_or_download_claims_what_a_model_does_not_allow(model):
    tensors = load_file(model.folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "ln_final" not in k}, model.folder / "model.safetensors")
    model.config["normalization_type"] = "RMS"
    assert LogitSettings().describe(model) == "final norm not folded, centred over the vocabulary"
    done = LogitSettings().done_to(model)
    assert (done.fold_ln, done.center_d_model, done.center) == (False, False, "mean")


def test_a_model_without_an_unembedding_says_so_and_keeps_its_embeddings(model):
    tensors = load_file(model.folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if "unembed" not in k}, model.folder / "model.safetensors")
    assert model.W_E.shape == (V, 8)
    with pytest.raises(DoesNotFitError, match=r"planted has no unembedding: expected unembed.W_U .* Export the whole"):
        unembedding(model, PLAIN)


@pytest.mark.parametrize("point", ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out"])
def test_features_of_the_residual_stream_write_their_decoder_rows(model, point):
    dictionary = planted_dictionary(hook_name=f"blocks.1.{point}")
    assert (residual_directions(dictionary, model, PLAIN) == dictionary.W_dec).all()


def test_a_transcoder_counts_by_the_hook_it_writes_to(model):
    dictionary = planted_dictionary("transcoder", hook_name="blocks.0.ln2.hook_normalized")
    assert (residual_directions(dictionary, model, PLAIN) == dictionary.W_dec).all()


@pytest.mark.parametrize("centred", [False, True])
def test_features_inside_a_block_are_carried_through_its_output_weights(tmp_path, centred):
    model = planted_model(tmp_path, d_vocab=V, centred=centred)
    tensors = load_file(model.folder / "model.safetensors")
    W_out, W_O = tensors["blocks.1.mlp.W_out"], tensors["blocks.1.attn.W_O"]
    if centred:
        W_out, W_O = (matrix - matrix.mean(axis=-1, keepdims=True) for matrix in (W_out, W_O))
    neurons = planted_dictionary(hook_name="blocks.1.mlp.hook_post", d_in=16)
    assert residual_directions(neurons, model, PLAIN) == pytest.approx(neurons.W_dec @ W_out, abs=1e-6)
    heads = planted_dictionary(hook_name="blocks.1.attn.hook_z", d_in=8)
    by_hand = np.einsum("fhd,hdm->fm", heads.W_dec.reshape(-1, 2, 4), W_O)
    assert residual_directions(heads, model, PLAIN) == pytest.approx(by_hand, abs=1e-6)


def test_rows_of_length_one_leave_zero_rows_as_they_are(model):
    W_dec = np.random.default_rng(0).normal(size=(12, 8))
    W_dec[4] = 0
    dictionary = planted_dictionary(tensors={"W_dec": W_dec}, fold_decoder_norms=False)
    lengths = np.linalg.norm(residual_directions(dictionary, model, replace(PLAIN, unit_rows=True)), axis=1)
    assert lengths == pytest.approx((np.arange(12) != 4).astype(float))


@pytest.mark.parametrize("hook", ["blocks.0.mlp.hook_pre", "blocks.0.attn.hook_q", "ln_final.hook_normalized"])
def test_a_hook_from_which_nothing_goes_to_the_stream_directly_is_refused(model, hook):
    with pytest.raises(DoesNotFitError, match=rf"write to '{hook}', which no weight .* Expected .*: choose"):
        residual_directions(planted_dictionary(hook_name=hook), model, PLAIN)


@pytest.mark.parametrize(("hook", "expected"), [("hook_resid_pre", 8), ("mlp.hook_post", 16), ("attn.hook_z", 8)])
def test_a_decoder_of_another_width_is_refused_with_both_numbers(model, hook, expected):
    dictionary = planted_dictionary(hook_name=f"blocks.0.{hook}", d_in=10)
    with pytest.raises(DoesNotFitError, match=rf"rows of width 10, but blocks.0.{hook} of planted has {expected}"):
        residual_directions(dictionary, model, PLAIN)


def test_a_layer_that_the_model_lacks_is_named(model):
    dictionary = planted_dictionary(hook_name="blocks.7.mlp.hook_post", d_in=16)
    with pytest.raises(DoesNotFitError, match=r"no 'blocks.7.mlp.W_out'. Expected .* layers 0 to 1; choose"):
        residual_directions(dictionary, model, PLAIN)


@pytest.mark.parametrize("head", [0, 1])
def test_a_dictionary_of_one_head_writes_through_that_heads_part_of_W_O(tmp_path, head):
    model = planted_model(tmp_path)
    one = planted_dictionary(hook_name="blocks.1.attn.hook_z", d_in=4, metadata={"hook_head_index": head})
    expected = one.W_dec @ model.tensor("blocks.1.attn.W_O")[head]
    np.testing.assert_allclose(residual_directions(one, model, LogitSettings()), expected, atol=1e-5)


@pytest.mark.parametrize(("head", "d_in"), [(2, 4), (0, 8), (0, 2)])
def test_a_head_that_the_model_does_not_have_is_named(tmp_path, head, d_in):
    other = planted_dictionary(hook_name="blocks.1.attn.hook_z", d_in=d_in, metadata={"hook_head_index": head})
    with pytest.raises(DoesNotFitError, match=rf"reads head {head} of .*hook_head_index.*has 2 heads of width 4"):
        residual_directions(other, planted_model(tmp_path), LogitSettings())
