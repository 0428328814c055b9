"""Folders in Hugging Face's layout as language models that run: numbers, dtypes, memory, and what is refused."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.activations.spliced_loss import spliced_loss, token_losses
from core.devices import placed
from core.devices.device import TORCH_CPU, DeviceError
from core.errors import BadDictionaryError, DoesNotFitError, LoupeError
from core.models.embeddings import SHUFFLED, ZERO
from core.models.language_model import LanguageModel
from core.models.loading import DTYPES
from core.models.search import check_fit
from core.work.artifacts import ArtifactStore
from core.work.memory import Loaded, MemoryBudgetError
from tests.doubles.hooked_transformer import hooked_transformer
from tests.doubles.planted import planted_dictionary
from tests.doubles.tiny_models import D_MLP, D_MODEL, D_VOCAB, N_CTX, tiny_model, write_tiny

ROOT = Path(__file__).parents[2]
ROWS = np.random.default_rng(4).integers(0, D_VOCAB, (3, 7))
SOME = ["gpt2", "llama", "gemma2", "gemma3", "cohere", "granite", "mixtral", "qwen3_5_text", "mamba", "opt_projected"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Matrices this small are slower on several threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Write each tiny model once."""
    root = tmp_path_factory.mktemp("tiny")
    return cache(lambda name: write_tiny(name, root))


def logits_of(name: str) -> np.ndarray:
    import torch

    with torch.no_grad():
        return tiny_model(name)(torch.from_numpy(ROWS), use_cache=False).logits.double().numpy()


def change_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", SOME)
def test_losses_are_those_of_the_models_own_logits(folders, name):
    import torch

    logits = torch.from_numpy(logits_of(name)).log_softmax(-1)[:, :-1]
    expected = -logits.gather(2, torch.from_numpy(ROWS)[:, 1:, None])[..., 0]
    np.testing.assert_allclose(token_losses(LanguageModel(folders(name)), ROWS), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "path"), [("llama", "model.layers.1.mlp"), ("gpt2", "transformer.h.1.mlp")])
