"""The token pass:   python -m benchmarks.activations [--quick]

Synthetic weights of GPT-2's shape give about 80 active features on a token at layer 0, where the model is only a table.
So the time is that of the dictionary, its statistics, the reconstruction and the store on disk. The floor is the bare
product of inputs and encoder; the peer computes the same statistics in dense torch. The demo is measured with its
model. Counts, sums and errors are checked against dense float64 before anything is timed.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.common import Record, median_seconds, peak_gb, product_backends, report, seconds
from benchmarks.positions import Shape, synthetic_dictionary, synthetic_model
from core.activations.encoding import Encoder
from core.activations.quantiles import activation_quantiles
from core.activations.spliced_loss import spliced_loss
from core.activations.statistics import ActivationStatistics
from core.activations.store import feature_activations
from core.activations.token_pass import activation_pass, open_store
from core.corpus.streams import sample_rows, standard_library_stream
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources import demo
from core.feature.strongest_texts import strongest_texts
from core.models.language_model import LanguageModel
from core.models.search import find_model
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace

GPT2 = Shape(24576, 8192, 128, 768)
QUICK = Shape(4096, 4096, 128, 768)
LOG_RATE = {24576: -7.0, 4096: -5.2}
"""By number of features: the logarithm of the median density that makes about 80 features active on a token."""
DEMO = "layer3-standard-2048"
PEER_TOKENS, CHECKED_TOKENS, SPLICED_TOKENS, TOPK = 1024, 512, 4096, 64


def dense_torch(dictionary: Dictionary, x: np.ndarray, n_pos: int) -> Callable[[], list]:
    """Return a call that computes the pass's results, without histograms, in dense torch, 1024 tokens at a time."""
    import torch

    from core.work.torch_library import as_tensor

    W_enc, W_dec, b_enc, b_dec = map(
        as_tensor, (dictionary.W_enc, dictionary.W_dec, dictionary.b_enc, dictionary.b_dec)
    )
    inputs = as_tensor(x)

    def work() -> list:
        count, total, square, largest = torch.zeros(4, dictionary.d_sae)
        by_position, kept = torch.zeros(3, n_pos), []
        for part in inputs.split(1024):
            f = torch.relu((part - b_dec) @ W_enc + b_enc)
            active = f != 0
            count += active.sum(0)
            total += f.sum(0)
            square += (f**2).sum(0)
            torch.maximum(largest, f.amax(0), out=largest)
            for i, rows in enumerate((active.float(), f, f**2)):
                by_position[i] += rows.sum(1).view(-1, n_pos).sum(0)
            x_hat = f @ W_dec + b_dec
            error, dot = ((part - x_hat) ** 2).sum(1), (part * x_hat).sum(1)
            kept += [f[active], active.nonzero(), error, dot, part.norm(dim=1), x_hat.norm(dim=1)]
        return [count, total, square, largest, by_position, kept]

    with torch.no_grad():
        work()
    return torch.no_grad()(work)


def worst_error(dictionary: Dictionary, model: LanguageModel, rows: np.ndarray) -> float:
    """Return the largest error of sums of activations and of squared errors on a few rows, as a share of the largest.

    Counts may differ by one in a million tokens, where float32 and float64 round to different sides of 0.
    """
    found = activation_pass(dictionary, model, rows, None)
    x = model.activations(rows, dictionary.config.hook_name).reshape(-1, dictionary.d_in).astype(np.float64)
    f = np.maximum((x - dictionary.b_dec) @ dictionary.W_enc.astype(np.float64) + dictionary.b_enc, 0)
    wrong = np.abs(found.count.sum(axis=0) - np.count_nonzero(f, axis=0)).sum()
    assert wrong <= 1 + f.size / 1e6, f"{wrong} counts differ"
    total, square = f.sum(axis=0), (f**2).sum(axis=0)
    error = ((x - (f @ dictionary.W_dec + dictionary.b_dec)) ** 2).reshape(*rows.shape, -1).mean(axis=(0, 2))
    pairs = (found.total.sum(axis=0), total), (found.square.sum(axis=0), square), (found.errors().mse, error)
    print(f"L0 {np.count_nonzero(f) / len(f):.1f}, {wrong} counts of {f.size} activations differ")
    return float(max(np.abs(ours - true).max() / true.max() for ours, true in pairs))


