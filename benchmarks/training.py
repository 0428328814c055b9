"""A training run against sae-lens' own trainer alone:   python -m benchmarks.training [--quick] [--runs N]

Both train the same dictionary on the same batches, which are drawn from a buffer in memory. Ours also checks every
loss, logs, writes a checkpoint, and saves its result.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.common import Record, median_seconds, peak_gb, report
from core.training.log import FINISHED
from core.training.loop import Training
from core.training.runs import create
from core.training.settings import TrainingSettings
from core.training.trainer import make_trainer
from core.training.types import TYPES
from core.workspace import Workspace

D_IN, D_SAE, BATCH = 128, 2048, 1024


class Buffer:
    """Batches of normal numbers, as core.training.stream.Stream asks for them."""

    d_in = D_IN

    def __init__(self):
        self._rows = torch.randn(2**16, D_IN, generator=torch.Generator().manual_seed(0))

    def batch(self, seed: int, step: int) -> torch.Tensor:
        index = torch.randint(len(self._rows), (BATCH,), generator=torch.Generator().manual_seed(step))
        return self._rows[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a quarter of the steps")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the median is told (default: 3)")
    options = parser.parse_args()
    steps, stream = 20 if options.quick else 80, Buffer()
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("standard", "topk"):
            jobs = _jobs(kind, steps, stream, Workspace(runs=Path(folder)))
            for job in jobs.values():
                job()  # warm up
            times = median_seconds(jobs, options.runs)
            peaks = {name: peak_gb(job) for name, job in jobs.items()}
            size = f"{D_SAE:,} features, width {D_IN}, {steps} steps of {BATCH:,} tokens"
            peer = f"sae-lens' own trainer (peak +{peaks['theirs'] or 0:.3f} GB)"
            name = f"training, {kind}"
            records.append(Record(name, size, times["ours"], peer=peer, peer_s=times["theirs"], peak_gb=peaks["ours"]))
            print(f"{kind}: {steps * BATCH / times['ours']:,.0f} and {steps * BATCH / times['theirs']:,.0f} tokens/s")
    report(records)


def _jobs(kind: str, steps: int, stream: Buffer, workspace: Workspace) -> dict:
    settings = TrainingSettings(
        name="run",
        model="m",
        hook_name="blocks.0.hook_resid_pre",
        d_sae=D_SAE,
        type=kind,
        options=TYPES[kind](),
        training_tokens=steps * BATCH,
        batch_tokens=BATCH,
        checkpoint_steps=steps // 2,
    )
    names = (f"{kind}{i}" for i in range(10**6))

    def ours() -> None:
        run = create(replace(settings, name=next(names)), workspace)
        assert Training(run, run.settings, stream).run() == FINISHED

    def theirs() -> None:
        trainer = make_trainer(settings, 0, stream)
        for group in trainer.optimizer.param_groups:
            group |= {"fused": None, "foreach": None}  # as sae-lens makes it
        trainer.cfg.n_batches_for_norm_estimate = 98  # as many tokens as ours reads first
        trainer.fit()

    return {"ours": ours, "theirs": theirs}


if __name__ == "__main__":
    main()
