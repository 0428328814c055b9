"""What a training will cost, estimated before it starts."""

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.devices.device import CPU, Device
from core.models.language_model import LanguageModel
from core.training.settings import TrainingSettings
from core.work.threads import available_cpus, one_thread_per_product

_TRIAL_TOKENS = 256
_TRIAL_S = 0.3
"""A trial product is repeated for about this long."""
_PASSES = 3.0
"""Forward and backward take three times both products of a step."""
_ELSEWHERE = 800
"""Masks, norms and copies of batch x d_sae take about as long as products with so many more inputs would."""
_ARRAYS = 6
"""Arrays of batch x d_sae in memory at the peak of a step."""


@dataclass(frozen=True)
class Cost:
    """An estimate. Times are right to a factor of about two."""

    steps: int
    """Steps of each dictionary."""
    tokens: int
    """Activations that each dictionary sees."""
    seconds: float
    """Of the whole run, if the machine does nothing else."""
    memory_bytes: int
    """Memory of the weights, of Adam's moments, of one step and of the buffer, without the language model."""
    disk_bytes: int
    """Largest amount on disk: two checkpoints, of which one is being written, or the results."""


def estimate(settings: TrainingSettings, model: LanguageModel, device: Device = CPU) -> Cost:
    """Estimate a run's cost from its sizes and from a short trial of one product on this machine.

    Raises DoesNotFitError for a hook without one vector for each token.
    """
    d_in, n = model.hook_width(settings.hook_name), len(settings.seeds)
    weights = 2 * d_in * settings.d_sae
    products = (_PASSES + _ELSEWHERE / d_in) * 2
    each_s = products * settings.batch_tokens / _TRIAL_TOKENS * trial_seconds(d_in, settings.d_sae)
    seconds = n * settings.steps * each_s + _model_seconds(settings, model, d_in, settings.d_sae)
    step_bytes = _ARRAYS * settings.batch_tokens * settings.d_sae
    if settings.type == "orthogonal":
        step_bytes += 2 * min(2048, settings.d_sae) * settings.d_sae
        seconds += n * settings.steps * settings.d_sae / _TRIAL_TOKENS * trial_seconds(d_in, settings.d_sae)
    return Cost(
        steps=settings.steps,
        tokens=settings.steps * settings.batch_tokens,
        seconds=seconds if device.is_cpu else seconds / 20,
        memory_bytes=4 * (n * 4 * weights + step_bytes + settings.buffer_tokens * d_in),
        disk_bytes=4 * n * 2 * 3 * weights,
    )


def _model_seconds(settings: TrainingSettings, model: LanguageModel, d_in: int, d_sae: int) -> float:
    """Estimate the language model's time: it multiplies each token by about 12 d_model² weights a layer."""
    layer = settings.hook_name.split(".")[1] if settings.hook_name.startswith("blocks.") else ""
    layers = int(layer) + 1 if layer.isdecimal() else model.n_layers
    if settings.hook_name == "blocks.0.hook_resid_pre" and model.positions == "absolute":
        layers = 0
    products = layers * 12 * model.d_model**2 / (d_in * d_sae)
    return settings.training_tokens / _TRIAL_TOKENS * products * trial_seconds(d_in, d_sae)


@lru_cache(maxsize=64)
def trial_seconds(d_in: int, d_sae: int) -> float:
    """Measure one product of _TRIAL_TOKENS rows with a d_in x d_sae matrix on this machine's CPU, in seconds.

    It is the time of one processor, which other programs do not lengthen, divided among all.
    """
    width = min(d_sae, 2**24 // d_in)  # more would only take longer
    x, W = np.ones((_TRIAL_TOKENS, d_in), np.float32), np.ones((d_in, width), np.float32)
    times = []
    with one_thread_per_product():
        end = time.perf_counter() + _TRIAL_S
        while len(times) < 3 or time.perf_counter() < end:
            began = time.thread_time()
            x @ W
            times.append(time.thread_time() - began)
    return min(times) * d_sae / width / available_cpus()
