"""A model's tensors, tokens and activations against TransformerLens itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.corpus.samples import SampleSettings, bos_token, sample_of, special_tokens
from core.errors import BadDictionaryError, DoesNotFitError, LoupeError, NotDownloadedError, UnknownNameError
from core.logit_weights.unembedding import LogitSettings, unembedding
from core.models.config import block_hooks, hook_width
from core.models.embeddings import SHUFFLED, TRAINED, WPE, ZERO
from core.models.language_model import LanguageModel
from core.models.pieces import token_pieces
from core.models.running import weights_nbytes
from core.models.search import check_fit, find_model
from core.work.memory import MemoryBudgetError
from core.workspace import Workspace
from tests.doubles.planted import planted_dictionary, planted_model

ROOT = Path(__file__).parents[2]
TOKENS = np.random.default_rng(2).integers(0, 257, size=(3, 10))
POINTS = ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "attn.hook_z"]
POINTS += ["attn.hook_q", "attn.hook_k", "attn.hook_v", "mlp.hook_pre", "mlp.hook_post"]
POINTS += ["ln1.hook_normalized", "ln2.hook_normalized"]
HOOKS = [f"blocks.{layer}.{point}" for layer in (0, 1) for point in POINTS]
HOOKS += ["hook_embed", "hook_pos_embed", "ln_final.hook_normalized"]


def plain_cache(folder: Path, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """Run a HookedTransformer built here from the folder's files; return all it caches."""
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    config = json.loads((folder / "config.json").read_text())
    model = HookedTransformer(HookedTransformerConfig(**{k: v for k, v in config.items() if v is not None}))
    state = {name: torch.from_numpy(array) for name, array in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.from_numpy(tokens))
    return {name: array.numpy() for name, array in cache.items()}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    model = planted_model(tmp_path_factory.mktemp("learned"))
    return model, plain_cache(model.folder, TOKENS)


@pytest.mark.parametrize("hook", HOOKS)
def test_activations_are_what_transformer_lens_caches(learned, hook):
    model, cache = learned
    expected = cache[hook].reshape(*TOKENS.shape, -1)
    found = model.activations(TOKENS, hook)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32
    assert model.hook_width(hook) == expected.shape[-1]


@pytest.mark.parametrize(("hook", "norm"), [("mlp.hook_in", "ln2"), ("ln2.hook_out", "ln2"), ("attn.hook_in", "ln1")])
def test_what_enters_a_module_is_what_its_norm_gives_with_the_norms_weights(learned, hook, norm):
    model, cache = learned
    stored = load_file(model.folder / "model.safetensors")
    w, b = (stored[f"blocks.1.{norm}.{name}"] for name in "wb")
    expected = cache[f"blocks.1.{norm}.hook_normalized"] * w + b
    np.testing.assert_allclose(model.activations(TOKENS, f"blocks.1.{hook}"), expected, rtol=1e-4, atol=1e-5)
    assert model.hook_width(f"blocks.1.{hook}") == 8


def test_rows_of_another_length_and_integer_type_run_too(learned):
    model, cache = learned
    found = model.activations(TOKENS[:, :4].astype(np.int32), "blocks.1.hook_resid_post")
    np.testing.assert_allclose(found, cache["blocks.1.hook_resid_post"][:, :4], rtol=1e-4, atol=1e-5)
    assert model.activations(TOKENS[:0], "blocks.0.hook_resid_pre").shape == (0, 10, 8)


def test_the_embeddings_are_those_of_the_file(learned):
    model = learned[0]
    stored = load_file(model.folder / "model.safetensors")
    for name in ("W_E", "W_pos", "W_U", "b_U"):
        part = "pos_embed" if name == "W_pos" else "embed" if name == "W_E" else "unembed"
        np.testing.assert_array_equal(getattr(model, name), stored[f"{part}.{name}"])
        with pytest.raises(ValueError, match="read-only"):
            getattr(model, name)[0] = 1
    for found, name in zip(model.ln_final, "wb", strict=True):
        np.testing.assert_array_equal(found, stored[f"ln_final.{name}"])