def in_fresh_folder(work: Callable[[ArtifactStore], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work(ArtifactStore(Path(folder)))


def measure_pass(shape: Shape, *, n_rows: int, repeats: int) -> list[Record]:
    """Check the pass, then time it, its floor and its peer; measure its memory also at twice the tokens."""
    with tempfile.TemporaryDirectory() as folder:
        model = synthetic_model(shape, Path(folder))
        dictionary = synthetic_dictionary(shape, model, log_rate=LOG_RATE[shape.d_sae])
        rows = np.random.default_rng(2).integers(0, shape.d_vocab, (2 * n_rows, shape.n_pos))
        few = rows[: CHECKED_TOKENS // shape.n_pos]
        error = worst_error(dictionary, model, few)
        assert error < 1e-5, error

        def work(rows: np.ndarray) -> None:
            in_fresh_folder(lambda artifacts: activation_pass(dictionary, model, rows, artifacts))

        _ = dictionary.sha256, model.sha256
        work(rows[:n_rows])  # warm-up, so that the peaks below differ only if memory grows with tokens
        peaks = [peak_gb(lambda n=n: work(rows[:n])) for n in (n_rows, 2 * n_rows)]
        print("peak GB at n and 2 n tokens:", peaks)
        x = model.activations(rows[: PEER_TOKENS // shape.n_pos], "blocks.0.hook_resid_pre")
        x = np.ascontiguousarray(x.reshape(-1, shape.d_in))
        backends = product_backends(np.ascontiguousarray(dictionary.W_enc.T), x)
        peer = dense_torch(dictionary, x, shape.n_pos)
        jobs = {"pass": lambda: work(rows[:n_rows]), "peer": peer} | backends
        times = median_seconds(jobs, repeats)
    scale = n_rows * shape.n_pos / PEER_TOKENS
    floors = {name: round(scale * times[name], 3) for name in backends}
    print("seconds of the bare product by backend:", floors)
    tokens = f"{n_rows * shape.n_pos:,} tokens"
    return [
        Record(
            "token pass, dictionary's side",
            f"{shape.d_sae} features, {tokens}, d {shape.d_in}",
            times["pass"],
            floor_s=min(floors.values()),
            peer=f"dense torch ({PEER_TOKENS} tokens measured and scaled)",
            peer_s=scale * times["peer"],
            peak_gb=peaks[1],
            max_error=error,
        )
    ]


def as_topk(dictionary: Dictionary, k: int) -> Dictionary:
    """Return a dictionary of the same weights that keeps the k largest pre-activations of each token."""
    raw = {"architecture": "topk", "d_in": dictionary.d_in, "d_sae": dictionary.d_sae, "k": k}
    raw |= {"rescale_acts_by_decoder_norm": False, "apply_b_dec_to_input": True, "normalize_activations": "none"}
    raw |= {"reshape_activations": "none", "metadata": {"hook_name": dictionary.config.hook_name}}
    names = ("W_enc", "W_dec", "b_enc", "b_dec")
    return Dictionary(
        id="synthetic-topk",
        title="synthetic TopK",
        config=replace(dictionary.config, architecture="topk", k=k),
        raw_config=raw,
        tensors={name: getattr(dictionary, name).copy() for name in names},
    )


def measure_topk(shape: Shape, *, n_rows: int, repeats: int) -> list[Record]:
    """Encode with a TopK dictionary, by our own loops and by sae-lens; both must choose the same features."""
    with tempfile.TemporaryDirectory() as folder:
        model = synthetic_model(shape, Path(folder))
        dictionary = as_topk(synthetic_dictionary(shape, model, log_rate=LOG_RATE[shape.d_sae]), TOPK)
        rows = np.random.default_rng(2).integers(0, shape.d_vocab, (n_rows, shape.n_pos))
        ours, theirs = Encoder(dictionary), Encoder(dictionary, generic=True)
        few = rows[: CHECKED_TOKENS // shape.n_pos]
        a, b = ours.block(model, few), theirs.block(model, few)
        # Of two nearly equal features, rounding may choose either.
        same = np.intersect1d(
            *(np.repeat(np.arange(few.size), np.diff(c.ends, prepend=0)) * 2**20 + c.features for c in (a, b))
        )
        wrong = len(a.acts) - len(same)
        assert wrong <= 1 + len(a.acts) / 1e4, f"{wrong} of {len(a.acts)} chosen differently"
        x = model.activations(rows[: PEER_TOKENS // shape.n_pos], dictionary.config.hook_name).reshape(-1, shape.d_in)
        backends = product_backends(np.ascontiguousarray(dictionary.W_enc.T), np.ascontiguousarray(x))
        jobs = {"ours": lambda: ours.block(model, rows), "theirs": lambda: theirs.block(model, rows)}
        times = median_seconds(jobs | backends, repeats)
    floor = rows.size / PEER_TOKENS * min(times[name] for name in backends)
    size = f"{shape.d_sae} features, k {TOPK}, {rows.size:,} tokens, d {shape.d_in}"
    error = float(np.abs(a.measures - b.measures).max() / np.abs(b.measures).max())
    return [Record("TopK, encoded", size, times["ours"], floor, "sae-lens", times["theirs"], max_error=error)]


def measure_demo(n_tokens: int) -> list[Record]:
    """Time the pass of the demo with its model, then the analyses that read its store."""
    workspace = Workspace()
    dictionary = demo.open(DEMO, workspace)
    model = find_model(dictionary.config.model_name, workspace, centred=dictionary.config.center_writing_weights)
    context = dictionary.config.context_size or 128
    stream = standard_library_stream(model.tokenizer, separator=model.separator).tokens
    rows = sample_rows(stream, n_rows=n_tokens // context, context=context, seed=0)
    found: dict[str, ActivationStatistics] = {}
    _ = model.hooked, dictionary.sae
    with tempfile.TemporaryDirectory() as folder:
        artifacts = ArtifactStore(Path(folder))

        def work() -> None:
            found["stats"] = activation_pass(dictionary, model, rows, artifacts)

        times = {"token pass with its model": seconds(work)}
        store = open_store(dictionary, model, rows, artifacts)
        common = int(found["stats"].count.sum(axis=0).argmax())
        feature_activations(store, 0, d_sae=dictionary.d_sae)
        times["one feature's activations, from the store"] = seconds(
            lambda: feature_activations(store, common, d_sae=dictionary.d_sae)
        )
        times["deciles of all features, from the store"] = seconds(lambda: activation_quantiles(store, found["stats"]))
        hundred = range(0, dictionary.d_sae, dictionary.d_sae // 100)
        times["strongest rows of a hundred features, from the store"] = seconds(
            lambda: strongest_texts(store, hundred, d_sae=dictionary.d_sae)
        )
        few = rows[: SPLICED_TOKENS // context]
        times[f"loss with x_hat, 0 and the mean in place, {few.size:,} tokens"] = seconds(
            lambda: spliced_loss(dictionary, model, few)
        )
        size = f"{dictionary.title}, {rows.size:,} tokens, {artifacts.usage() / 1e6:.0f} MB on disk"
    return [Record(name, size, taken) for name, taken in times.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smaller shape, within a minute")
    quick = parser.parse_args().quick
    if quick:
        records = measure_pass(QUICK, n_rows=128, repeats=3) + measure_topk(QUICK, n_rows=16, repeats=3)
        records += measure_demo(20_000)
    else:
        records = measure_pass(GPT2, n_rows=128, repeats=3) + measure_topk(GPT2, n_rows=32, repeats=3)
        records += measure_demo(200_000)
    report(records)


if __name__ == "__main__":
    main()
