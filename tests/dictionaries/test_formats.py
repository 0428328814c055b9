"""Dictionaries of other libraries compute here what they compute there, and their format is found out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from core.dictionaries.config import check_said
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.formats import Place, choose, formats
from core.dictionaries.hooks import hook_of
from core.dictionaries.sources import entries, open_dictionary
from core.dictionaries.sources.folder import find, read_folder
from core.errors import BadDictionaryError, DoesNotFitError, PathNotAllowedError, UnknownNameError
from core.files.tensors import read_tensors
from core.workspace import Workspace, parse_arguments
from tests.doubles import saved
from tests.doubles.foreign import CASES, Case, draw, trainer, write_arrays
from tests.doubles.foreign_maths import D_IN, D_SAE

X = 2 * np.random.default_rng(1).normal(size=(40, D_IN)).astype(np.float32)


def read(path: Path, *, fold: bool = True) -> Dictionary:
    return read_folder(path, id="folder/x", title="x", fold_decoder_norms=fold)


def open_folder(folder: Path, id: str) -> Dictionary:
    return open_dictionary(f"folder/{id}", Workspace(roots=(folder,)), fold_decoder_norms=False)


def changed(case: Case, tmp_path: Path, config: str, **changes: object) -> Path:
    """Write a case and change fields of one of its configs."""
    path = case.write(tmp_path)
    said = json.loads((tmp_path / config).read_text())
    (tmp_path / config).write_text(json.dumps(said | changes))
    return path


@pytest.mark.parametrize("name", CASES)
def test_acts_and_reconstructions_are_those_of_the_library_that_saved_it(tmp_path, name):
    case = CASES[name]
    path, (acts, x_hat) = case.write(tmp_path), case.reference(X)
    dictionary = read(path, fold=case.folds)
    assert (acts != 0).any()
    assert (acts == 0).any()
    np.testing.assert_allclose(dictionary.encode(X), acts, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dictionary.reconstruct(X), x_hat, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_format_hook_and_model_are_found_and_said(tmp_path, name):
    case = CASES[name]
    dictionary = read(case.write(tmp_path))
    config = dictionary.config
    assert (dictionary.origin.format, config.architecture) == (case.format, case.architecture)
    assert (config.hook_name, config.hook_name_out, config.model_name) == (
        case.hook_name,
        case.hook_name_out,
        case.model_name,
    )
    assert config.kind == (case.kind or case.architecture)
    assert (config.reshape_activations == "hook_z") == case.hook_name.endswith("hook_z")
    assert any("do not say" in note for note in dictionary.origin.notes) == (not case.hook_name)


@pytest.mark.parametrize("name", CASES)
def test_no_other_format_claims_a_dictionary_of_its_own(tmp_path, name):
    _, others = choose(Place(CASES[name].write(tmp_path)))
    assert others == ()


def test_a_folder_of_sae_lens_is_read_as_one(tmp_path):
    dictionary = read(saved.write(tmp_path))
    assert (dictionary.origin.format, dictionary.origin.inferred, dictionary.origin.notes) == ("sae-lens", (), ())


def test_every_format_has_a_case():
    with_tests_of_their_own = {"sae-lens", "cross-layer", "crosscoder"}
    assert {case.format for case in CASES.values()} | with_tests_of_their_own == formats().keys()


def test_the_more_specific_of_two_formats_wins_and_the_other_is_named(tmp_path):
    saved.write(tmp_path)
    write_arrays(tmp_path / "sae.safetensors", CASES["sparsify"].arrays)
    dictionary = read(tmp_path)
    assert dictionary.origin.format == "sae-lens"
    assert dictionary.origin.inferred == ("format sae-lens, though sparsify would fit as well",)


def test_the_format_can_be_set_in_the_id_and_is_kept_there(tmp_path):
    case = CASES["sparsify"]
    path = case.write(tmp_path)
    saved.write(path)  # overwrites cfg.json: both weights lie there now
    (path / "cfg.json").write_text(json.dumps(case.configs["layers.5/cfg.json"]))
    id = f"folder/{path.resolve()}#format=sparsify"
    for text in (str(path), f"{path}#format=sparsify", "layers.5#format=sparsify"):
        assert open_folder(tmp_path, text).origin.format == "sparsify"
    assert open_folder(tmp_path, "layers.5#format=sparsify").id == id
    with pytest.raises(BadDictionaryError):
        open_folder(tmp_path, "layers.5#format=sae-lens")
    with pytest.raises(UnknownNameError, match=r"no format called 'sparsefy'. Did you mean sparsify"):
        open_folder(tmp_path, "layers.5#format=sparsefy")


def test_what_the_files_do_not_say_can_be_set_in_the_id(tmp_path):
    CASES["one .npz"].write(tmp_path)
    silent = open_folder(tmp_path, "mine.npz")
    with pytest.raises(DoesNotFitError, match=r"do not say model_name and hook_name.*PATH#model_name=...&hook_name"):
        check_said(silent.config, silent.title)
    (note,) = silent.origin.notes
    assert note.endswith("such as #model_name=gpt2-small&hook_name=blocks.8.hook_resid_pre")
    told = open_folder(tmp_path, "mine.npz#hook_name=blocks.0.hook_mlp_out&model_name=gpt2-small&context_size=64")
    check_said(told.config, told.title)
    config = told.config
    assert (config.hook_name, config.model_name, config.context_size) == ("blocks.0.hook_mlp_out", "gpt2-small", 64)
    assert told.origin.notes == ()
    assert told.origin.inferred[-1].startswith("set by hand: hook_name blocks.0.hook_mlp_out")
    path = (tmp_path / "mine.npz").resolve()
    assert told.id == f"folder/{path}#model_name=gpt2-small&hook_name=blocks.0.hook_mlp_out&context_size=64"
    assert open_folder(tmp_path, told.id.removeprefix("folder/")).id == told.id
    assert told.sha256 != silent.sha256


def test_nothing_is_concluded_about_an_npz_file_of_ones_own(tmp_path):
    config = read(CASES["one .npz"].write(tmp_path)).config
    assert (config.model_name, config.hook_name, config.context_size, config.prepend_bos) == (None, "", None, False)


def test_ids_with_settings_and_files_pass_through_the_app(tmp_path):
    from ui.studies import opened

    CASES["plain .pt"].write(tmp_path / "blobs")
    (tmp_path / "link.pt").symlink_to(tmp_path / "blobs" / "mine.pt")
    text = f"{tmp_path}/link.pt#format=plain&k=3"
    assert opened.full_id(text) == opened.full_id(f"folder/{text}") == f"folder/{text}"
    (pinned,) = parse_arguments(["--sae", str(tmp_path / "link.pt")]).pinned
    assert pinned == tmp_path.resolve() / "link.pt"


def test_k_can_be_set_for_topk_dictionaries_only(tmp_path):
    path = CASES["sparsify"].write(tmp_path)
    dictionary = open_folder(tmp_path, f"{path}#k=1")
    assert set((dictionary.encode(X) > 0).sum(axis=1)) == {1}
    CASES["one .npz"].write(tmp_path)
    with pytest.raises(BadDictionaryError, match=r"jumprelu dictionary, which has no k to be set to 4. Expected"):
        open_folder(tmp_path, "mine.npz#k=4")


@pytest.mark.parametrize(
    "setting", ["context_size=x", "context_size=0", "prepend_bos=perhaps", "hook_name=<b>", "k=99"]
)
def test_a_setting_of_a_wrong_kind_is_named(tmp_path, setting):
    path = CASES["sparsify"].write(tmp_path)
    with pytest.raises(BadDictionaryError, match=f"has {setting.split('=')[0]} .*expected"):
        open_folder(tmp_path, f"{path}#{setting}")


def test_an_unknown_setting_is_named_and_a_hash_in_a_path_is_no_setting(tmp_path):
    CASES["plain .pt"].write(tmp_path / "a#b")
    with pytest.raises(UnknownNameError, match=r"no setting called 'hook'. Did you mean hook_name"):
        open_folder(tmp_path, "a#b/mine.pt#hook=x")
    assert open_folder(tmp_path, "a#b/mine.pt").title == "mine.pt"
    assert open_folder(tmp_path, "a#b/mine.pt#format=plain").origin.format == "plain"


def test_files_are_named_like_folders_and_keep_to_the_same_rules(tmp_path):
    for folder in ("root", "outside"):
        CASES["one .npz"].write(tmp_path / folder)
    (tmp_path / "root" / "link.npz").symlink_to(tmp_path / "outside" / "mine.npz")
    (tmp_path / "root" / "inward.npz").symlink_to(tmp_path / "root" / "mine.npz")
    assert open_folder(tmp_path / "root", "inward.npz").title == "inward.npz"
    with pytest.raises(PathNotAllowedError, match=r"There is nothing at 'none\.npz'. Expected a folder or file"):
        open_folder(tmp_path / "root", "none.npz")
    for text in ("link.npz", "../outside/mine.npz", str(tmp_path / "outside" / "mine.npz")):
        with pytest.raises(PathNotAllowedError, match=r"is not a folder or file that .*Expected .* below .*--root"):
            open_folder(tmp_path / "root", text)


def test_a_file_named_on_the_command_line_may_link_where_it_likes(tmp_path):
    CASES["checkpoint"].write(tmp_path / "blobs")
    file = tmp_path / "ae.pt"
    file.symlink_to(tmp_path / "blobs/run/checkpoints/ae_100.pt")
    (tmp_path / "config.json").symlink_to(tmp_path / "blobs/run/config.json")
    workspace = Workspace(roots=(tmp_path / "none",), pinned=(file,))
    (entry,) = (entry for entry in entries(workspace) if entry.id.startswith("folder/"))
    assert (entry.id, entry.title) == (f"folder/{tmp_path.resolve() / 'ae.pt'}", "ae.pt")
    assert open_dictionary(entry.id, workspace).config.model_name == "pythia-70m-deduped"


def test_a_config_one_folder_up_is_read_only_where_that_is_allowed(tmp_path):
    path = CASES["sparsify"].write(tmp_path)
    assert open_folder(tmp_path, "layers.5").config.model_name == "pythia-70m"
    assert open_folder(path, ".").config.model_name is None


def test_the_stamp_changes_with_weights_and_config(tmp_path):
    path = CASES["sparsify"].write(tmp_path)
    workspace = Workspace(roots=(tmp_path,))
    stamps = [find(str(path), workspace).stamp]
    for name in ("cfg.json", "sae.safetensors", "../config.json"):
        file = path / name
        os.utime(file, ns=(1, 10**9 + len(stamps)))
        stamps.append(find(str(path), workspace).stamp)
    assert len(set(stamps)) == 4


@pytest.mark.parametrize("name", ["AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "MatryoshkaBatchTopKSAE"])
def test_the_class_is_found_from_the_tensors_where_no_config_names_it(tmp_path, name):
    case = CASES[name]
    case.write(tmp_path)
    (tmp_path / "config.json").unlink()
    dictionary = read(tmp_path)
    assert dictionary.origin.inferred[0] == f"class {name} from the names of its tensors"
    assert (dictionary.config.architecture, dictionary.config.hook_name) == (case.architecture, "")


def test_classes_that_their_tensors_do_not_tell_apart_need_the_config(tmp_path):
    CASES["BatchTopKSAE"].write(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(BadDictionaryError, match=r"fit AutoEncoderTopK and BatchTopKSAE. Expected a config.json"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("case", "config", "changes", "message"),
    [
        (
            "AutoEncoder",
            "config.json",
            trainer("IdentityDict"),
            "holds a IdentityDict, for which sae-lens",
        ),
        ("AutoEncoder", "config.json", trainer("AutoEncoder", dict_size=13), r"expected \(8, 13\) from d_in 8"),
        ("GatedAutoEncoder", "config.json", {"buffer": {"io": "in_and_out"}}, "gated dictionary trained from a mod"),
        ("sparsify", "layers.5/cfg.json", {"activation": "groupmax"}, "activation 'groupmax'; expected one of topk"),
        ("sparsify", "layers.5/cfg.json", {"embed_skip": True}, "embed_skip True; expected false: sae-lens can run no"),
        ("sparsify", "layers.5/cfg.json", {"k": 0}, "has k 0; expected a whole number from 1 to 12"),
    ],
)
def test_what_sae_lens_has_no_architecture_for_is_refused_with_the_reason(tmp_path, case, config, changes, message):
    with pytest.raises(BadDictionaryError, match=message):
        read(changed(CASES[case], tmp_path, config, **changes))


def test_an_openai_activation_that_sae_lens_lacks_is_refused(tmp_path):
    case = CASES["OpenAI ReLU"]
    for extra in (
        {"activation": "Identity"},
        {"activation": "TopK", "activation_state_dict": {"postact_fn": "Identity"}},
    ):
        write_arrays(tmp_path / "7.pt", case.arrays, extra)
        with pytest.raises(BadDictionaryError, match=r"has activation .*expected ReLU, or TopK with a ReLU after it"):
            read(tmp_path / "7.pt")


def test_a_threshold_that_was_never_estimated_is_noted(tmp_path):
    case = CASES["BatchTopKSAE"]
    case.write(tmp_path)
    write_arrays(tmp_path / "ae.pt", case.arrays | {"threshold": np.float32(-1)})
    (note,) = read(tmp_path).origin.notes
    assert note.startswith("Its threshold is negative, so it was never estimated")


def test_transcoders_read_what_enters_the_mlp_behind_the_norms_weights(tmp_path):
    found = read(CASES["sparsify transcoder"].write(tmp_path))
    assert (found.config.hook_name, found.origin.notes) == ("blocks.5.mlp.hook_in", ())


def test_a_folder_whose_only_dictionary_is_a_single_file_says_so(tmp_path):
    CASES["plain .pt"].write(tmp_path)
    with pytest.raises(BadDictionaryError, match=r"no dictionary in a known format .*It holds mine.pt: name that file"):
        read(tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions_in_a_pt_file_open_as_float32(tmp_path, dtype):
    import torch

    arrays = draw(1, W_enc=(D_IN, D_SAE), W_dec=(D_SAE, D_IN), b_enc=(D_SAE,), b_dec=(D_IN,))
    tensors = {name: torch.from_numpy(array).to(getattr(torch, dtype)) for name, array in arrays.items()}
    torch.save({f"_orig_mod.{name}": torch.nn.Parameter(tensor) for name, tensor in tensors.items()}, tmp_path / "a.pt")
    dictionary = read(tmp_path / "a.pt", fold=False)
    np.testing.assert_array_equal(dictionary.W_enc, tensors["W_enc"].float().numpy())


@pytest.mark.parametrize(
    ("name", "side", "hook"),
    [
        ("blocks.3.hook_resid_pre", "out", "blocks.3.hook_resid_pre"),
        ("blocks.3.attn.hook_z", "in", "blocks.3.attn.hook_z"),
        ("hook_embed", "out", "hook_embed"),
        ("resid_post_layer_11", "out", "blocks.11.hook_resid_post"),
        ("resid_pre", "out", "blocks.2.hook_resid_pre"),
        ("mlp_layer_4", "out", "blocks.4.hook_mlp_out"),
        ("attn_out_layer_4", "out", "blocks.4.hook_attn_out"),
        ("layers.3", "out", "blocks.3.hook_resid_post"),
        ("layers_3", "in", "blocks.3.hook_resid_pre"),
        ("transformer.h.3.attn.c_proj", "in", "blocks.3.attn.hook_z"),
        ("model.layers.3.self_attn", "out", "blocks.3.hook_attn_out"),
        ("model.layers.3.mlp", "in", "blocks.3.mlp.hook_in"),
        ("model.embed_tokens", "out", "hook_embed"),
        ("layers.3.mlp.gate_proj", "out", None),
        ("model.layers.3.output", "in", "blocks.3.hook_resid_post"),
        ("model.layers.3.input", "out", "blocks.3.hook_resid_pre"),
        ("model.layers.3.self_attn.o_proj.input", "out", "blocks.3.attn.hook_z"),
        ("model.layers.3.mlp.down_proj", "in", "blocks.3.mlp.hook_post"),
        ("transformer.h.3.ln_2.input", "out", "blocks.3.hook_resid_mid"),
        ("blocks.3.hook_in", "out", "blocks.3.hook_resid_pre"),
        ("blocks.3.hook_out", "out", "blocks.3.hook_resid_post"),
        ("blocks.3.attn.hook_out", "out", "blocks.3.hook_attn_out"),
        ("blocks.3.attn.o.hook_in", "out", "blocks.3.attn.hook_z"),
        ("blocks.3.mlp.hook_in", "out", "blocks.3.mlp.hook_in"),
        ("blocks.3.mlp.hook_out", "out", "blocks.3.hook_mlp_out"),
        ("blocks.3.hook_mlp_in", "out", "blocks.3.hook_resid_mid"),
        ("my_favourite_place", "out", None),
        ("", "out", None),
    ],
)
def test_a_places_name_becomes_a_hook_or_nothing(name, side, hook):
    assert hook_of(name, side, layer=2 if name in ("resid_pre", "") else None) == hook


def test_what_a_module_gives_is_not_what_a_second_norm_makes_of_it():
    assert hook_of("layers.3.mlp", model_name="gemma-2-2b") == "blocks.3.mlp.hook_out"
    assert hook_of("layers.3", model_name="gemma-2-2b") == "blocks.3.hook_resid_post"
    assert hook_of("blocks.3.mlp.hook_out", model_name="gemma-3-1b-pt") == "blocks.3.mlp.hook_out"
    assert hook_of("layers.3.self_attn", model_name="gemma-3-1b-pt") == "blocks.3.attn.hook_out"
    after = "layers.3.post_attention_layernorm.output"
    assert hook_of(after, model_name="gemma-2-2b") == "blocks.3.hook_attn_out"
    assert hook_of(after, model_name="Llama-3-8B") == "blocks.3.ln2.hook_out"


@pytest.mark.parametrize(
    ("hook", "more", "expected"),
    [
        ("model.layers.2", {"model_class_name": "AutoModelForCausalLM"}, "blocks.2.hook_resid_post"),
        ("gpt_neox.layers.2.mlp", {}, "blocks.2.hook_mlp_out"),
        ("blocks.2.hook_out", {}, "blocks.2.hook_resid_post"),
        ("blocks.2.hook_mlp_in", {"hf_hook_name": "model.layers.2.mlp.input"}, "blocks.2.mlp.hook_in"),
        ("my.own.place", {}, "my.own.place"),
    ],
)
def test_a_config_of_sae_lens_may_name_its_hook_in_other_words(tmp_path, hook, more, expected):
    dictionary = read(saved.write(tmp_path, metadata={"hook_name": hook} | more))
    assert dictionary.config.hook_name == expected
    assert (dictionary.config.layer is None) == (hook == "my.own.place")
    assert not any("after the norm's weights" in note for note in dictionary.origin.notes)


def test_a_hook_that_is_named_by_transformer_lens_itself_is_what_was_read(tmp_path):
    assert read(saved.write(tmp_path, metadata={"hook_name": "blocks.0.ln2.hook_normalized"})).origin.notes == ()


def test_every_bfloat16_number_is_read_as_torch_reads_it(tmp_path):
    import torch
    from safetensors.torch import save_file

    bits = torch.arange(2**16, dtype=torch.int32).to(torch.uint16)  # every sign, infinity, NaN and tiny number
    tensors = {"all": bits.view(torch.bfloat16).reshape(256, 256), "one": torch.tensor(1.5, dtype=torch.bfloat16)}
    save_file({"before": torch.ones(3)} | tensors | {"none": torch.zeros(0, 4, dtype=torch.bfloat16)}, tmp_path / "x")
    found = read_tensors(tmp_path / "x")
    for name, tensor in tensors.items():
        expected = tensor.float().numpy()
        np.testing.assert_array_equal(found[name].view(np.int32), expected.view(np.int32))
    assert found["none"].shape == (0, 4)
    assert found["all"].flags.writeable