def test_layer_0_and_all_widths_need_no_torch(learned):
    model, cache = learned
    script = f"""
import sys, numpy as np
from pathlib import Path
from core.models.language_model import LanguageModel
from core.work.memory import MemoryBudgetError
model = LanguageModel(Path({str(model.folder)!r}))
tokens = np.array({TOKENS.tolist()})
found = model.activations(tokens, "blocks.0.hook_resid_pre")
[model.hook_width(hook) for hook in {HOOKS!r}]
model.token_strings, model.W_U, model.sha256
assert not sys.modules.keys() & {{"torch", "transformer_lens", "sae_lens"}}
print(found.astype(np.float64).sum())
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(cache["blocks.0.hook_resid_pre"].sum(dtype=np.float64), rel=1e-6)


def test_a_centred_model_has_the_same_streams_without_their_mean(tmp_path, learned):
    model, cache = planted_model(tmp_path, centred=True), learned[1]
    for hook in (hook for hook in HOOKS if "resid" in hook or "embed" in hook):
        x = cache[hook]
        np.testing.assert_allclose(
            model.activations(TOKENS, hook), x - x.mean(-1, keepdims=True), rtol=1e-3, atol=1e-4, err_msg=hook
        )
    np.testing.assert_allclose(model.W_E.mean(1), 0, atol=1e-6)
    assert model.sha256 != learned[0].sha256


def test_a_model_without_layer_norm_is_not_centred(tmp_path, learned):
    folder = planted_model(tmp_path).folder
    change_config(folder, normalization_type="RMS")
    model = LanguageModel(folder, centred=True)
    np.testing.assert_array_equal(model.W_E, learned[0].W_E)
    assert not model.centred


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_post"])
def test_positions_taken_away_make_rows_of_one_token_alike_where_nothing_else_tells_them_apart(learned, hook):
    model = LanguageModel(learned[0].folder, wpe=ZERO)
    x = model.activations(np.full((1, 6), 65), hook)[0]
    np.testing.assert_allclose(x, np.broadcast_to(x[0], x.shape), atol=1e-5)
    assert np.ptp(learned[0].activations(np.full((1, 6), 65), hook)[0], axis=0).max() > 0.1


def test_shuffled_positions_are_the_same_rows_in_another_order_in_table_and_running_model(learned):
    model = LanguageModel(learned[0].folder, wpe=SHUFFLED)
    trained = learned[0].W_pos
    assert (model.W_pos != trained).any()
    np.testing.assert_array_equal(np.sort(model.W_pos, axis=0), np.sort(trained, axis=0))
    np.testing.assert_allclose(
        model.activations(TOKENS, "blocks.0.hook_resid_mid"),
        plain_cache(shuffled_folder(learned[0], model.W_pos), TOKENS)["blocks.0.hook_resid_mid"],
        rtol=1e-4,
        atol=1e-5,
    )


def shuffled_folder(model: LanguageModel, W_pos: np.ndarray) -> Path:
    """A copy of a model's folder with other position vectors."""
    folder = model.folder.parent / "shuffled"
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    state = load_file(folder / "model.safetensors") | {"pos_embed.W_pos": W_pos}
    save_file(state, folder / "model.safetensors")
    return folder


def test_a_change_of_positions_is_another_model_and_one_without_any_refuses_it(tmp_path, learned):
    names = {LanguageModel(learned[0].folder, wpe=wpe).sha256 for wpe in WPE}
    assert len(names) == len(WPE)
    assert LanguageModel(learned[0].folder, wpe=TRAINED).sha256 == learned[0].sha256
    rotary = planted_model(tmp_path, positional="rotary")
    with pytest.raises(DoesNotFitError, match=r"planted has no learned position embedding to make zero.* are rotary"):
        LanguageModel(rotary.folder, wpe=ZERO)


def test_a_model_with_changed_positions_is_found_beside_one_that_allows_no_change(tmp_path, learned):
    rotary = planted_model(tmp_path, positional="rotary")
    change_config(rotary.folder, model_name="other")
    workspace = Workspace(models=(rotary.folder, learned[0].folder))
    assert find_model("planted", workspace, wpe=ZERO).wpe == ZERO
    assert find_model("planted", workspace).wpe == TRAINED


def test_a_rotary_model_has_no_position_vectors_but_runs(tmp_path):
    model = planted_model(tmp_path, positional="rotary")
    with pytest.raises(
        DoesNotFitError, match=r"planted has rotary positions, expected learned absolute ones.* Use stat"
    ):
        _ = model.W_pos
    np.testing.assert_allclose(model.activations(TOKENS, "blocks.0.hook_resid_pre"), model.W_E[TOKENS])
    cache = plain_cache(model.folder, TOKENS)
    for hook in ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_post"):
        np.testing.assert_allclose(model.activations(TOKENS, hook), cache[hook], rtol=1e-4, atol=1e-5)
    with pytest.raises(DoesNotFitError, match="no hook 'hook_pos_embed'"):
        model.hook_width("hook_pos_embed")


