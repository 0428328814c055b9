"""Reading and replacing what passes at a place of a Hugging Face model, by plain forward hooks on its own modules.

Imports torch inside functions. The module computes as it always does, with its own attention kernels.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.errors import DoesNotFitError
from core.installation import started_with
from core.models.places import Place

if TYPE_CHECKING:
    from torch import Tensor

Call = Callable[["Tensor"], "Tensor | None"]
"""Takes what passes as (batch, pos, width); what it returns, if anything, takes its place."""


def attach(model: Any, place: Place, call: Call, norm: "Norm | None" = None) -> list[Any]:
    """Hook `call` to a place and return the handles, which the caller removes. `norm` is that of a `before_weights`."""
    if place.before_weights:
        assert norm is not None
        return _inside_norm(model, place, call, norm)
    if place.rest_of:
        return _at_mid(model, place, call)
    return [_at(model, place.path, place.side, lambda value: _changed(value, place, call))]


def selected(value: "Tensor", place: Place) -> "Tensor":
    """Return what of a module's tensor is meant: one stream, one part, scaled as the block scales it."""
    if place.stream is not None:
        value = value[place.stream]
    if place.part is not None:
        start, stop, groups = place.part
        value = value.unflatten(-1, (groups, -1))[..., start:stop].flatten(-2)
    return value * place.scale if place.scale != 1 else value


def _changed(value: "Tensor", place: Place, call: Call) -> "Tensor | None":
    part = selected(value, place)
    new = call(part)
    if new is None:
        return None
    new = (_fitted(new, part) / place.scale).to(value.dtype)
    if place.stream is None and place.part is None:
        return new
    whole = value.clone()
    if place.stream is not None:
        whole[place.stream] = new
    else:
        start, stop, groups = place.part
        whole.unflatten(-1, (groups, -1))[..., start:stop].copy_(new.unflatten(-1, (groups, -1)))
    return whole


def _fitted(new: "Tensor", old: "Tensor") -> "Tensor":
    """Shape a value like the one it replaces; positions, the same for all rows, may become a value for each row."""
    return new.reshape(old.shape) if new.numel() == old.numel() else new


def _at_mid(model: Any, place: Place, call: Call) -> list[Any]:
    """Replace the stream between attention and MLP: the MLP reads the new value, and the block's sum is moved by it."""
    moved: list[Tensor] = []

    def read(value: "Tensor") -> "Tensor | None":
        new = call(value)
        if new is None:
            return None
        new = _fitted(new, value).to(value.dtype)
        moved.append(new - value)
        return new

    def add(value: "Tensor") -> "Tensor | None":
        return value + _fitted(moved.pop(), value) if moved else None

    return [_at(model, place.path, place.side, read), _at(model, place.rest_of, "out", add)]


def _inside_norm(model: Any, place: Place, call: Call, norm: "Norm") -> list[Any]:
    new: list[Tensor] = []

    def read(value: "Tensor") -> None:
        changed = call(norm.normalized(value))
        if changed is not None:
            new.append(_fitted(changed, value).to(value.dtype))

    def apply(value: "Tensor") -> "Tensor | None":
        return norm.weighted(model.get_submodule(place.path), new.pop()).to(value.dtype) if new else None

    return [_at(model, place.path, "in", read), _at(model, place.path, "out", apply)]


def _at(model: Any, path: str, side: str, call: Call) -> Any:
    """Hook one side of a module. Blocks and attentions give a tensor or a tuple, by family and version."""

    def before(module: Any, args: tuple, kwargs: dict[str, Any]):
        new = call(args[0] if args else kwargs["hidden_states"])
        if new is None:
            return None
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    def after(module: Any, args: tuple, output: Any):
        new = call(output[0] if isinstance(output, tuple) else output)
        if new is None:
            return None
        return (new, *output[1:]) if isinstance(output, tuple) else new

    module = model.get_submodule(path)
    if side == "in":
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after)


class Norm:
    """A norm's own code with weights that change nothing, in float32. Made from its module, of which no weight is read.

    So the formula, its epsilon, and whether weights count as 1 + weight are the module's.
    """

    def __init__(self, module: Any):
        import torch

        with torch.inference_mode(False):  # else nothing that passes here could be differentiated later
            self._neutral = copy.deepcopy(module).to_empty(device="cpu").float().requires_grad_(False)
        weight, bias = (getattr(self._neutral, name, None) for name in ("weight", "bias"))
        self._one_more = False
        for parameter in (weight, bias):
            if parameter is not None:
                parameter.zero_()
        if weight is not None:
            self._one_more = bool(self._neutral(torch.arange(1, 1 + len(weight), dtype=torch.float32)[None]).any())
            weight.fill_(0.0 if self._one_more else 1.0)

    def normalized(self, value: "Tensor") -> "Tensor":
        self._neutral.to(value.device)
        return self._neutral(value.float())

    def weighted(self, module: Any, normalized: "Tensor") -> "Tensor":
        """Apply the weights of the running module. Raises DoesNotFitError where they are not in memory."""
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        if weight is None:
            return normalized
        if weight.is_meta:
            raise DoesNotFitError(
                "What passes inside a norm cannot be replaced while the model's weights are partly on disk. Expected "
                "all of it in memory. Choose another hook, or start the app with a larger budget: "
                f"{started_with('--memory GB')}"
            )
        scaled = normalized.float() * (weight.float() + self._one_more)
        return scaled if bias is None else scaled + bias.float()
