"""The gradient of a number made from logits, with respect to what passes at a hook: one run forward, one backward.

What passes at the hook becomes a leaf of torch's graph, so nothing before it is differentiated, and no weight is.
Logits and their gradient are made for a few tokens at a time, as a vocabulary may have 256,000. Imports torch inside
functions.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from core.errors import DoesNotFitError
from core.installation import started_with
from core.models.proof import WrongNumbersError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LOGITS_PER_CALL = 2**22
_WAYS, _STEPS, _SLOPE_OFF = 4, (1e-2, 1e-3), 0.1
"""Where a gradient is tried: how many directions, steps as shares of what passes, and how far off slopes may be."""
_HALF_SCALE = 2.0**10
"""Small gradients are 0 in float16; a power of two keeps them and changes no digit."""


@dataclass(frozen=True)
class Target:
    """A number at each of some tokens, made from the logits there. The gradient is that of their sum."""

    tokens: Int[np.ndarray, " n"]
    """Which tokens of all, row after row; each once."""
    of: Callable[["Tensor", slice], "Tensor"]
    """Takes logits (few, d_vocab), in float32 at least, and which of `tokens` they are of; returns (few,)."""


def losses(rows: Int[np.ndarray, "row pos"], keep: Bool[np.ndarray, "row pos"]) -> Target:
    """Return the cross-entropy of the next token, in nats, at tokens of `keep`; none at the last position."""
    there = keep.copy()
    there[:, -1] = False
    tokens = np.flatnonzero(there)
    following = rows.ravel()[tokens + 1].astype(np.int64)

    def of(logits: "Tensor", part: slice) -> "Tensor":
        import torch

        return torch.nn.functional.cross_entropy(logits, _ids(following[part], logits), reduction="none")

    return Target(tokens, of)


def logits_of(
    tokens: Int[np.ndarray, " n"], plus: Int[np.ndarray, " n"], minus: Int[np.ndarray, " n"] | None = None
) -> Target:
    """Return the logit of a token id `plus` at each of some tokens, less that of `minus` where it is given."""

    def of(logits: "Tensor", part: slice) -> "Tensor":
        found = logits.gather(1, _ids(plus[part], logits)[:, None])[:, 0]
        return found if minus is None else found - logits.gather(1, _ids(minus[part], logits)[:, None])[:, 0]

    return Target(tokens, of)


def _ids(ids: np.ndarray, logits: "Tensor") -> "Tensor":
    import torch

    return torch.from_numpy(ids.astype(np.int64)).to(logits.device)


@dataclass(frozen=True)
class Gradient:
    """What passes at a hook, and how the sum of a target's numbers changes with it; (row, pos, width).

    Both are float32, or float64 in a model of that. In a model of bfloat16 or float16 each step of the run and of the
    way back is rounded to two or three digits all the same.
    """

    at: "Tensor"
    gradient: "Tensor"
    values: "Tensor"
    """The target's numbers, (n,), in float64."""
    seen: "dict[str, Tensor]" = field(default_factory=dict)
    """What passed at other hooks that were asked for, in the model's dtype."""


class Leaf:
    """Takes the place of what passes at a hook, in a run that keeps its graph."""

    def __init__(self, tokens: "Tensor"):
        self._shape = tuple(tokens.shape)
        self.value: Tensor | None = None

    def put(self, value: "Tensor") -> "Tensor":
        import torch

        width = value.shape[-1] if value.ndim < 4 else value.shape[-2] * value.shape[-1]  # heads, side by side
        if value.numel() == self._shape[1] * width:  # positions: the same for all rows
            value = value.reshape(1, -1, width).expand(*self._shape, width)
        dtype = torch.promote_types(value.dtype, torch.float32)
        self.value = value.detach().to(dtype).reshape(*self._shape, width).clone().requires_grad_()
        # Never the leaf itself: some blocks (Falcon's) add to what their parts gave in place.
        return self.value.clone().reshape(value.shape).to(value.dtype)


