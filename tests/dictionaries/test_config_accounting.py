"""Every key of a config is used, known to change nothing, or named on the page."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.dictionaries.accounting import is_harmless
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from core.errors import BadDictionaryError
from core.notebook import load_dictionary
from tests.doubles import saved
from tests.doubles.foreign import CASES, GROUPS, THRESHOLDS, TRANSPOSED, draw, trainer, write_arrays
from tests.doubles.foreign_maths import D_SAE

OF_TRAINERS = {
    "1L-Sparse-Autoencoder": "seed batch_size buffer_mult lr num_tokens l1_coeff beta1 beta2 dict_mult "
    "model_batch_size buffer_size buffer_batches enc_dtype remove_rare_dir device",
    "BatchTopK": "seed batch_size lr num_tokens l1_coeff beta1 beta2 max_grad_norm dtype layer site device "
    "model_batch_size num_batches_in_buffer dataset_path wandb_project perf_log_freq checkpoint_freq "
    "n_batches_to_dead top_k_aux aux_penalty bandwidth name",
    "dictionary_learning": "trainer_class lr l1_penalty warmup_steps sparsity_warmup_steps steps seed device layer "
    "wandb_name auxk_alpha decay_start threshold_beta threshold_start_step group_fractions group_weights "
    "top_k_aux resample_steps d_submodule n_ctxs refresh_batch_size out_batch_size sparsity_penalty target_l0",
    "sae-lens": "dataset_path sae_lens_version sae_lens_training_version neuronpedia_id l0 num_dead_features "
    "hook_layer hook_point_layer lr l1_coefficient lp_norm lr_scheduler_name train_batch_size_tokens "
    "training_tokens finetuning_tokens dead_feature_window feature_sampling_window dead_feature_threshold "
    "n_checkpoints checkpoint_path log_to_wandb wandb_project wandb_entity use_ghost_grads mse_loss_normalization "
    "normalize_sae_decoder decoder_heuristic_init b_dec_init_method expansion_factor dataset_trust_remote_code "
    "store_batch_size_prompts n_batches_in_buffer use_cached_activations is_dataset_tokenized streaming noise "
    "jumprelu_init_threshold jumprelu_bandwidth autocast compile_sae init_encoder_as_decoder_transpose",
    "sparsify": "expansion_factor normalize_decoder multi_topk batch_size grad_acc_steps lr lr_warmup_steps auxk_alpha "
    "dead_feature_threshold save_every save_dir log_to_wandb run_name wandb_log_frequency optimizer seed",
}
CHANGES = (
    "activation_fn activation normalize_activations input_unit_norm rescale_acts apply_b_dec threshold scaling_factor "
    "batch_topk subtract_mean temperature gate_scale hook_head_index seqpos_slice sae_type unheard_of std"
)


@pytest.mark.parametrize("trainer", OF_TRAINERS)
def test_keys_of_training_and_bookkeeping_are_known_to_be_harmless(trainer):
    assert [name for name in OF_TRAINERS[trainer].split() if not is_harmless(name)] == []


@pytest.mark.parametrize("name", CHANGES.split())
def test_keys_that_may_change_what_is_computed_are_never_harmless(name):
    assert not is_harmless(name)


@pytest.mark.parametrize(
    ("case", "config", "group"),
    [
        ("AutoEncoder", "config.json", None),
        ("AutoEncoder", "config.json", "trainer"),
        ("AutoEncoder", "config.json", "buffer"),
        ("sparsify", "layers.5/cfg.json", None),
        ("sparsify", "config.json", None),
        ("Gemma Scope 2", "layer_3_width_16k_l0_small/config.json", None),
        ("hook_z", "gpt2-small_L1_Hcat_z_cfg.json", None),
    ],
)
def test_every_reader_names_a_key_that_it_does_not_know(tmp_path, case, config, group):
    path, said = CASES[case].write(tmp_path), json.loads(json.dumps(CASES[case].configs[config]))
    before = load_dictionary(path).notes
    (said[group] if group else said)["gate_scale"] = 2.5
    (tmp_path / config).write_text(json.dumps(said))
    (note,) = set(load_dictionary(path).notes) - set(before)
    assert "also says gate_scale=2.5, which this app does not use" in note


def sae_lens(tmp_path, **options) -> Dictionary:
    return read_folder(saved.write(tmp_path / "sae", **options), id="folder/x", title="x")


def test_a_sae_lens_folder_names_keys_at_both_levels(tmp_path):
    (note,) = sae_lens(tmp_path, gate_scale=2, metadata={"input_scale": 3, "l0": 4}).notes
    assert note.startswith("cfg.json also says gate_scale=2, input_scale=3, which this app does not use")


def test_positions_and_tokens_that_were_left_out_of_training_are_noted(tmp_path):
    notes = sae_lens(tmp_path, metadata={"seqpos_slice": [1, None], "exclude_special_tokens": True}).notes
    assert ["seqpos_slice [1, None]" in notes[0], "without special tokens" in notes[1], len(notes)] == [True, True, 2]
    for nothing in ([None], None, [None, None, None]):
        assert sae_lens(tmp_path, metadata={"seqpos_slice": nothing, "exclude_special_tokens": False}).notes == ()
    (note,) = sae_lens(tmp_path, metadata={"exclude_special_tokens": [3, 4]}).notes
    assert "without the tokens [3, 4]" in note


@pytest.mark.parametrize(("key", "odd"), [("seqpos_slice", "x"), ("exclude_special_tokens", 5)])
def test_odd_values_of_these_are_named(tmp_path, key, odd):
    with pytest.raises(BadDictionaryError, match=f"has {key} "):
        sae_lens(tmp_path, metadata={key: odd})


def test_tokens_left_out_by_dictionary_learning_is_noted(tmp_path):
    case = CASES["AutoEncoder"]
    case.write(tmp_path)
    said = trainer("AutoEncoder")
    said["buffer"] |= {"remove_bos": True, "max_activation_norm_multiple": 10}
    (tmp_path / "config.json").write_text(json.dumps(said))
    first, long = load_dictionary(tmp_path).notes
    assert "without the first token of each text (remove_bos)" in first
    assert "over 10 times as long as the median" in long


def test_matryoshka_widths_are_kept_from_both_libraries(tmp_path):
    CASES["MatryoshkaBatchTopKSAE"].write(tmp_path)
    widths = tuple(np.cumsum(GROUPS["group_sizes"]))
    assert load_dictionary(tmp_path).config.matryoshka_widths == widths == (4, D_SAE)
    details = {"training_architecture_details": {"matryoshka_widths": [3, 7]}}
    assert sae_lens(tmp_path, metadata=details).config.matryoshka_widths == (3, 7, D_SAE)
    with pytest.raises(BadDictionaryError, match=r"has matryoshka_widths .*rising whole numbers"):
        sae_lens(tmp_path, metadata={"training_architecture_details": {"matryoshka_widths": [7, 3]}})


def old_folder(tmp_path, **more):
    said = {"d_in": 8, "d_sae": D_SAE, "dtype": "torch.float32", "model_name": "gpt2-small", "hook_point_layer": 0}
    said |= {"hook_point": "blocks.0.hook_resid_pre", "context_size": 128} | more
    save_file(draw(80, **TRANSPOSED), tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps(said))
    return tmp_path


@pytest.mark.parametrize("key", ["activation_fn", "activation_fn_str"])
@pytest.mark.parametrize("value", ["leaky_relu", "tanh-relu", "gelu", "topk-4", 7])
def test_an_old_activation_function_that_does_not_run_is_refused_by_name(tmp_path, key, value):
    with pytest.raises(BadDictionaryError, match=f"has activation_fn(_str)? {value!r}; expected relu, or topk"):
        load_dictionary(old_folder(tmp_path, **{key: value}))


@pytest.mark.parametrize("where", ["beside", "among the arguments"])
@pytest.mark.parametrize("key", ["activation_fn", "activation_fn_str"])
def test_an_old_topk_is_one_wherever_its_k_is(tmp_path, where, key):
    more = {"k": 3} if where == "beside" else {"activation_fn_kwargs": {"k": 3}}
    config = load_dictionary(old_folder(tmp_path, architecture="standard", **{key: "topk"}, **more)).config
    assert (config.architecture, config.k) == ("topk", 3)


def test_an_old_topk_without_k_asks_for_it_and_takes_it_from_behind_the_path(tmp_path):
    folder = old_folder(tmp_path, activation_fn_str="topk")
    with pytest.raises(BadDictionaryError, match="has activation_fn_str 'topk'; expected topk with activation_fn_kw"):
        load_dictionary(folder)
    assert load_dictionary(f"{folder}#k=3").config.k == 3


def test_an_old_relu_needs_no_word(tmp_path):
    dictionary = load_dictionary(old_folder(tmp_path, activation_fn_str="relu", lr=3e-4, seed=1, noise=0))
    assert (dictionary.config.architecture, dictionary.notes) == ("standard", ())


def test_a_new_config_with_an_old_activation_function_is_refused(tmp_path):
    with pytest.raises(BadDictionaryError, match="has activation_fn 'gelu'"):
        sae_lens(tmp_path, activation_fn="gelu")


def test_null_means_not_said_for_every_switch(tmp_path):
    names = ("apply_b_dec_to_input", "normalize_activations", "reshape_activations", "rescale_acts_by_decoder_norm")
    plain = sae_lens(tmp_path)
    x = np.random.default_rng(0).normal(size=(9, 8)).astype(np.float32)
    config = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    for name in names:
        (tmp_path / "sae" / "cfg.json").write_text(json.dumps(config | {name: None}))
        dictionary = load_dictionary(tmp_path / "sae")
        assert dictionary.config == plain.config
        np.testing.assert_array_equal(dictionary.reconstruct(x), plain.reconstruct(x))


def test_weights_of_sae_lens_lose_prefixes_and_are_turned(tmp_path):
    plain = sae_lens(tmp_path)
    weights = saved.numpy_weights()
    turned = {f"module._orig_mod.{name}": np.ascontiguousarray(array.T) for name, array in weights.items()}
    dictionary = sae_lens(tmp_path, weights=turned)
    np.testing.assert_array_equal(dictionary.W_enc, plain.W_enc)
    assert len(dictionary.inferred) == 3


def test_gemma_scope_2_refuses_what_is_no_jumprelu_of_one_place(tmp_path):
    case = CASES["Gemma Scope 2"]
    path = case.write(tmp_path)
    said = case.configs["layer_3_width_16k_l0_small/config.json"]
    for key, value in (("architecture", "topk"), ("type", "crosscoder")):
        (path / "config.json").write_text(json.dumps(said | {key: value}))
        with pytest.raises(BadDictionaryError, match=f"has {key} '{value}'; expected one of"):
            load_dictionary(path)


def test_a_layer_of_a_cross_layer_transcoder_sums_its_decoders_and_says_what_that_is_not(tmp_path):
    shapes = {"w_enc": (8, D_SAE), "w_dec": (D_SAE, 3, 8), "b_enc": (D_SAE,), "b_dec": (8,)}
    arrays = draw(90, **shapes) | {"threshold": THRESHOLDS}
    write_arrays(tmp_path / "params.safetensors", arrays)
    said = {"hf_hook_point_in": "model.layers.3.pre_feedforward_layernorm.output", "type": "clt"}
    (tmp_path / "config.json").write_text(json.dumps(said | {"architecture": "jump_relu"}))
    dictionary = load_dictionary(tmp_path, fold_decoder_norms=False)
    np.testing.assert_allclose(dictionary.W_dec, arrays["w_dec"].sum(axis=1), rtol=1e-6)
    assert not dictionary.config.reconstructs
    assert any("one layer of a cross-layer transcoder" in note for note in dictionary.notes)