def test_losses_with_a_reconstruction_in_place_are_those_of_a_hook_placed_by_hand(folders, name, path):
    import torch

    hook = "blocks.1.hook_mlp_out"
    dictionary, model = planted_dictionary(d_in=D_MODEL, hook_name=hook), LanguageModel(folders(name))
    x_hat = torch.from_numpy(dictionary.reconstruct(model.activations(ROWS, hook)))
    by_hand, tokens = tiny_model(name), torch.from_numpy(ROWS)
    by_hand.get_submodule(path).register_forward_hook(lambda module, args, output: x_hat)
    with torch.no_grad():
        log_p = by_hand(tokens, use_cache=False).logits.double().log_softmax(-1)
    expected = -log_p[:, :-1].gather(2, tokens[:, 1:, None])[..., 0]
    found = spliced_loss(dictionary, model, ROWS)
    np.testing.assert_allclose(found.ce_replaced[0][:-1], expected.mean(dim=0), rtol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox"])
def test_a_centred_model_is_what_transformer_lens_makes_of_it(folders, name):
    import torch

    model = LanguageModel(folders(name), centred=True)
    old = hooked_transformer(folders(name), n_ctx=16, centred=True)
    _, expected = old.run_with_cache(torch.from_numpy(ROWS))
    for hook in ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.1.hook_mlp_out"):
        np.testing.assert_allclose(model.activations(ROWS, hook), expected[hook], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(model.activations(ROWS, hook).mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(token_losses(model, ROWS), token_losses(LanguageModel(folders(name)), ROWS), rtol=1e-4)
    assert model.sha256 != LanguageModel(folders(name)).sha256


@pytest.mark.parametrize("name", ["gpt2", "opt"])
@pytest.mark.parametrize("wpe", [ZERO, SHUFFLED])
def test_other_positions_are_the_same_in_the_table_and_in_the_running_model(folders, name, wpe):
    import torch

    model = LanguageModel(folders(name), wpe=wpe)
    read = model.running.read(torch.from_numpy(ROWS), ["blocks.0.hook_resid_pre"])["blocks.0.hook_resid_pre"]
    np.testing.assert_allclose(read, model.activations(ROWS, "blocks.0.hook_resid_pre"), atol=1e-5)
    trained = LanguageModel(folders(name)).activations(ROWS, "blocks.1.hook_resid_pre")
    assert np.abs(model.activations(ROWS, "blocks.1.hook_resid_pre") - trained).max() > 0.1


def test_a_bias_of_the_unembedding_that_the_class_has_no_place_for_counts(tmp_path):
    folder = write_tiny("gpt2", tmp_path)
    bias = np.linspace(-3, 3, D_VOCAB, dtype=np.float32)
    save_file(load_file(folder / "model.safetensors") | {"lm_head.bias": bias}, folder / "model.safetensors")
    import torch

    log_p = torch.from_numpy(logits_of("gpt2") + bias).log_softmax(-1)[:, :-1]
    expected = -log_p.gather(2, torch.from_numpy(ROWS)[:, 1:, None])[..., 0]
    np.testing.assert_allclose(token_losses(LanguageModel(folder), ROWS), expected, rtol=1e-5)


HOOKS = "blocks.1.hook_resid_pre blocks.0.attn.hook_z blocks.0.mlp.hook_post blocks.1.mlp.hook_out hook_embed"


def test_widths_need_no_torch_once_they_are_known(folders, tmp_path):
    script = f"""
import sys
from pathlib import Path
from core.models.language_model import LanguageModel
from core.work.artifacts import ArtifactStore
model = LanguageModel(Path({str(folders("llama"))!r}), store=ArtifactStore(Path({str(tmp_path)!r})))
print([model.hook_width(hook) for hook in {HOOKS.split()!r}], len(model.hook_names()))
print("torch" in sys.modules)
"""
    said = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        said.append(done.stdout.splitlines())
    assert said == [[f"{[D_MODEL, D_MODEL, D_MLP, D_MODEL, D_MODEL]} 14", loaded] for loaded in ("True", "False")]


def test_a_dictionary_fits_by_the_hooks_that_the_model_has(folders):
    model = LanguageModel(folders("mixtral"))
    check_fit(planted_dictionary(d_in=D_MODEL, hook_name="blocks.1.mlp.hook_out").config, model)
    with pytest.raises(DoesNotFitError, match=r"no hook 'blocks\.1\.mlp\.hook_post'.* made of experts"):
        check_fit(planted_dictionary(d_in=D_MODEL, hook_name="blocks.1.mlp.hook_post").config, model)
    assert not [hook for hook in model.hook_names() if "mlp.hook_p" in hook]


@pytest.mark.parametrize("name", ["llama", "gpt2", "mixtral"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_model_runs_in_its_own_dtype_once_in_memory(tmp_path, name, dtype):
    import torch

    tiny_model(name).to(getattr(torch, dtype)).save_pretrained(tmp_path / name)
    model, asked = LanguageModel(tmp_path / name), []
    model.make_room = asked.append
    parameters = list({id(p): p for p in model.running.module.parameters()}.values())
    assert {parameter.dtype for parameter in parameters} == {getattr(torch, dtype)}
    assert model.dtype == dtype
    assert asked == [sum(parameter.nbytes for parameter in parameters)] == [model.nbytes]
    full = LanguageModel(tmp_path / name, dtype="float32")
    hook = "blocks.1.hook_resid_pre"
    found, expected = model.activations(ROWS, hook), full.activations(ROWS, hook)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    assert len({model.sha256, full.sha256}) == 2


@pytest.mark.parametrize("where", ["config", "weights", "text_config"])
def test_the_models_own_dtype_is_what_its_config_says_or_its_weights_are_stored_in(tmp_path, where):
    import torch

    name = "gemma3" if where == "text_config" else "llama"
    model = tiny_model(name)
    (model if where == "weights" else model.float()).to(torch.bfloat16).save_pretrained(tmp_path / name)
    config = json.loads((tmp_path / name / "config.json").read_text())
    said = {"config": {"dtype": "float16"}, "weights": {"dtype": None}, "text_config": {}}[where]
    nested = {"text_config": config["text_config"] | {"dtype": "float16"}, "dtype": None} if name == "gemma3" else {}
    change_config(tmp_path / name, **said, **nested)
    assert LanguageModel(tmp_path / name).dtype == ("bfloat16" if where == "weights" else "float16")


def limited(model: LanguageModel, budget: int) -> LanguageModel:
    loaded = Loaded(budget)
    model.make_room = lambda nbytes: loaded.make_room(nbytes, "The model")
    return model


@pytest.mark.parametrize("name", SOME)
def test_a_model_larger_than_the_memory_left_runs_from_the_disk_with_the_same_numbers(folders, name):
    whole, hooks = LanguageModel(folders(name)), ["blocks.1.hook_resid_pre", "blocks.0.hook_resid_post"]
    model = limited(LanguageModel(folders(name)), int(DTYPES["float32"] * whole.parts.n_params * 0.8))
    for hook in hooks:
        np.testing.assert_array_equal(model.activations(ROWS, hook), whole.activations(ROWS, hook))
    assert any(parameter.is_meta for parameter in model.running.module.parameters())
    np.testing.assert_allclose(token_losses(model, ROWS), token_losses(whole, ROWS), rtol=1e-6)
    assert model.nbytes < whole.nbytes


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mixtral"])
def test_a_copy_on_a_device_gives_the_same_numbers_and_leaves_the_cpus_model_alone(folders, name, monkeypatch):
    from core.models.on_device import run_model_on_device

    monkeypatch.setattr(placed, "_shelves", {})
    model, hook = LanguageModel(folders(name)), "blocks.1.hook_resid_post"
    expected = model.activations(ROWS, hook)
    np.testing.assert_allclose(run_model_on_device(model, ROWS, hook, TORCH_CPU), expected, atol=1e-5)
    np.testing.assert_array_equal(model.activations(ROWS, hook), expected)


def test_a_model_that_runs_from_the_disk_is_not_copied_to_a_device(folders, monkeypatch):
    from core.models.on_device import run_model_on_device

    monkeypatch.setattr(placed, "_shelves", {})
    model = limited(LanguageModel(folders("llama")), int(4 * LanguageModel(folders("llama")).parts.n_params * 0.8))
    with pytest.raises(DeviceError, match="llama runs from the disk"):
        run_model_on_device(model, ROWS, "blocks.1.hook_resid_post", TORCH_CPU)


def test_a_model_of_which_not_one_layer_fits_is_refused_with_its_bytes_before_anything_starts(folders):
    model = limited(LanguageModel(folders("llama")), 50_000)
    with pytest.raises(MemoryBudgetError, match=r"needs 0\.1 MB, and at least 66 kB .* but 50 kB are left\. Nothing"):
        _ = model.running
    assert "running" not in vars(model)
    changed = limited(LanguageModel(folders("gpt2"), centred=True), 90_000)  # which cannot stay on the disk
    with pytest.raises(MemoryBudgetError, match=r"The model needs 0\.1 MB, but 0 bytes of"):
        _ = changed.running


def test_what_passes_inside_a_norm_is_not_replaced_while_its_weights_are_on_the_disk(folders):
    dictionary = planted_dictionary(d_in=D_MODEL, hook_name="blocks.1.ln2.hook_normalized")
    model = limited(LanguageModel(folders("llama")), int(4 * LanguageModel(folders("llama")).parts.n_params * 0.8))
    with pytest.raises(DoesNotFitError, match="weights are partly on disk"):
        spliced_loss(dictionary, model, ROWS)


def shard(folder: Path) -> None:
    """Split a model's weights into two files with an index."""
    tensors = load_file(folder / "model.safetensors")
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    where = {tensor: names[i % 2] for i, tensor in enumerate(sorted(tensors))}
    for name in names:
        save_file({key: tensors[key] for key in tensors if where[key] == name}, folder / name)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def test_shards_are_read_and_a_missing_one_is_named(tmp_path, folders):
    folder = write_tiny("llama", tmp_path)
    shard(folder)
    expected = LanguageModel(folders("llama")).activations(ROWS, "blocks.1.hook_resid_post")
    np.testing.assert_array_equal(LanguageModel(folder).activations(ROWS, "blocks.1.hook_resid_post"), expected)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BadDictionaryError, match=r"lacks 1 of its 2 files of weights: model-00002-of-00002\.safe"):
        _ = LanguageModel(folder).running


def without_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")


def of_another_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] = np.ones((3, 3), np.float32)
    save_file(tensors, folder / "model.safetensors")


def as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


BAD = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "has no readable weights"),
    "a pickle": (as_pickle, r"has no readable weights .* as safetensors again"),
    "cut off": (lambda folder: (folder / "model.safetensors").write_bytes(b"\1" * 99), "has no readable weights"),
    "a tensor missing": (without_tensor, r"do not fit its config: missing \['model\.layers\.1\.mlp\.up_proj\.weight'"),
    "another shape": (of_another_shape, r"of another shape \[.*up_proj"),
    "quantised": (
        lambda folder: change_config(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
        r"are quantised \(gptq\), and what reads them is not here .* Expected weights in float32, bfloat16",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_weights_that_cannot_be_loaded_are_explained_and_nothing_is_half_loaded(tmp_path, bad):
    folder = write_tiny("llama", tmp_path)
    break_it, says = BAD[bad]
    break_it(folder)
    model = LanguageModel(folder)
    with pytest.raises(LoupeError, match=says) as caught:
        model.activations(ROWS, "blocks.1.hook_resid_pre")
    assert str(folder) in str(caught.value)
    assert "running" not in vars(model)
    assert model.nbytes == 0


def test_weights_without_a_config_are_named(tmp_path):
    folder = write_tiny("llama", tmp_path)
    (folder / "config.json").unlink()
    with pytest.raises(BadDictionaryError, match=r"is no model folder .* Expected config\.json"):
        LanguageModel(folder)


def test_rows_that_a_model_cannot_read_are_refused(folders):
    model = LanguageModel(folders("llama"))
    with pytest.raises(DoesNotFitError, match=rf"Rows of {N_CTX + 1} tokens do not fit llama: its context is {N_CTX}"):
        model.activations(np.zeros((1, N_CTX + 1), int), "blocks.1.hook_resid_pre")
    with pytest.raises(DoesNotFitError, match=rf"Token ids from {D_VOCAB}"):
        model.activations(np.full((1, 2), D_VOCAB), "blocks.1.hook_resid_pre")


def test_the_table_of_hooks_is_kept_by_the_content_of_the_config(folders, tmp_path):
    store = ArtifactStore(tmp_path)
    for name in ("llama", "gpt2"):
        assert LanguageModel(folders(name), store=store).hook_width("blocks.1.mlp.hook_post") in (D_MLP, 4 * D_MODEL)
    assert len(list(tmp_path.glob("hook-table*"))) == 2
