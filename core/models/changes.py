"""Changing a loaded model of transformers: its writing weights centred, or other vectors for its positions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from core.models.architecture import Architecture

if TYPE_CHECKING:
    from torch.nn import Module, Parameter

_WRITES = (("attn", "o"), ("mlp", "out"))
"""The parts of a block that write to the stream, by TransformerLens' names."""


def centre(model: Any, architecture: Architecture) -> None:
    """Subtract from all weights that write to the stream their mean over d_model, in place.

    The unembedding keeps its own weights where it shared the embedding's.
    """
    import torch

    parts = architecture.adapter.component_mapping
    with torch.no_grad():
        embed = model.get_submodule(parts["embed"].name)
        unembed = model.get_submodule(parts["unembed"].name)
        if unembed.weight is embed.weight:
            unembed.weight = torch.nn.Parameter(embed.weight.clone(), requires_grad=False)
        _subtract_mean(embed.weight, 1)
        if "pos_embed" in parts:
            _subtract_mean(model.get_submodule(parts["pos_embed"].name).weight, 1)
        for module in _writing(model, architecture):
            # torch's Linear keeps (d_model, in), GPT-2's Conv1D (in, d_model).
            _subtract_mean(module.weight, 0 if isinstance(module, torch.nn.Linear) else 1)
            if module.bias is not None:
                _subtract_mean(module.bias, 0)


def _writing(model: Any, architecture: Architecture) -> "Iterator[Module]":
    blocks = architecture.adapter.component_mapping["blocks"]
    for block in model.get_submodule(blocks.name):
        for name, last in _WRITES:
            part = blocks.submodules.get(name)
            inner = part and part.submodules.get(last)
            if inner:
                yield block.get_submodule(".".join(filter(None, (part.name, inner.name))))


def _subtract_mean(weight: "Parameter", axis: int) -> None:
    # In float32 or better, whatever the weights are kept in.
    weight.copy_(weight.float() - weight.double().mean(dim=axis, keepdim=True).float())


def set_positions(
    model: Any, architecture: Architecture, W_pos: Float[np.ndarray, "n_ctx d_model"], *, offset: int
) -> None:
    """Put other vectors for the positions in place; rows before `offset` stand for none (OPT has two)."""
    import torch

    weight = model.get_submodule(architecture.adapter.component_mapping["pos_embed"].name).weight
    with torch.no_grad():
        weight[offset : offset + len(W_pos)] = torch.tensor(W_pos).to(weight.dtype)