def go_back(
    leaf: Leaf, last: "Tensor", target: Target, logits: Callable[["Tensor"], "Tensor"], *, d_vocab: int
) -> "tuple[Tensor, Tensor]":
    """Return the gradient at a leaf and the target's numbers. `last` is what the unembedding read, with its graph.

    `logits` makes logits (few, d_vocab) of a few of its lines, in any mode of torch's. Raises DoesNotFitError where the
    gradient is no finite number.
    """
    import torch

    assert leaf.value is not None
    flat, values = last.flatten(0, 1), [torch.zeros(0, dtype=torch.float64)]
    scale = _HALF_SCALE if flat.dtype == torch.float16 else 1.0
    above = torch.zeros_like(flat, requires_grad=False)
    step = max(1, _LOGITS_PER_CALL // d_vocab)
    for start in range(0, len(target.tokens), step):
        part = slice(start, start + step)
        where = torch.from_numpy(target.tokens[part]).to(flat.device)
        piece = flat.detach()[where].requires_grad_()
        with torch.enable_grad():
            made = logits(piece)
            found = target.of(made.to(torch.promote_types(made.dtype, torch.float32)), part)
        above[where] = torch.autograd.grad(found.sum() * scale, piece)[0]
        values.append(found.detach().double().cpu())
    gradient = _at_leaf(leaf.value, flat, above) / scale
    if not gradient.isfinite().all():
        raise DoesNotFitError(
            f"The gradient at the hook is not finite at {int((~gradient.isfinite()).sum()):,} of {gradient.numel():,} "
            f"places; the model runs in {str(flat.dtype).removeprefix('torch.')}. Expected finite numbers: run the "
            f"model in float32 with {started_with('--dtype float32')}, or choose other text."
        )
    return gradient.detach(), torch.cat(values)


def _at_leaf(leaf: "Tensor", flat: "Tensor", above: "Tensor") -> "Tensor":
    import torch

    if not flat.requires_grad:
        return torch.zeros_like(leaf)
    try:
        (found,) = torch.autograd.grad(flat, leaf, above, allow_unused=True)
    except (NotImplementedError, RuntimeError) as error:
        if not re.search(r"derivative|differentiable|not implemented", str(error)):
            raise
        raise DoesNotFitError(
            f"torch cannot differentiate a part of this model ({str(error)[:200]}). Expected a model that could be "
            "trained: choose another one, or one that is not quantised. Single features can still be ablated."
        ) from error
    return torch.zeros_like(leaf) if found is None else found


def check_slopes(model_name: str, hook_name: str, found: Gradient, values: Callable[["Tensor"], "Tensor"]) -> None:
    """Compare a gradient with what the model does when what passes moves a little, in random directions, in float32.

    `values` gives the target's sum, (run,), with each of so many tensors (run, pos, width) put at the hook. A part that
    keeps no graph would go unseen otherwise. Raises WrongNumbersError.
    """
    import torch

    drawn = torch.Generator().manual_seed(0)
    ways = torch.randn((_WAYS, *found.at.shape[1:]), generator=drawn, dtype=torch.float32).to(found.at)
    ways = ways / ways.flatten(1).norm(dim=1)[:, None, None]
    expected = (found.gradient * ways).double().flatten(1).sum(dim=1).cpu()
    size = float(found.gradient.norm()) / found.gradient.numel() ** 0.5
    for share in _STEPS:
        step = share * float(found.at.norm())
        above, below = values(torch.cat([found.at + step * ways, found.at - step * ways])).cpu().split(_WAYS)
        off = float(((above - below) / (2 * step) - expected).square().mean().sqrt())
        if off <= _SLOPE_OFF * size + 1e-5:  # NaN is no agreement
            return
    raise WrongNumbersError(
        f"The gradient at {hook_name[:100]} of {model_name} is not how its loss changes there: slopes in random "
        f"directions are off by {off:.2g}, of {size:.2g}. Some part of the model cannot be differentiated, so nothing "
        "is attributed through it. Choose another hook or model; single features can still be ablated."
    )


def check_in_memory(module: "torch.nn.Module", name: str) -> None:
    """Raise DoesNotFitError for a model that is partly on disk: the way back needs all weights at once."""
    if any(parameter.is_meta for parameter in module.parameters()):
        raise DoesNotFitError(
            f"{name} runs from the disk, as it is larger than the memory left. A gradient needs all of its weights in "
            f"memory. Start the app with a larger budget, {started_with('--memory GB')}, or look at what single "
            "features do when they are ablated."
        )


def detached(seen: "dict[str, Tensor]", names: Sequence[str]) -> "dict[str, Tensor]":
    return {name: seen[name].detach() for name in names}
