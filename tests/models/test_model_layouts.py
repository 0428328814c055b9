"""Models in Hugging Face's layout: own folders, the cache, tensors fetched in parts; and files that are odd."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import (
    BadDictionaryError,
    DoesNotFitError,
    HubDamagedError,
    HubError,
    HubNotFoundError,
    NotDownloadedError,
    UnknownNameError,
)
from core.models import downloads, names
from core.models.language_model import LanguageModel
from core.models.layouts import model_parts, read_parts
from core.models.search import find_model, opens_at_once
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace
from tests.doubles.hooked_transformer import hooked_transformer
from tests.doubles.hub_files import GPT2, use_hub, write_gpt2
from tests.doubles.standin_hub import Fault, StandIn


def header_of(entry: object) -> bytes:
    """A safetensors file with one entry and four bytes of data."""
    text = json.dumps({"wte.weight": entry}).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    return Workspace(cache=tmp_path / "app", models=())


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with StandIn({"gpt2": write_gpt2(tmp_path / "hub" / "gpt2")}) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "cache")
        yield hub


def stored(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("prefix", ["", "transformer."])
@pytest.mark.parametrize("shards", [1, 3])
def test_gpt2s_tensors_are_found_under_either_naming_in_one_file_or_several(tmp_path, prefix, shards):
    expected = stored(write_gpt2(tmp_path / "plain"))
    model = LanguageModel(write_gpt2(tmp_path / "gpt2", prefix=prefix, shards=shards))
    np.testing.assert_array_equal(model.W_E, expected["wte.weight"])
    np.testing.assert_array_equal(model.W_U, expected["wte.weight"].T)
    np.testing.assert_array_equal(model.W_pos, expected["wpe.weight"])
    np.testing.assert_array_equal(model.b_U, np.zeros(GPT2["vocab_size"], np.float32))
    np.testing.assert_array_equal(model.tensor("blocks.1.mlp.W_out"), expected["h.1.mlp.c_proj.weight"])
    W_O = expected["h.0.attn.c_proj.weight"].reshape(GPT2["n_head"], -1, GPT2["n_embd"])
    np.testing.assert_array_equal(model.tensor("blocks.0.attn.W_O"), W_O)
    assert (model.name, model.n_layers, model.d_model, model.positions) == ("gpt2", 2, 8, "absolute")


def test_an_unembedding_of_its_own_is_preferred_to_the_embedding(tmp_path):
    folder = write_gpt2(tmp_path / "gpt2")
    head = np.ones((GPT2["vocab_size"], GPT2["n_embd"]), np.float32)
    save_file(stored(folder) | {"lm_head.weight": head}, folder / "model.safetensors")
    np.testing.assert_array_equal(LanguageModel(folder).W_U, head.T)


def test_a_tied_unembedding_takes_no_memory_of_its_own(tmp_path):
    model = LanguageModel(write_gpt2(tmp_path / "gpt2"))
    assert np.shares_memory(model.W_U, model.W_E)
    assert not model.W_U.flags.writeable


def test_centring_changes_the_embedding_alone(tmp_path):
    plain, centred = (LanguageModel(write_gpt2(tmp_path / "gpt2"), centred=c) for c in (False, True))
    np.testing.assert_allclose(centred.W_E.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_array_equal(centred.W_U, plain.W_U)
    assert centred.sha256 != plain.sha256


def test_an_unknown_tensor_is_named(tmp_path):
    with pytest.raises(DoesNotFitError, match=r"hold no 'blocks\.9\.mlp\.W_out'"):
        LanguageModel(write_gpt2(tmp_path / "gpt2")).tensor("blocks.9.mlp.W_out")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "bert"}, "gpt2 is of type 'bert', .* does not predict next tokens.*choose another"),
        ({"model_type": ["gpt2"]}, r"gpt2 is of type .*'gpt2'.* does not have.*Expected one"),
        ({"n_embd": None}, "(?s)gpt2 is no model that transformers can build.*n_embd.*Expected"),
        ({"n_embd": "8"}, "(?s)gpt2 is no model that transformers can build.*n_embd.*Expected"),
        ({"vocab_size": -3}, "gpt2 is no model that transformers can build.*-3.*Expected"),
        ({"n_head": 0}, "gpt2 is no model that transformers can build.*Expected"),
    ],
)
def test_a_config_that_cannot_be_used_is_explained(tmp_path, change, says):
    folder = write_gpt2(tmp_path / "gpt2")
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadDictionaryError, match=says):
        LanguageModel(folder)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors"),
        lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 200),
        lambda folder: save_file({"wte.weight": np.ones(3, np.float32)}, folder / "model.safetensors"),
        lambda folder: save_file({"wte.weight": np.ones((2, 2, 2), np.float32)}, folder / "model.safetensors"),
        lambda folder: save_file({"other": np.ones(3, np.float32)}, folder / "model.safetensors"),
    ],
)
def test_weights_that_cannot_be_used_are_explained(tmp_path, break_it):
    folder = write_gpt2(tmp_path / "gpt2")
    break_it(folder)
    with pytest.raises(BadDictionaryError, match=r"gpt2.*[Ee]xpected"):
        _ = LanguageModel(folder).W_E


def test_a_projection_that_does_not_fit_the_heads_is_explained(tmp_path):
    folder = write_gpt2(tmp_path / "gpt2")
    odd = {"h.0.attn.c_proj.weight": np.ones((7, 8), np.float32)}
    save_file(stored(folder) | odd, folder / "model.safetensors")
    with pytest.raises(BadDictionaryError, match=r"c_proj\.weight .* has shape \(7, 8\)"):
        LanguageModel(folder).tensor("blocks.0.attn.W_O")


@pytest.mark.parametrize("shard", ["../../secret", 3])
def test_an_index_of_the_hub_that_climbs_out_is_refused_before_anything_is_fetched(hub, tmp_path, workspace, shard):
    folder = hub.repositories["gpt2"] = write_gpt2(tmp_path / "other" / "gpt2", shards=3)
    path = folder / "model.safetensors.index.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({"weight_map": said["weight_map"] | {"wte.weight": shard}}))
    for ask in (downloads.cost, downloads.tensor_plan):
        with pytest.raises(HubDamagedError, match="it has no weight_map"):
            ask("gpt2")


@pytest.mark.parametrize("weight_map", [{"wte.weight": "../../secret"}, {"wte.weight": 3}, [], None])
def test_an_index_of_shards_that_climbs_out_or_is_none_is_refused(tmp_path, weight_map):
    folder = write_gpt2(tmp_path / "gpt2")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with pytest.raises(BadDictionaryError, match="has no readable weights"):
        _ = LanguageModel(folder).W_E


def test_contexts_are_cut_to_what_pages_can_show():
    config = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config |= {"max_position_embeddings": 131_072, "vocab_size": 9, "intermediate_size": 5, "hidden_act": "silu"}
    found = model_parts(json.dumps(config), (), "x").config("x")
    assert (found["n_ctx"], found["d_mlp"], found["d_head"], found["normalization_type"]) == (8192, 5, 4, "RMS")


def test_whatever_a_config_says_of_what_the_weights_compute_changes_the_hash(tmp_path):
    folder = write_gpt2(tmp_path / "gpt2")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    before = LanguageModel(folder).sha256
    for name, value in {
        "layer_norm_epsilon": 0.5,
        "scale_attn_by_inverse_layer_idx": True,
        "reorder_and_upcast_attn": True,
    }.items():
        path.write_text(json.dumps(config | {name: value}))
        assert LanguageModel(folder).sha256 != before, name
    path.write_text(json.dumps(config | {"transformers_version": "9", "bos_token_id": 3}))
    assert LanguageModel(folder).sha256 == before


@pytest.mark.parametrize("name", ["gpt2", "gpt2-small", "GPT2-Small"])
def test_a_folder_of_ones_own_is_found_by_any_name_of_the_model(tmp_path, name):
    workspace = Workspace(cache=tmp_path, models=(write_gpt2(tmp_path / "gpt2"),))
    assert find_model(name, workspace).folder == tmp_path / "gpt2"


def test_names_map_to_repositories():
    assert names.repository("gpt2-small") == "gpt2"
    assert names.repository("pythia-70m-deduped") == "EleutherAI/pythia-70m-deduped"
    assert names.repository("someone/else") == "someone/else"
    assert names.repository("nothing-like-it") is None
    assert names.same_model("google/gemma-2-2b", "gemma-2-2b")
    assert not names.same_model("nothing", "nothing-like-it")


def test_a_model_that_is_not_here_is_offered_and_nothing_is_asked(hub, workspace):
    with pytest.raises(NotDownloadedError, match="model 'gpt2-small' is not on this machine") as error:
        find_model("gpt2-small", workspace)
    assert (error.value.kind, error.value.id) == ("model", "gpt2-small")
    with pytest.raises(UnknownNameError):
        find_model("nothing-like-it", workspace)
    with pytest.raises(UnknownNameError):
        find_model(None, workspace)
    assert hub.requests == []


@pytest.mark.parametrize("shards", [1, 3])
def test_parts_of_the_file_are_enough_for_weight_pages(hub, tmp_path, workspace, shards):
    whole = hub.repositories["gpt2"] = write_gpt2(tmp_path / "other" / "gpt2", shards=shards)
    plan = downloads.tensor_plan("gpt2-small")
    folder = downloads.download_tensors("gpt2-small", workspace)
    model, expected = find_model("gpt2-small", workspace), LanguageModel(whole)
    for name in ("W_E", "W_pos", "W_U"):
        np.testing.assert_array_equal(getattr(model, name), getattr(expected, name))
    assert model.token_strings == expected.token_strings
    assert model.sha256 == expected.sha256
    assert not model.whole
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert plan.nbytes < sizes["model.safetensors"] + sizes["config.json"] + sizes["tokenizer.json"]
    assert sizes["model.safetensors"] < 12_000  # of 21 kB
    with pytest.raises(NotDownloadedError, match=r"all but the tensors of weight pages.*18 kB"):
        _ = model.running
    with pytest.raises(NotDownloadedError):
        model.tensor("blocks.0.mlp.W_out")


def test_what_a_killed_download_left_goes_after_a_week(hub, workspace):
    folder = downloads.download_tensors("gpt2", workspace)
    left = folder.parent / ".loupe-00000000-1-a_b8c0de"  # of another machine
    (left / "model").mkdir(parents=True)
    downloads.download_tensors("gpt2", workspace)
    assert left.exists(), "a young folder may belong to a download that goes on"
    os.utime(left, (0, 0))
    downloads.download_tensors("gpt2", workspace)
    assert not left.exists()


def test_a_whole_model_takes_the_place_of_its_parts(hub, workspace):
    downloads.download_tensors("gpt2", workspace)
    before = find_model("gpt2", workspace).sha256
    downloads.download("gpt2")
    model = find_model("gpt2-small", workspace)
    assert model.whole
    assert model.sha256 == before


def test_shards_that_are_not_all_here_make_no_model(hub, tmp_path, workspace):
    hub.repositories["gpt2"] = write_gpt2(tmp_path / "other" / "gpt2", shards=3)
    downloads.download("gpt2")
    found = find_model("gpt2", workspace)
    (found.folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(NotDownloadedError):
        find_model("gpt2", workspace)


def test_a_hub_without_parts_of_files_is_named_and_nothing_is_kept(hub, workspace):
    hub.faults.append(Fault("GET .*model.safetensors", refuses_parts=True))
    with pytest.raises(HubError, match=r"only as a whole.*Download the whole file"):
        downloads.download_tensors("gpt2", workspace)
    with pytest.raises(NotDownloadedError):
        find_model("gpt2", workspace)


def test_parts_that_break_off_leave_nothing_half(hub, workspace):
    hub.faults.append(Fault("GET .*model.safetensors", stop_after=0, times=4))
    with pytest.raises(HubDamagedError, match="broke off"):
        downloads.download_tensors("gpt2", workspace)
    assert list((workspace.cache / "models").glob("*")) == [] if (workspace.cache / "models").exists() else True


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 8,
        b"\xff" * 64,
        (40).to_bytes(8, "little") + b"{" * 40,
        (2).to_bytes(8, "little") + b"[]" + b"x" * 9,
        header_of({"dtype": "F32", "shape": [1], "data_offsets": [0, 10**9]}),
        header_of({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}),
        header_of({"dtype": "F32", "data_offsets": [0, 4]}),
        header_of([]),
    ],
)
def test_a_header_that_is_odd_is_named_before_anything_else_is_fetched(hub, workspace, content):
    (hub.repositories["gpt2"] / "model.safetensors").write_bytes(content)
    with pytest.raises(HubDamagedError, match="is not what its name says"):
        downloads.tensor_plan("gpt2")


def test_a_repository_without_safetensors_is_named(hub):
    (hub.repositories["gpt2"] / "model.safetensors").unlink()
    with pytest.raises(HubNotFoundError, match=r"model\.safetensors\.index\.json"):
        downloads.cost("gpt2")


SMALL = {"vocab_size": 50, "hidden_size": 32, "max_position_embeddings": 16}
NEO = {"num_layers": 2, "num_heads": 2, "attention_types": [[["global", "local"], 1]]}
NEOX = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("GPTNeo", NEO),
        ("GPTNeoX", NEOX),
        ("GPTNeoX", NEOX | {"use_parallel_residual": False}),
    ],
)
def test_tensors_and_hooks_of_the_neo_families_are_those_of_the_running_model(tmp_path, family, config):
    import transformers

    theirs = getattr(transformers, f"{family}Config")(**SMALL, **config)
    getattr(transformers, f"{family}ForCausalLM")(theirs).save_pretrained(tmp_path / "m")
    model = LanguageModel(tmp_path / "m")
    running = hooked_transformer(tmp_path / "m", n_ctx=16).state_dict()
    np.testing.assert_array_equal(model.W_E, running["embed.W_E"].numpy())
    np.testing.assert_array_equal(model.W_U, running["unembed.W_U"].numpy())
    for name in ("blocks.1.mlp.W_in", "blocks.1.mlp.W_out", "blocks.1.attn.W_O"):
        np.testing.assert_array_equal(model.tensor(name), running[name].numpy())
    for hook in model.hook_names():
        assert model.activations(np.zeros((1, 4), int), hook).shape[-1] == model.hook_width(hook)
    parallel = family == "GPTNeoX" and config.get("use_parallel_residual", True)
    assert ("blocks.0.hook_resid_mid" in model.hook_names()) != parallel


def test_a_model_opens_at_once_when_what_it_is_made_of_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr("core.models.search.model_library_is_imported", lambda: False)
    workspace = Workspace(cache=tmp_path / "app", models=(write_gpt2(tmp_path / "gpt2"),))
    assert opens_at_once(None, Workspace(cache=tmp_path / "app", models=()))
    assert not opens_at_once("gpt2", workspace)
    read_parts(tmp_path / "gpt2", ArtifactStore(tmp_path / "app"))
    assert opens_at_once("gpt2", workspace)
    monkeypatch.setattr("core.models.search.model_library_is_imported", lambda: True)
    assert opens_at_once("gpt2", Workspace(cache=tmp_path / "other", models=workspace.models))
