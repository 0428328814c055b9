"""The causal atlas, and attribution on a text:   python -m benchmarks.attribution [--quick]

The demo is measured with its model on the standard library's documentation. At GPT-2's shape, with random weights, the
atlas of a TopK dictionary that reads the first block is compared with plain forward passes over the same tokens, in
turns; a dictionary that reads a later block has a shorter way back. Effects are checked against torch's own gradient of
the untouched model before anything is timed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, report, seconds
from core.activations.store import ActivationStore
from core.activations.token_pass import activation_pass, open_store
from core.corpus.streams import sample_rows, standard_library_stream
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.parsing import parse_config
from core.dictionaries.sources import demo
from core.interventions.atlas import causal_atlas
from core.interventions.attribution import Asked, attribute, check_guess, chosen
from core.interventions.first_order import directions, sensitivity
from core.models.gradients import losses
from core.models.language_model import LanguageModel
from core.models.search import find_model
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace

DEMO = "layer2-standard-2048"
D, N_POS, K = 768, 128, 64
HOOK = "blocks.0.hook_resid_pre"


def worst_error(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray) -> float:
    """Return the largest error of effects on the loss, as a share of the largest, against a gradient by torch alone."""
    import torch

    from core.models.hf_runner import LAST

    hook, tokens = dictionary.config.hook_name, torch.from_numpy(rows)
    way = torch.from_numpy(directions(dictionary)[7].copy())
    found = sensitivity(dictionary, model, rows, losses(rows, np.ones(rows.shape, bool)))
    ours = found.gradient.astype(np.float64).sum(axis=0) @ way.double().numpy()

    def total(step: float) -> float:
        put = (hook, lambda old: (old.float() + step * way).to(old.dtype))
        last = model.running.read(tokens, [LAST], replace=put)[LAST].flatten(0, 1)
        log_p = model.running.logits(last).double().log_softmax(dim=1).reshape(*rows.shape, -1)
        return -float(log_p[:, :-1].gather(2, tokens[:, 1:, None]).sum())

    size = 1e-2 / float(way.norm())
    return abs(ours - (total(size) - total(-size)) / (2 * size)) / max(abs(ours), 1e-9)


def stored(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray, folder: Path) -> ActivationStore:
    activation_pass(dictionary, model, rows, artifacts := ArtifactStore(folder))
    return open_store(dictionary, model, rows, artifacts)


def measure_demo(n_tokens: int) -> list[Record]:
    workspace = Workspace()
    dictionary = demo.open(DEMO, workspace)
    model = find_model(dictionary.config.model_name, workspace, centred=dictionary.config.center_writing_weights)
    stream = standard_library_stream(model.tokenizer, separator=model.separator).tokens
    rows = sample_rows(stream, n_rows=n_tokens // N_POS, context=N_POS, seed=0).astype(np.int64)
    error = worst_error(dictionary, model, rows[:2])
    assert error < 1e-2, error
    with tempfile.TemporaryDirectory() as folder:
        store = stored(dictionary, model, rows, Path(folder))
        causal_atlas(dictionary, model, stored(dictionary, model, rows[:4], Path(folder)))
        peak = peak_gb(lambda: causal_atlas(dictionary, model, store))
        atlas = seconds(lambda: causal_atlas(dictionary, model, store))
    text = rows[:1, :64]

    def on_text() -> None:
        found = attribute(dictionary, model, text, Asked())
        check_guess(dictionary, model, found, Asked(), *chosen(found.table, strongest=20, sampled=20))

    on_text()
    size = f"{dictionary.title}, {rows.size:,} tokens"
    ablated = "attribution of 64 tokens, 40 features and 40 directions ablated"
    return [
        Record("causal atlas of the demo", size, atlas, peak_gb=peak, max_error=error),
        Record(ablated, dictionary.title, median_seconds({"text": on_text}, 3)["text"]),
    ]


def topk_dictionary(d_sae: int) -> Dictionary:
    rng = np.random.default_rng(1)
    W_dec = rng.standard_normal((d_sae, D), np.float32)
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    raw = {"architecture": "topk", "d_in": D, "d_sae": d_sae, "k": K, "rescale_acts_by_decoder_norm": False}
    raw |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none"}
    return Dictionary(
        id="synthetic",
        title="synthetic TopK",
        config=parse_config(raw | {"metadata": {"hook_name": HOOK}}, Path("synthetic")),
        raw_config=raw | {"metadata": {"hook_name": HOOK}},
        tensors={"W_enc": W_dec.T.copy(), "W_dec": W_dec, "b_enc": np.zeros(d_sae, "f4"), "b_dec": np.zeros(D, "f4")},
    )


def measure_gpt2(n_layers: int, d_sae: int, n_rows: int, repeats: int) -> list[Record]:
    """Compare the atlas, from the stored activations on, with the model's own forward pass, logits included."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        GPT2LMHeadModel(GPT2Config(n_layer=n_layers)).save_pretrained(Path(folder, "gpt2"))
        model, dictionary = LanguageModel(Path(folder, "gpt2")), topk_dictionary(d_sae)
        rows = np.random.default_rng(2).integers(0, model.d_vocab, (n_rows, N_POS))
        error = worst_error(dictionary, model, rows[:1])
        assert error < 1e-2, error
        store = stored(dictionary, model, rows, Path(folder, "store"))
        module = model.running.module

        def plain() -> None:
            with torch.no_grad():
                for part in torch.from_numpy(rows).split(4):
                    module(input_ids=part, use_cache=False)

        jobs = {"atlas": lambda: causal_atlas(dictionary, model, store), "plain": plain}
        median_seconds(jobs, 1)
        times = median_seconds(jobs, repeats)
        peak = peak_gb(jobs["atlas"])
    passes = times["atlas"] / times["plain"]
    print(f"the atlas costs {passes:.2f} plain forward passes for each token")
    size = f"{d_sae:,} features, {K} active, {n_layers} layers of GPT-2, {rows.size:,} tokens"
    return [
        Record("causal atlas, all blocks above", size, times["atlas"], times["plain"], peak_gb=peak, max_error=error)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller model and fewer tokens, within a minute")
    quick = parser.parse_args().quick
    records = measure_demo(2_048 if quick else 16_384)
    records += measure_gpt2(2 if quick else 12, 4_096 if quick else 24_576, 8 if quick else 16, 3)
    report(records)


if __name__ == "__main__":
    main()
