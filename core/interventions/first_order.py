"""First-order effects of features: how a number of the model would change, to first order, with each activation.

The effect of feature f at token t is (act - baseline) * (g_t . d_f): g_t is the gradient of the number with respect to
what passes at the dictionary's hook (a transcoder's output hook), d_f what f writes there for each unit of activation.
It stands for the number as it is minus the number with the activation at its baseline (Nanda 2023; Marks et al. 2024).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core.devices.device import CPU, Device, named_failures
from core.dictionaries.config import DictionaryConfig, check_reconstructs
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError, DoesNotFitError
from core.models.batches import rows_per_run
from core.models.gradients import Gradient, Target
from core.models.language_model import LanguageModel
from core.models.search import check_hooks

TOKENS_PER_RUN = 2**9
_KEPT = 34
"""Times d_model, floats that a run keeps for the way back, for each token and block: measured on GPT-2."""
_SCALED = ("constant_norm_rescale", "layer_norm")
"""Settings with which the decoder multiplies what it writes at a token by a number of that token."""


def hook_written(config: DictionaryConfig) -> str:
    """Return the hook that features write to."""
    return config.hook_name_out or config.hook_name


def check_causes(dictionary: Dictionary, model: LanguageModel, rows: Int[np.ndarray, "row pos"]) -> None:
    """Raise DoesNotFitError or CorpusError unless features write something here that predictions could depend on."""
    check_hooks(dictionary, model)
    check_reconstructs(dictionary.config, dictionary.title)
    if rows.shape[1] < 2 or not len(rows):
        raise CorpusError(
            f"Rows of shape {rows.shape} hold no next token whose prediction could depend on a feature. Expected rows "
            "of at least 2 tokens; choose a longer text."
        )
    model.check_rows(rows)


def directions(dictionary: Dictionary) -> Float[np.ndarray, "d_sae d_out"]:
    """Return what each feature writes for a unit of activation, but for a factor of the token where there is one."""
    if not dictionary.config.rescale_acts_by_decoder_norm:
        return dictionary.W_dec
    lengths = np.linalg.norm(dictionary.W_dec, axis=1)
    return dictionary.W_dec / np.where(lengths > 0, lengths, 1)[:, None]


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """How the sum of a target's numbers changes with what features write at each token."""

    gradient: Float[np.ndarray, "token d_out"]
    """With respect to the sum of activation times `directions`."""
    values: Float[np.ndarray, " n"]
    """The target's numbers."""
    factors: Float[np.ndarray, " token"]
    """What the dictionary multiplies that sum by at each token: 1, unless it normalises its input."""


def sensitivity(
    dictionary: Dictionary,
    model: LanguageModel,
    rows: Int[np.ndarray, "row pos"],
    target: Target,
    *,
    device: Device = CPU,
) -> Sensitivity:
    """Run the model forward and back once. Raises what the runner's `gradient` raises, and MemoryBudgetError."""
    config, hook = dictionary.config, hook_written(dictionary.config)
    scaled = config.normalize_activations in _SCALED
    names = [config.hook_name] if scaled else []
    found = _gradient(model, rows, hook, target, names, device)
    with named_failures(device):
        gradient = np.ascontiguousarray(found.gradient.flatten(0, 1).float().cpu().numpy())
        seen = found.seen[config.hook_name].flatten(0, 1).float().cpu().numpy() if scaled else None
    factors = np.ones(len(gradient), np.float32)
    if seen is not None:
        factors = _factors(dictionary, seen)
        gradient = gradient * factors[:, None]
    return Sensitivity(gradient, found.values.numpy(), factors)


def _gradient(
    model: LanguageModel, rows: np.ndarray, hook: str, target: Target, names: Sequence[str], device: Device
) -> Gradient:
    if device.runs_kernels:
        from core.models.on_device import gradient_on_device

        return gradient_on_device(model, rows, hook, target, device, names=names)
    import torch

    above = model.n_layers - (model.running.layer_of(hook) or 0)
    model.make_room(4 * _KEPT * model.d_model * rows.size * above)
    return model.running.gradient(torch.from_numpy(rows.astype(np.int64)), hook, target, names=names)


def in_runs(work: Callable[[slice], Any], rows: Int[np.ndarray, "row pos"], device: Device) -> list[Any]:
    """Return `work` of a few rows at a time, fewer where a device's memory runs out on the way back."""
    step = rows_per_run(rows.shape[1], TOKENS_PER_RUN)
    if device.runs_kernels:
        from core.devices.blocks import run_on_device

        return run_on_device(work, len(rows), step, device, gradients=True)
    return [work(slice(start, min(start + step, len(rows)))) for start in range(0, len(rows), step)]


def _factors(dictionary: Dictionary, x: Float[np.ndarray, "token d_in"]) -> Float[np.ndarray, " token"]:
    """Return by how much a dictionary that normalises its input multiplies what it writes at each token."""
    rows = directions(dictionary)
    longest = int(np.argmax((rows.astype(np.float64) ** 2).sum(axis=1)))
    acts = np.zeros((len(x), dictionary.d_sae), np.float32)
    nothing = dictionary.decode(acts, x).astype(np.float64)
    acts[:, longest] = 1
    row = rows[longest].astype(np.float64)
    return ((dictionary.decode(acts, x) - nothing) @ row / (row @ row)).astype(np.float32)


def entry_effects(
    ends: Int[np.ndarray, " token"],
    features: Int[np.ndarray, " nonzero"],
    acts: Float[np.ndarray, " nonzero"],
    gradient: Float[np.ndarray, "token d_out"],
    rows: Float[np.ndarray, "d_sae d_out"],
) -> Float[np.ndarray, " nonzero"]:
    """Return the effect of each activation against a baseline of 0, in float64. Only active features cost anything."""
    from core.interventions.kernels import first_order

    effects = np.empty(len(acts))
    first_order(ends, features, acts, gradient, rows, effects)
    if not np.isfinite(effects).all():
        raise DoesNotFitError(
            f"{int((~np.isfinite(effects)).sum()):,} of {len(effects):,} first-order effects are not finite numbers. "
            "Expected finite activations and weights; check that the dictionary belongs to this model."
        )
    return effects
