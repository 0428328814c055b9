"""sae-lens' trainer for one dictionary, and its result as a folder that any user of sae-lens opens.

Imports torch: import lazily.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from sae_lens import TrainingSAE, __version__
from sae_lens.config import LoggingConfig, SAETrainerConfig
from sae_lens.saes.sae import SAEMetadata
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import save_file
from torch import Tensor

from core.devices.device import CPU, Device
from core.training import own_types  # noqa: F401, registers the types
from core.training.settings import TrainingSettings, to_toml
from core.training.stream import Batches, Stream
from core.work.temporary import temporary_folder

SETTINGS_FILE = "training.toml"
"""Beside a result: the settings of its run."""
_LAST = 5
"""Densities and L0 that are saved count the last fifth of the training."""


def make_trainer(
    settings: TrainingSettings, seed: int, stream: Stream, *, title: str = "", device: Device = CPU
) -> SAETrainer:
    """Return sae-lens' trainer of one dictionary before its first step. `title` names the text.

    The seed draws the weights on the CPU, so that they are the same on every device.
    """
    torch.manual_seed(seed)
    sae = TrainingSAE.from_dict(_sae_config(settings, seed, stream.d_in, title)).to(str(device.torch))
    steps = settings.steps
    config = SAETrainerConfig(
        total_training_samples=steps * settings.batch_tokens,
        train_batch_size_samples=settings.batch_tokens,
        lr=settings.lr,
        lr_end=settings.lr,
        lr_warm_up_steps=int(steps * settings.lr_warm_up),
        lr_decay_steps=int(steps * settings.lr_decay),
        device=str(device.torch),
        autocast=settings.autocast,
        dead_feature_window=settings.dead_after,
        feature_sampling_window=max(1, steps - steps // _LAST),
        logger=LoggingConfig(log_to_wandb=False, wandb_project=settings.wandb_project),
    )
    trainer = SAETrainer(config, sae, Batches(stream, seed))
    for group in trainer.optimizer.param_groups:
        group |= {"fused": True, "foreach": False}  # one pass over the weights instead of several
    return trainer


def _sae_config(settings: TrainingSettings, seed: int, d_in: int, title: str) -> dict[str, Any]:
    config_class = TrainingSAE.get_sae_config_class_for_architecture(settings.type)
    metadata = SAEMetadata(
        model_name=settings.model,
        hook_name=settings.hook_name,
        context_size=settings.text.context,
        prepend_bos=settings.text.bos,
        exclude_special_tokens=not settings.text.special,
        dataset_path=title,
        seed=seed,
        model_from_pretrained_kwargs={},
        sae_lens_version=__version__,
    )
    config = config_class(
        d_in=d_in,
        d_sae=settings.d_sae,
        normalize_activations="expected_average_only_in",
        reshape_activations="hook_z" if settings.hook_name.endswith("hook_z") else "none",
        metadata=metadata,
        **settings.options.arguments(settings.d_sae),
    )
    return config.to_dict()


def fit_to_inputs(trainer: SAETrainer, x: Float[Tensor, "token d_in"]) -> None:
    """Scale inputs to the length sqrt(d_in) on average, and let the decoder start at their mean.

    One learning rate and one penalty then do for every layer. `finish` folds the scale into the weights.
    """
    x = x.double()
    scale = float(x.shape[1] ** 0.5 / x.norm(dim=1).mean())
    trainer.activation_scaler.scaling_factor = scale
    trainer.sae.b_dec.data.copy_(x.mean(0) * scale)


def take_step(trainer: SAETrainer) -> Any:
    """Train on the next batch and return what sae-lens' step returns. The loop is that of sae-lens' own `fit`."""
    trainer.maybe_reset_sparsity()
    output = trainer.step(next(trainer.data_provider))
    trainer.n_training_steps += 1
    return output


def finish(trainer: SAETrainer) -> Any:
    """Fold the scale of inputs and the lengths of decoder rows into the weights; return the SAE, on the CPU."""
    sae = trainer.sae
    sae.fold_activation_norm_scaling_factor(trainer.activation_scaler.scaling_factor)
    trainer.activation_scaler.scaling_factor = None
    trainer.set_final_sae_metadata()
    sae.fold_W_dec_norm()
    return sae.to("cpu")


def save_result(trainer: SAETrainer, settings: TrainingSettings, folder: Path) -> None:
    """Write a finished dictionary as sae-lens' inference folder, which is whole or not there. Raises OSError."""
    with temporary_folder(folder.parent) as new:
        sae = finish(trainer)
        weights, config = sae.save_inference_model(new / "new")
        save_file({"sparsity": trainer.log_feature_sparsity}, new / "new" / "sparsity.safetensors")
        config.write_text(json.dumps(json.loads(config.read_text()), indent=1) + "\n")
        (new / "new" / SETTINGS_FILE).write_text(to_toml(settings))
        for path in (new / "new").iterdir():
            path.chmod(0o644)  # safetensors makes files for the owner only
        os.rename(new / "new", folder)
    assert weights.name == "sae_weights.safetensors"
