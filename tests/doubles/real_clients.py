"""Run in a process of its own against a stand-in hub: what the real clients make of our cache, and we of theirs.

python -m tests.real_clients ROOT     (HF_ENDPOINT and HF_HOME set; prints one JSON object last)
"""

import json
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from core.dictionaries import sources
from core.dictionaries.registry.index import registry
from core.errors import BadDictionaryError, NotDownloadedError
from core.models import downloads
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.models.search import find_model
from core.workspace import Workspace
from tests.doubles.hooked_transformer import hooked_transformer
from tests.doubles.registry_files import FORMATS, numbers


@contextmanager
def no_network():
    """Let every connection fail."""
    refusal = AssertionError("something went to the network")
    with mock.patch.object(socket.socket, "connect", side_effect=refusal):
        yield


def compare_dictionary(key: str) -> dict:
    """Download one with our code, open it without a network, and compare it with what sae-lens itself loads."""
    import torch
    from sae_lens import SAE

    sources.download(f"registry/{key}")
    with no_network():
        ours = sources.open_dictionary(f"registry/{key}", Workspace(), fold_decoder_norms=False)
    item = registry().parse(key)
    theirs = SAE.from_pretrained(item.release, item.sae_id, device="cpu")
    if theirs.cfg.reshape_activations == "hook_z":
        theirs.turn_off_forward_pass_hook_z_reshaping()
    x = numbers(2, 3, ours.d_in, seed=9)
    with torch.no_grad():
        acts, x_hat = theirs.encode(torch.from_numpy(x)).numpy(), theirs(torch.from_numpy(x)).numpy()
    weights = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    mine = ours.encode(x)
    # Weights that sae-lens leaves transposed are multiplied in another order, so products may differ in the last bit.
    return {
        "weights": all(np.array_equal(ours.sae.state_dict()[name].numpy(), weights[name]) for name in weights),
        "acts": bool(np.allclose(mine, acts, atol=1e-4) and np.array_equal(mine != 0, acts != 0)),
        "x_hat": bool(np.allclose(ours.reconstruct(x), x_hat, rtol=1e-4, atol=1e-3)),
        "active": int((acts != 0).sum()),
        "hook_name": ours.config.hook_name,
        "center_writing_weights": ours.config.center_writing_weights,
        "reconstructs": ours.config.reconstructs,
        "notes": ours.notes,
    }


def damaged(key: str) -> str:
    """Open a dictionary whose downloaded weights were damaged afterwards."""
    from core.hub import cache

    item = registry().parse(key)
    path = cache.cached_file(item.repository, f"{item.path}/sae_weights.safetensors")
    content = path.read_bytes()
    path.resolve().write_bytes(content[:-7])
    try:
        sources.open_dictionary(f"registry/{key}", Workspace())
    except BadDictionaryError as error:
        return str(error)
    finally:
        path.resolve().write_bytes(content)
    return "no error"


def compare_gpt2(workspace: Workspace) -> dict:
    """Fetch gpt2's tensors in parts, then all of it; compare both with transformers' own model."""
    import torch
    from transformers import AutoModelForCausalLM

    downloads.download_tensors("gpt2-small", workspace)
    with no_network():
        parts = find_model("gpt2-small", workspace)
        kept = {name: getattr(parts, name).copy() for name in ("W_E", "W_pos", "W_U", "b_U")}
    try:
        refusal = str(parts.running)
    except NotDownloadedError as error:
        refusal = str(error)
    downloads.download("gpt2-small")
    tokens = np.arange(2 * 7).reshape(2, 7)
    with no_network():
        whole = find_model("gpt2", workspace)
        acts = whole.activations(tokens, "blocks.1.hook_resid_post")
    theirs = AutoModelForCausalLM.from_pretrained("gpt2", dtype=torch.float32)
    with torch.no_grad():
        # The last of the hidden states comes after the final norm.
        middle = theirs(torch.from_numpy(tokens), output_hidden_states=True).hidden_states[1].numpy()
    first = whole.activations(tokens, "blocks.0.hook_resid_post")
    state = {name: tensor.detach().numpy() for name, tensor in theirs.state_dict().items()}
    return {
        "kept": all(np.array_equal(kept[name], getattr(whole, name)) for name in kept),
        "W_E": bool(np.array_equal(whole.W_E, state["transformer.wte.weight"])),
        "W_pos": bool(np.array_equal(whole.W_pos, state["transformer.wpe.weight"])),
        "W_U": bool(np.array_equal(whole.W_U, state["lm_head.weight"].T)),
        "same hash": parts.sha256 == whole.sha256,
        "same name": parts.name == whole.name == "gpt2",
        "first block": bool(np.allclose(first, middle, atol=1e-4)),
        "finite": bool(np.isfinite(acts).all()),
        "refusal": refusal,
    }


