"""Edits beside plain runs, and dose curves with controls:   python -m benchmarks.interventions [--gpt2]

On the demo; with --gpt2 a model of GPT-2's shape with random weights (0.5 GB on disk) as well. No edit must be the
plain run to the last bit before anything is timed.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, report, seconds
from core.dictionaries.config import DictionaryConfig
from core.dictionaries.dictionary import Dictionary
from core.interventions.controls import ControlSettings, draw_controls
from core.interventions.doses import dose_response
from core.interventions.edits import Edit
from core.interventions.impact import no_edit_is_plain
from core.interventions.runs import EditedRuns
from core.models.hf_runner import LAST
from core.models.language_model import LanguageModel
from core.models.search import DEMO
from core.notebook import load_dictionary

TOKENS, DOSES, CONTROLS = 64, 20, 20
LAYER, STACKED = 8, 16


def rows_of(model: LanguageModel) -> np.ndarray:
    return np.random.default_rng(0).integers(1, model.d_vocab, (1, TOKENS))


def demo() -> list[Record]:
    """Time one ablation, with its plain run, and a dose curve with random directions."""
    dictionary = load_dictionary(DEMO.parent / "dictionaries" / "layer2-standard-2048")
    model = LanguageModel(DEMO)
    rows = rows_of(model)
    runs = EditedRuns(dictionary, model, rows)
    assert no_edit_is_plain(runs, (0, TOKENS - 1))
    feature = int(runs.acts.sum(axis=(0, 1)).argmax())
    controls = draw_controls(dictionary.W_dec, [feature], ControlSettings(CONTROLS))
    doses = np.linspace(-8, 8, DOSES)
    edit = Edit((feature,), "add")
    ablation = median_seconds({"one": lambda: EditedRuns(dictionary, model, rows).effects([Edit((feature,))])}, 9)[
        "one"
    ]
    curve = seconds(lambda: dose_response(runs, edit, doses, controls, place=(0, TOKENS - 1)))
    size = f"demo, {TOKENS} tokens"
    return [
        Record("one ablation, with its plain run", size, ablation),
        Record("dose curve", f"{size}, {DOSES} doses, {CONTROLS} random directions", curve),
    ]


def gpt2() -> list[Record]:
    """Time edits stacked in one pass, with log-probabilities of all next tokens, beside plain runs stacked alike."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with tempfile.TemporaryDirectory() as folder:
        GPT2LMHeadModel(GPT2Config()).save_pretrained(folder)
        model, dictionary = LanguageModel(Path(folder)), dictionary_of(768, 24576)
        rows = rows_of(model)
        runs = EditedRuns(dictionary, model, rows)
        assert no_edit_is_plain(runs, (0, TOKENS - 1))
        features = np.argsort(-runs.acts.sum(axis=(0, 1)))[:STACKED].tolist()
        edits, tokens = [Edit((feature,)) for feature in features], torch.from_numpy(np.repeat(rows, STACKED, axis=0))

        def plain() -> None:
            last = model.running.read(tokens, [LAST])[LAST].flatten(0, 1)
            model.running.logits(last).float().log_softmax(dim=1)

        runs.effects(edits)  # the plain run, stacked alike, is made once
        plain()
        found = median_seconds({"plain": plain, "edited": lambda: runs.effects(edits)}, 3)
    size = f"GPT-2's shape, {STACKED} rows of {TOKENS} tokens, layer {LAYER}"
    return [Record("stacked ablations, floor: plain forward passes", size, found["edited"], found["plain"])]


def dictionary_of(d_in: int, d_sae: int) -> Dictionary:
    rng = np.random.default_rng(0)
    W_dec = rng.standard_normal((d_sae, d_in), dtype=np.float32)
    W_dec /= np.linalg.norm(W_dec, axis=1, keepdims=True)
    hook = f"blocks.{LAYER}.hook_resid_pre"
    raw = {"architecture": "standard", "d_in": d_in, "d_sae": d_sae, "dtype": "float32", "device": "cpu"}
    raw |= {"apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none"}
    raw |= {"metadata": {"model_name": "gpt2", "hook_name": hook}}
    config = DictionaryConfig("standard", d_in, d_sae, d_in, "gpt2", hook)
    tensors = {"W_enc": np.ascontiguousarray(W_dec.T), "W_dec": W_dec}
    tensors |= {"b_enc": np.full(d_sae, -0.1, np.float32), "b_dec": np.zeros(d_in, np.float32)}
    return Dictionary(id="random", title="random", config=config, raw_config=raw, tensors=tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpt2", action="store_true", help="a model of GPT-2's shape too")
    args = parser.parse_args()
    report([*demo(), *(gpt2() if args.gpt2 else [])])


if __name__ == "__main__":
    main()
