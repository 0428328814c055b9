"""Sends curves and results to Weights & Biases, if the settings name a project. Otherwise it imports nothing."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from core.training.settings import TrainingSettings, to_toml


@runtime_checkable
class Link(Protocol):
    """Where sae-lens' numbers of a step go."""

    def log(self, seed: int, numbers: Mapping[str, float], step: int) -> None: ...

    def result(self, trainer: Any, folder: Path) -> None: ...

    def finish(self) -> None: ...


class _Nowhere:
    def log(self, seed: int, numbers: Mapping[str, float], step: int) -> None:
        pass

    def result(self, trainer: Any, folder: Path) -> None:
        pass

    def finish(self) -> None:
        pass


class _Wandb:
    """One run at W&B. Numbers of several seeds have the seed before their name."""

    def __init__(self, settings: TrainingSettings):
        if os.environ.get("WANDB_MODE") == "disabled":  # as core.work.torch_library sets it
            del os.environ["WANDB_MODE"]
        import wandb

        self._several = len(settings.seeds) > 1
        self._run = wandb.init(
            project=settings.wandb_project, name=settings.name, config={"settings": to_toml(settings)}
        )

    def log(self, seed: int, numbers: Mapping[str, float], step: int) -> None:
        before = f"seed{seed}/" if self._several else ""
        self._run.log({f"{before}{name}": value for name, value in numbers.items()}, step=step)

    def result(self, trainer: Any, folder: Path) -> None:
        """Send a finished dictionary by sae-lens' own logger."""
        files = [folder / name for name in ("sae_weights.safetensors", "cfg.json", "sparsity.safetensors")]
        trainer.cfg.logger.log(trainer, files[0], files[1], sparsity_path=files[2])

    def finish(self) -> None:
        self._run.finish()


def link(settings: TrainingSettings) -> Link:
    """Return the link that settings ask for."""
    return _Wandb(settings) if settings.wandb_project else _Nowhere()