def families(root: Path) -> dict:
    """Save a tiny model of each family with transformers; compare the tensors we read with TransformerLens' own."""
    import torch
    import transformers

    small = {"vocab_size": 41, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    small |= {"intermediate_size": 24, "max_position_embeddings": 32}
    gqa = small | {"num_key_value_heads": 1}
    kinds = {
        "neox": (transformers.GPTNeoXConfig, small),
        "lama": (transformers.LlamaConfig, gqa),
        "mistral": (transformers.MistralConfig, gqa),
        "qwen2": (transformers.Qwen2Config, gqa),
        "qwen3": (transformers.Qwen3Config, gqa | {"head_dim": 8}),
        "gpt2": (
            transformers.GPT2Config,
            {"vocab_size": 41, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
        ),
    }
    found = {}
    for name, (kind, settings) in kinds.items():
        torch.manual_seed(0)
        theirs = transformers.AutoModelForCausalLM.from_config(kind(**settings)).eval()
        for parameter in theirs.parameters():
            torch.nn.init.normal_(parameter)
        theirs.save_pretrained(root / name)
        with no_network():
            model = LanguageModel(root / name)
            found[name] = differing(model, hooked_transformer(root / name, n_ctx=32))
        tokens = torch.arange(6)[None]
        with torch.no_grad():
            last = model.running.read(tokens, [LAST])[LAST]
            close = torch.allclose(
                model.running.logits(last).log_softmax(-1), theirs(tokens).logits.log_softmax(-1), atol=1e-3
            )
        found[name] += [] if close else ["logits"]
    return found


def differing(model: LanguageModel, hooked) -> list[str]:
    """Name the tensors that are not TransformerLens'."""
    theirs = {name: tensor.numpy() for name, tensor in hooked.state_dict().items()}
    ours = {"embed.W_E": model.W_E, "unembed.W_U": model.W_U, "unembed.b_U": model.b_U, "ln_final.w": model.ln_final[0]}
    ours |= {"ln_final.b": model.ln_final[1]} if model.ln_final[1] is not None else {}
    ours |= {"pos_embed.W_pos": model.W_pos} if model.positions == "absolute" else {}
    for name in ("mlp.W_in", "mlp.W_out", "attn.W_O"):
        ours[f"blocks.1.{name}"] = model.tensor(f"blocks.1.{name}")
    return [name for name, array in ours.items() if not np.array_equal(array, theirs[name])]


def gemma(root: Path) -> bool:
    """Gemma's shapes are known to TransformerLens by name alone, so transformers' own embedding is the measure."""
    import torch
    import transformers

    config = transformers.Gemma2Config(
        vocab_size=41, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        intermediate_size=24, max_position_embeddings=32,
    )  # fmt: skip
    theirs = transformers.AutoModelForCausalLM.from_config(config).eval()
    theirs.save_pretrained(root / "gema")
    model = LanguageModel(root / "gema")
    with torch.no_grad():
        states = theirs(torch.arange(41)[None, :32], output_hidden_states=True).hidden_states
    embedded = np.allclose(model.W_E[:32], states[0][0].numpy(), rtol=1e-5)
    return embedded and np.array_equal(model.ln_final[0], 1 + theirs.model.norm.weight.detach().numpy())


def main(root: Path) -> None:
    workspace = Workspace(cache=root / "app cache", models=())
    for key, write in FORMATS.items():
        item = registry().parse(key)
        if write:
            write(root / "hub" / item.repository, item)
    found = {"dictionaries": {key: compare_dictionary(key) for key in FORMATS}}
    found["damaged"] = damaged("gpt2-small-res-jb/blocks.0.hook_resid_pre")
    found["gpt2"] = compare_gpt2(workspace)
    found["families"] = families(root / "models")
    found["gemma"] = gemma(root / "models")
    print(json.dumps(found, default=bool))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
