"""Opening a dictionary and its model, and searching the registry:   python -m benchmarks.loading [--quick]

A model folder of GPT-2's shape (random weights, Hugging Face's layout) and a dictionary of 24,576 features are written
to a temporary folder. Each way of opening them runs in a process of its own; its time includes imports.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, report, seconds

D, VOCAB, N_CTX, HEADS = 768, 50_257, 1024, 12
HOOK = "blocks.0.hook_resid_pre"
QUERIES = ("gpt2-small resid_pre", "gemma-2-2b 16k transcoder", "pythia topk", "width_16k l0_big", "nothing like it")
OURS = """
from pathlib import Path
from core.models.language_model import LanguageModel
from core.dictionaries.sources.folder import read_folder
from core.work.artifacts import ArtifactStore
sae = read_folder(Path({sae!r}), id="x", title="x")
model = LanguageModel(Path({model!r}), centred=True, store=ArtifactStore(Path({store!r})))
first = float((sae.W_dec[:8] @ model.W_U).max() + (model.W_E[:8] @ sae.W_enc).max() + model.W_pos[0, 0])
"""
USUAL = """
from core.work.torch_library import quiet_imports
quiet_imports()
import torch
import transformer_lens.loading_from_pretrained as conversion
from sae_lens import SAE
from transformer_lens import HookedTransformer
from transformers import AutoModelForCausalLM
hf = AutoModelForCausalLM.from_pretrained({model!r}, dtype=torch.float32, local_files_only=True)
config = conversion.get_pretrained_model_config({model!r}, hf_cfg=hf.config.to_dict(), device="cpu")
config.tokenizer_name = None
model = HookedTransformer(config, move_to_device=False)
state = conversion.get_pretrained_state_dict({model!r}, config, hf)
model.load_and_process_state_dict(state, fold_ln=False, center_writing_weights=True, center_unembed=False,
                                  fold_value_biases=False)
sae = SAE.load_from_disk({sae!r}, device="cpu")
sae.fold_W_dec_norm()
with torch.no_grad():
    first = float((sae.W_dec[:8] @ model.W_U).max() + (model.W_E[:8] @ sae.W_enc).max() + model.W_pos[0, 0])
"""
PEAK = """
import json
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e9
print(json.dumps([peak, first]))
"""


def write_model(folder: Path, n_layers: int) -> None:
    """Write random weights under the names of GPT-2's repository."""
    from safetensors.numpy import save_file

    folder.mkdir()
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": D, "n_layer": n_layers}
    config |= {"n_head": HEADS, "n_positions": N_CTX, "n_ctx": N_CTX, "vocab_size": VOCAB}
    (folder / "config.json").write_text(json.dumps(config))
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (VOCAB, D), "wpe.weight": (N_CTX, D)}
    shapes |= {"ln_f.weight": (D,), "ln_f.bias": (D,)}
    for layer in range(n_layers):
        block = {"attn.c_attn": (D, 3 * D), "attn.c_proj": (D, D), "mlp.c_fc": (D, 4 * D), "mlp.c_proj": (4 * D, D)}
        block |= {"ln_1": (D,), "ln_2": (D,)}
        shapes |= {f"h.{layer}.{name}.weight": shape for name, shape in block.items()}
        shapes |= {f"h.{layer}.{name}.bias": shape[-1:] for name, shape in block.items()}
    rng = np.random.default_rng(0)
    save_file(
        {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}, folder / "model.safetensors"
    )


def write_dictionary(folder: Path, d_sae: int) -> None:
    from safetensors.numpy import save_file

    folder.mkdir()
    rng = np.random.default_rng(1)
    tensors = {"W_enc": (D, d_sae), "W_dec": (d_sae, D), "b_enc": (d_sae,), "b_dec": (D,)}
    drawn = {name: rng.standard_normal(shape, np.float32) for name, shape in tensors.items()}
    save_file(drawn, folder / "sae_weights.safetensors")
    metadata = {"model_name": "gpt2-small", "hook_name": HOOK, "context_size": 128, "sae_lens_version": "6.0.0"}
    metadata["model_from_pretrained_kwargs"] = {"center_writing_weights": True}
    config = {"architecture": "standard", "d_in": D, "d_sae": d_sae, "dtype": "float32", "device": "cpu"}
    config |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none"}
    (folder / "cfg.json").write_text(json.dumps(config | {"metadata": metadata}))


def in_fresh_process(script: str, root: Path) -> tuple[float, float, float]:
    """Run a script and return seconds, peak GB and the number that it prints."""
    code = script.format(sae=str(root / "sae"), model=str(root / "gpt2"), store=str(root / "store")) + PEAK
    found: list = []

    def run() -> None:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{done.stderr[-2000:]}\nA child process failed.")
        found.extend(json.loads(done.stdout.splitlines()[-1]))

    return seconds(run), *found


def opening(root: Path, size: str) -> list[Record]:
    # The first process finds out what the architecture is made of, and keeps it for all others.
    once, ours, usual = (in_fresh_process(script, root) for script in (OURS, OURS, USUAL))
    error = abs(ours[2] - usual[2])
    assert error < 1e-3 * abs(usual[2]), (ours[2], usual[2])
    peer = "the model with its processing, and the SAE"
    return [
        Record("open to first numbers, fresh process", size, ours[0], peer=peer, peer_s=usual[0], peak_gb=ours[1]),
        Record("open an architecture for the first time", size, once[0], peak_gb=once[1]),
        Record("the usual way, fresh process", size, usual[0], peak_gb=usual[1], max_error=error),
    ]


def searching(repeats: int) -> list[Record]:
    from core.dictionaries.registry import index as registry_index

    parse = seconds(registry_index.registry)
    index = registry_index.registry()
    jobs = {query: lambda query=query: index.search(query) for query in QUERIES}
    worst = max(median_seconds(jobs, repeats).values())
    size = f"{len(index.items):,} dictionaries"
    return [Record("read the registry, once", size, parse), Record("search, slowest query", size, worst)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a model of 2 layers and few features")
    quick = parser.parse_args().quick
    n_layers, d_sae = (2, 4096) if quick else (12, 24_576)
    records = searching(5 if quick else 21)
    with tempfile.TemporaryDirectory() as name:
        write_model(Path(name, "gpt2"), n_layers)
        write_dictionary(Path(name, "sae"), d_sae)
        records += opening(Path(name), f"{d_sae:,} x {D}, {n_layers} layers")
    report(records)


if __name__ == "__main__":
    main()
