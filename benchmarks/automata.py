"""What fires next, counted and tested on a text:   python -m benchmarks.automata [--quick] [--runs N]

Demo: 200,000 stored tokens of a token pass, read from disk, with two shuffled texts. Planted: a dictionary of 24,576
features of which about 50 fire on a token, a few often and most seldom, in stretches of 128 tokens with features of
their own. The peaks are those of the process, without the activations that it begins with.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, report
from benchmarks.text_pages import DICTIONARY, N_ROWS, store_pass
from core.activations.sparse import SparseActivations
from core.activations.token_pass import open_store
from core.automata.stretches import Stretches, apart_of, read_stretches
from core.automata.transitions import TransitionSettings, transitions
from core.corpus.samples import SampleSettings, sample_of_stream
from core.corpus.streams import standard_library_stream
from core.dictionaries.sources import demo
from core.models.search import find_model
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace

D_SAE, L0, N_POS = 24_576, 50, 128


def planted(n_rows: int) -> Stretches:
    """Draw activations: features are the more frequent the lower they are; a tenth of them may fire in a row."""
    rng = np.random.default_rng(0)
    weight = 1 / (10 + np.arange(D_SAE))
    features = []
    for _ in range(n_rows):
        here = np.where(rng.random(D_SAE) < 0.1, weight, 0)
        drawn = rng.choice(D_SAE, (N_POS - 1, L0), p=here / here.sum())
        features += [np.unique(row) for row in drawn]
    ends = np.cumsum([len(row) for row in features]).astype(np.int64)
    flat = np.concatenate(features).astype(np.int32)
    acts = SparseActivations(ends, flat, np.ones(len(flat), np.float32), D_SAE)
    place = np.arange(n_rows * N_POS)
    return Stretches(acts, place[place % N_POS > 0], N_POS)


def of_demo(folder: Path):
    """Return a function that reads the demo's store and tests all of its transitions."""
    store_pass(folder)
    workspace = Workspace()
    dictionary = demo.open(DICTIONARY, workspace)
    model = find_model(dictionary.config.model_name, workspace, centred=dictionary.config.center_writing_weights)
    stream = standard_library_stream(model.tokenizer, separator=model.separator)
    sample = sample_of_stream(stream.tokens, stream.title, dictionary.config, model, SampleSettings(n_rows=N_ROWS))
    store = open_store(dictionary, model, sample.rows, ArtifactStore(folder))
    return lambda: transitions(read_stretches(store, dictionary.d_sae, apart=apart_of(model)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run, and an eighth of the planted text")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    runs = 1 if arguments.quick else arguments.runs
    few = planted(4)
    settings = TransitionSettings(n_shuffles=1)
    found, again = (
        transitions(few, settings, block=block, workers=workers) for block, workers in ((7, 1), (None, None))
    )
    assert (found.count == again.count).all()
    assert (found.log10_q == again.log10_q).all()
    with tempfile.TemporaryDirectory() as folder:
        demo_job = of_demo(Path(folder))
        rows = N_ROWS // (8 if arguments.quick else 1)
        text = planted(rows)
        jobs = {
            "automaton, demo": (demo_job, f"{DICTIONARY}, {N_ROWS * N_POS:,} tokens"),
            "automaton, planted": (lambda: transitions(text), f"d_sae {D_SAE:,}, L0 {L0}, {rows * N_POS:,} tokens"),
        }
        records = []
        for name, (job, size) in jobs.items():
            peak = peak_gb(job)
            records.append(Record(name, size, median_seconds({name: job}, runs)[name], peak_gb=peak))
    report(records)


if __name__ == "__main__":
    main()