def test_tokens_are_strings_by_id(learned):
    model = learned[0]
    assert len(model.token_strings) == 257
    assert model.token_strings[0] == "<|endoftext|>"
    assert model.separator == 0
    text = "a b\n\u00e9"
    ids = model.tokenizer.encode(text).ids
    assert [model.token_strings[i] for i in ids] == ["a", " ", "b", "\n", "\\xc3", "\\xa9"]


def test_ids_the_tokenizer_does_not_know_are_empty(tmp_path):
    model = planted_model(tmp_path, d_vocab=300)
    assert set(model.token_strings[257:]) == {""}


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre"])
def test_rows_longer_than_the_context_are_refused(learned, hook):
    with pytest.raises(DoesNotFitError, match=r"Rows of 13 tokens do not fit planted: its context is 12\. Shorten"):
        learned[0].activations(np.zeros((1, 13), int), hook)


@pytest.mark.parametrize("hook", ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre"])
@pytest.mark.parametrize("token", [-1, 257])
def test_tokens_outside_the_vocabulary_are_refused(learned, hook, token):
    with pytest.raises(DoesNotFitError, match=f"{token}.* do not fit planted: expected 0 to 256. Use text"):
        learned[0].activations(np.array([[5, token]]), hook)


NO_HOOKS = [
    "blocks.2.hook_resid_pre",
    "blocks.-1.hook_resid_pre",
    "blocks.01.hook_resid_pre",
    "blocks.x.hook_resid_pre",
]
NO_HOOKS += ["hook_resid_pre", "blocks.hook_resid_pre", "blocks.0.hook_resid_before", "blocks.0.attn.hook_pattern", ""]
NO_HOOKS += ["blocks.0.attn.hook_result", "layers.0.hook_resid_pre", "<b>", "x" * 5000, "blocks.0.hook_resid_pre.x"]


@pytest.mark.parametrize("hook", NO_HOOKS)
def test_a_hook_that_the_model_lacks_is_refused(learned, hook):
    model = learned[0]
    message = r"planted has no hook .* Expected a TransformerLens name .* layers 0 to 1\. Choose a dictionary"
    with pytest.raises(DoesNotFitError, match=message) as caught:
        model.hook_width(hook)
    assert len(str(caught.value)) < 500
    with pytest.raises(DoesNotFitError, match=message):
        model.activations(TOKENS, hook)


def test_a_dictionary_must_be_as_wide_as_its_hook(learned):
    model = learned[0]
    for hook, width in [("blocks.1.hook_resid_pre", 8), ("blocks.0.mlp.hook_post", 16), ("blocks.0.attn.hook_z", 8)]:
        check_fit(planted_dictionary(d_in=width, hook_name=hook).config, model)
        with pytest.raises(
            DoesNotFitError, match=f"width 9, but {hook} of planted has {width}. Choose .* or check d_in"
        ):
            check_fit(planted_dictionary(d_in=9, hook_name=hook).config, model)
    with pytest.raises(DoesNotFitError, match="has no hook"):
        check_fit(planted_dictionary(hook_name="blocks.7.hook_resid_pre").config, model)


def test_a_model_is_found_by_the_name_in_its_config(tmp_path, learned):
    workspace = Workspace(models=(tmp_path / "empty", learned[0].folder))
    assert find_model("planted", workspace).folder == learned[0].folder
    assert find_model("planted", workspace, centred=True).centred
    with pytest.raises(UnknownNameError, match=r"no model called 'plantd'. Did you mean planted\?"):
        find_model("plantd", workspace)
    with pytest.raises(UnknownNameError, match=r"no model called 'None'. Choose one of: planted"):
        find_model(None, workspace)
    with pytest.raises(UnknownNameError, match="None is available"):
        find_model("planted", Workspace(models=()))


def test_a_broken_folder_hides_no_other_model(tmp_path, learned):
    for name in ("gpt2", "torn"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{")
    workspace = Workspace(models=(tmp_path / "gpt2", tmp_path / "torn", learned[0].folder), cache=tmp_path / "cache")
    assert find_model("planted", workspace).folder == learned[0].folder
    with pytest.raises(BadDictionaryError, match="gpt2 is no model folder"):
        find_model("gpt2", workspace)
    with pytest.raises(UnknownNameError, match=r"Choose one of: planted. It may be in .*torn is no model folder"):
        find_model("another", workspace)
    with pytest.raises(NotDownloadedError, match=r"'pythia-70m' is not on .* It may be in .*torn is no model folder"):
        find_model("pythia-70m", workspace)


def test_one_head_is_read_only_where_there_are_heads(learned):
    model, one = learned[0], {"hook_head_index": 1}
    for point in ("attn.hook_z", "attn.hook_q", "attn.hook_v"):
        check_fit(planted_dictionary(d_in=4, hook_name=f"blocks.0.{point}", metadata=one).config, model)
    for point in ("hook_resid_pre", "hook_attn_out", "mlp.hook_post"):
        with pytest.raises(DoesNotFitError, match=r"reads head 1 of .*; planted has no heads there"):
            check_fit(planted_dictionary(d_in=4, hook_name=f"blocks.0.{point}", metadata=one).config, model)


@pytest.mark.parametrize("n_key_value_heads", [None, 1, 2])
def test_keys_and_values_are_as_wide_as_their_own_heads(n_key_value_heads):
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    sizes = {"d_model": 8, "n_ctx": 5, "d_vocab": 7, "n_layers": 1, "n_heads": 4, "d_head": 3, "d_mlp": 6}
    sizes |= {"n_key_value_heads": n_key_value_heads, "normalization_type": "LN"}
    module = HookedTransformer(HookedTransformerConfig(**sizes, act_fn="relu", device="cpu"))
    _, cache = module.run_with_cache(torch.zeros((1, 5), dtype=torch.long))
    for point in block_hooks(sizes):
        assert hook_width(sizes, f"blocks.0.{point}") == cache[f"blocks.0.{point}"].flatten(2).shape[2]
    state = module.state_dict()
    matrices = [name for name in state if name.rpartition(".")[2].removeprefix("_").startswith("W_")]
    assert weights_nbytes(sizes) == 4 * sum(state[name].numel() for name in matrices)


def change_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({k: v for k, v in (config | changes).items() if v != "drop"}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_model": "drop"}, "KeyError: 'd_model'"),
        ({"d_model": "8"}, "d_model is '8'"),
        ({"n_ctx": -1}, "n_ctx is -1"),
        ({"n_layers": True}, "n_layers is True"),
        ({"n_key_value_heads": "2"}, "n_key_value_heads is '2'"),
        ({"model_name": 3}, "model_name is 3"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path, changes, said):
    folder = planted_model(tmp_path).folder
    change_config(folder, **changes)
    with pytest.raises(BadDictionaryError, match=rf"is no model folder \(.*{said}\)\. Expected .* Export the model"):
        LanguageModel(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, None])
def test_a_folder_without_a_readable_config_is_refused(tmp_path, content):
    folder = planted_model(tmp_path).folder
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    with pytest.raises(BadDictionaryError, match=r"is no model folder .* Expected config.json with model_name"):
        LanguageModel(folder)


@pytest.mark.parametrize("name", ["embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U"])
@pytest.mark.parametrize("change", ["missing", "longer"])
def test_embeddings_that_do_not_fit_the_config_are_refused(tmp_path, name, change):
    model = planted_model(tmp_path)
    tensors = load_file(model.folder / "model.safetensors")
    array = tensors.pop(name)
    if change == "longer":
        tensors[name] = np.concatenate([array, array])
    save_file(tensors, model.folder / "model.safetensors")
    with pytest.raises(BadDictionaryError, match=rf"{name} of .* is .*, expected \(.*\) from its config.json. Export"):
        _ = model.W_E


def test_missing_blocks_are_named_when_the_model_is_built(tmp_path):
    model = planted_model(tmp_path)
    tensors = load_file(model.folder / "model.safetensors")
    del tensors["blocks.1.mlp.W_in"]
    save_file(tensors | {"extra": np.zeros(1, np.float32)}, model.folder / "model.safetensors")
    with pytest.raises(BadDictionaryError, match=r"missing \['blocks.1.mlp.W_in'\], unexpected \['extra'\]. Export"):
        model.activations(TOKENS, "blocks.1.hook_resid_post")


def test_missing_files_are_named(tmp_path):
    model = planted_model(tmp_path)
    (model.folder / "tokenizer.json").unlink()
    (model.folder / "model.safetensors").unlink()
    with pytest.raises(BadDictionaryError, match=r"has no tokenizer.json. Expected one; export it"):
        _ = model.tokenizer
    with pytest.raises(BadDictionaryError, match=r"no weights file at .* Expected a safetensors file; check"):
        _ = model.W_E


def test_a_model_without_tokenizer_shows_ids_and_keeps_its_weights(tmp_path):
    model = planted_model(tmp_path, d_vocab=61)
    (model.folder / "tokenizer.json").unlink()
    assert model.token_strings == tuple(map(str, range(61)))
    assert (model.bos, model.separator, bos_token(model), special_tokens(model)) == (None, 0, 0, ())
    assert model.W_U.shape == (8, 61)
    assert unembedding(model, LogitSettings(skip_unused=True)).tokens.tolist() == list(range(61))
    assert token_pieces(model.decoder, [3, 60, 3]) == ["3", " 60", " 3"]
    table = np.arange(60).reshape(5, 12)
    rows = sample_of(table, "ids", planted_dictionary(context_size=6).config, model, SampleSettings(n_rows=5)).rows
    np.testing.assert_array_equal(rows, table[:, :6])
    other = planted_model(tmp_path / "other", d_vocab=60)
    (other.folder / "tokenizer.json").unlink()
    assert model.tokenizer_sha256 != other.tokenizer_sha256


def test_the_content_hash_follows_weights_and_config(tmp_path, learned):
    def changed(name, **options):
        return planted_model(tmp_path / name, **options)

    other_function = changed("c")
    change_config(other_function.folder, act_fn="relu")
    renamed = changed("d")
    hashes = [
        learned[0].sha256,
        changed("a", seed=1).sha256,
        changed("b", centred=True).sha256,
        LanguageModel(other_function.folder).sha256,
    ]
    assert len(set(hashes)) == 4
    assert renamed.sha256 == hashes[0]
    change_config(renamed.folder, device="cuda")
    assert LanguageModel(renamed.folder).sha256 == hashes[0]


def test_a_config_entry_that_changes_the_model_reaches_it_and_an_unknown_one_is_named(tmp_path):
    model = planted_model(tmp_path)
    change_config(model.folder, eps=0.5)
    assert LanguageModel(model.folder).hooked.cfg.eps == 0.5
    change_config(model.folder, shiny_new_attention=True)
    with pytest.raises(BadDictionaryError, match=r"shiny_new_attention.*HookedTransformerConfig.*export"):
        _ = LanguageModel(model.folder).hooked


def test_a_model_says_what_it_holds_and_asks_for_room_before_it_is_built(tmp_path):
    model = planted_model(tmp_path)
    assert model.nbytes == 0
    asked = []
    model.make_room = asked.append
    embeddings = sum(array.nbytes for array in (model.W_E, model.W_pos, model.W_U, model.b_U, *model.ln_final))
    assert model.nbytes == embeddings
    matrices = sum(4 * p.numel() for name, p in model.hooked.named_parameters() if "W_" in name)
    assert asked == [2 * matrices]
    assert model.nbytes == embeddings + matrices


def test_a_model_that_finds_no_room_is_not_built(tmp_path):
    model = planted_model(tmp_path)

    def refuse(nbytes: int) -> None:
        raise MemoryBudgetError("full")

    model.make_room = refuse
    with pytest.raises(MemoryBudgetError):
        model.hooked  # noqa: B018
    assert "hooked" not in vars(model)


USES = ("sha256", "tokenizer_sha256", "tokenizer", "token_strings", "W_E", "W_pos", "W_U", "hooked")
ODD_FILES = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a loop of links": lambda path: path.symlink_to(path),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(100)),
    "other JSON": lambda path: path.write_text('{"model": {"vocab": {"\\\\ud800": 0}}}'),
}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("odd", ODD_FILES)
def test_files_that_cannot_be_read_are_named_whatever_is_asked_for(tmp_path, name, odd):
    folder = planted_model(tmp_path).folder
    path = folder / name
    path.unlink()
    ODD_FILES[odd](path)
    refusals = []
    for use in USES:
        try:
            getattr(LanguageModel(folder), use)
        except LoupeError as error:
            refusals.append(str(error))
    assert refusals
    assert all(str(folder) in said for said in refusals)


SHAPES = {
    "sequential": {},
    "parallel": {"parallel_attn_mlp": True},
    "without norms": {"normalization_type": None},
    "attention alone": {"attn_only": True},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_hooks_that_are_offered_are_those_that_transformer_lens_has(tmp_path, shape):
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    folder = planted_model(tmp_path).folder
    change_config(folder, **shape)
    config = json.loads((folder / "config.json").read_text())
    running = HookedTransformer(HookedTransformerConfig(**config, device="cpu"))
    model, fired = LanguageModel(folder), set()
    running.run_with_hooks(as_tensor(TOKENS), fwd_hooks=[(lambda name: True, lambda value, hook: fired.add(hook.name))])
    offered = {hook for hook in HOOKS if width_or_none(model, hook)}
    assert offered == fired & set(HOOKS)
    assert set(model.hook_names()) <= fired


def as_tensor(rows: np.ndarray):
    import torch

    return torch.from_numpy(rows)


def width_or_none(model: LanguageModel, hook: str) -> int | None:
    try:
        return model.hook_width(hook)
    except DoesNotFitError:
        return None
