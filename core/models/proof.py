"""Whether a model read through hooks is the model that runs on its own: what is compared when a hook is first used."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import DoesNotFitError

if TYPE_CHECKING:
    from torch import Tensor

N_TOKENS = 16
_TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
"""Of the largest number compared: attention kernels differ by rounding, which peaked attention makes larger.

Of a token in the middle, where numbers are short: rounding may send a few tokens to other experts.
"""
_PARTS = ("hook_attn_out", "hook_resid_mid", "hook_mlp_out")
_STREAM = ("hook_resid_pre", "hook_attn_out", "hook_resid_mid", "hook_mlp_out", "hook_resid_post")


class WrongNumbersError(DoesNotFitError):
    """A model gives other numbers through its hooks than when it runs on its own."""


def tokens_to_try(d_vocab: int, n_ctx: int, config: Any) -> list[int]:
    """Return 16 token ids from all over the vocabulary, none of them one that stands for a picture or sound."""
    other = {value for name, value in vars(config).items() if name.endswith(("token_id", "token_index"))}
    known = [i for i in ((7 + 7919 * i) % d_vocab for i in range(4 * N_TOKENS)) if i not in other]
    return known[: min(N_TOKENS, n_ctx)]


def stream_names(hook_name: str) -> list[str]:
    """Return the hooks whose sums say whether this one is what its name means: those of the stream in its block."""
    _, _, rest = hook_name.partition(".")
    layer, _, point = rest.partition(".")
    if point in _PARTS:
        return [f"blocks.{layer}.{other}" for other in _STREAM]
    if point == "hook_resid_post":
        return [f"blocks.{int(layer) + 1}.hook_resid_pre"]
    return ["blocks.0.hook_resid_pre", "hook_embed", "hook_pos_embed"] if hook_name == "hook_embed" else []


@contextmanager
def plainest_attention(module: Any) -> Iterator[None]:
    """Let a model compute attention by matrix products, written out, rather than by a kernel."""
    before = module.config._attn_implementation
    if before in ("eager", None):
        yield
        return
    module.set_attn_implementation("eager")
    try:
        yield
    finally:
        module.set_attn_implementation(before)


@dataclass(frozen=True)
class Proof:
    """What was read with hooks, stopped early, and what the model gave on its own."""

    model_name: str
    names: Sequence[str]
    ours: Mapping[str, "Tensor"]
    """By hook, and 'logits', but for a model without an unembedding."""
    theirs: Mapping[str, "Tensor"]
    """The same, and the other hooks of `stream_names` that the model has."""
    hidden_states: Sequence["Tensor"]
    """Those that transformers itself returns; empty where it returns none."""
    dtype: str

    def check(self) -> None:
        """Raise WrongNumbersError where the two differ, or where a hook is not what its name means."""
        for name in (*self.names, *({"logits"} & self.ours.keys())):
            self._compare(name, self.ours[name], self.theirs[name], "on its own")
        for name in self.names:
            self._check_meaning(name)

    def _check_meaning(self, name: str) -> None:
        """Hold a hook to its place in the stream: what enters, plus both parts, leaves, and enters the next block."""
        beside = {other.rpartition(".")[2]: self.theirs[other] for other in stream_names(name) if other in self.theirs}
        point, value = name.rpartition(".")[2], self.theirs[name]
        if point == "hook_embed" and "hook_pos_embed" in beside:
            total = value + beside["hook_pos_embed"]
            self._compare(name, total, beside["hook_resid_pre"], "as a part of what enters block 0")
        elif point == "hook_resid_post" and "hook_resid_pre" in beside:
            self._compare(name, value, beside["hook_resid_pre"], "where it enters the next block")
        elif point == "hook_resid_pre":
            known = [state for state in self.hidden_states if state.shape == value.shape]
            if known and not name.startswith("blocks.0."):  # Mamba's begin after the first block
                nearest = min(known, key=lambda state: (state - value).abs().max().item())
                self._compare(name, value, nearest, "in transformers' hidden_states")
        elif point in _PARTS and {"hook_attn_out", "hook_mlp_out"} <= beside.keys():
            pre, attn, mid, mlp, post = (beside.get(point) for point in _STREAM)
            if mid is not None:
                self._compare(name, pre + attn, mid, "as a part of the stream before the MLP")
            both = pre + attn if mid is None else mid
            self._compare(name, both + mlp, post, "as a part of the stream after the block")

    def _compare(self, name: str, found: "Tensor", expected: "Tensor", where: str) -> None:
        found, expected = found.float(), expected.float()
        each = (found - expected).abs().flatten(0, -2).amax(dim=-1)
        off = (each.max() if self.dtype == "float32" else each.median()).item()
        size = expected.abs().max().item()
        if not off <= _TOLERANCE[self.dtype] * size + 1e-6:  # NaN is no agreement
            raise WrongNumbersError(
                f"{name[:100]} of {self.model_name} is not what it is {where}: it is off by {off:.2g}, of numbers up "
                f"to {size:.2g}, on {N_TOKENS} tokens. Expected no difference but rounding, so nothing is shown of it. "
                "Choose another hook of this model, or another model."
            )
