"""Where a hook lies in a Hugging Face model: the module, its side, and the width of what passes, without running it.

Names are TransformerLens' (blocks.3.hook_resid_pre, blocks.3.mlp.hook_post), those of its bridge
(blocks.3.mlp.hook_out) or a module's own path with its side (model.layers.3.mlp.input). TransformerLens' map of the
architecture places them. A name that has no place, or would mean something else, is not offered.
"""

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from core.errors import DoesNotFitError
from core.models.architecture import Architecture

_BLOCK = re.compile(r"blocks\.(0|[1-9]\d{0,3})\.(.+)")
_OFFERED = (
    *("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out"),
    *("ln1.hook_normalized", "ln2.hook_normalized", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z"),
    *("mlp.hook_pre", "mlp.hook_post", "ln1.hook_out", "ln2.hook_out", "attn.hook_in", "attn.hook_out"),
    *("mlp.hook_in", "mlp.hook_out", "hook_mixer_out", "hook_in", "hook_out"),
)
"""The points of a block that are looked for when a name is not there."""
_WHOLE = ("hook_embed", "hook_pos_embed", "ln_final.hook_normalized", "ln_final.hook_out")
_SUMMED = ("hook_attn_out", "hook_resid_mid", "hook_mlp_out")
_INSIDE_MLP = ("hook_pre", "hook_post", "hook_pre_linear")


_QKV = ("attn.hook_q", "attn.hook_k", "attn.hook_v")
_FUSED = {
    "gpt2": "attn.c_attn",
    "gpt_neox": "attention.query_key_value",
    "bloom": "self_attention.query_key_value",
    "falcon": "self_attention.query_key_value",
    "phi3": "self_attn.qkv_proj",
}
"""By model_type: the one module that gives queries, keys and values."""
_GATED_TOGETHER = ("phi3", "glm", "glm4")
"""Types whose mlp.gate_up_proj gives what enters the activation function, and then what it is multiplied by."""


def _shares(config: Any) -> tuple[int, tuple[int, int, int]]:
    """Return how a fused module of queries, keys and values is laid out: the number of groups, and three sizes in each.

    Queries of heads that share a key and a value may stand in one group with these (Falcon's new architecture), each
    head may be a group, or all heads together.
    """
    n = config.num_attention_heads
    d = getattr(config, "head_dim", None) or config.hidden_size // n
    if config.model_type in ("gpt_neox", "bloom"):
        return n, (d, d, d)
    if config.model_type == "falcon" and config.new_decoder_architecture:
        return config.num_kv_heads, (n // config.num_kv_heads * d, d, d)
    if config.model_type == "falcon":
        return (1, (n * d, d, d)) if config.multi_query else (n, (d, d, d))
    shared = (config.num_key_value_heads if config.model_type == "phi3" else n) * d
    return 1, (n * d, shared, shared)


@dataclass(frozen=True)
class Place:
    """A side of a module, and what of the tensor there is meant."""

    path: str
    side: str
    """'in' or 'out'."""
    width: int
    layer: int | None = None
    """The block that it lies in."""
    part: tuple[int, int, int] | None = None
    """(start, stop, groups): these of the numbers in each of so many equal groups."""
    scale: float = 1.0
    """What the block multiplies this output by before it adds it to the stream (Granite)."""
    stream: int | None = None
    """Which of several residual streams, stacked in front, is meant (Gemma 3n)."""
    before_weights: bool = False
    """Inside a norm: after it has normalised and before it applies its weights."""
    rest_of: str = ""
    """The block whose output takes along a change made here: at hook_resid_mid only the MLP reads what is replaced."""


class Places:
    """The places of hooks in one model."""

    def __init__(self, architecture: Architecture):
        self._architecture = architecture
        self.parts: dict[str, Any] = architecture.adapter.component_mapping
        self.blocks: str = self.parts["blocks"].name
        self.d_model: int = architecture.text_config.hidden_size
        self.n_layers = len(architecture.meta.get_submodule(self.blocks))
        self._found: dict[str, Place | None] = {}

    def get(self, hook_name: str) -> Place | None:
        """Return the place of a hook; None if the model has none of this name or the name means something else here."""
        if len(hook_name) > 200:
            return None
        if hook_name not in self._found:
            self._found[hook_name] = self._find(hook_name)
        return self._found[hook_name]

    def find(self, hook_name: str, model_name: str) -> Place:
        """Return the place of a hook; raise DoesNotFitError that names the nearest ones if there is none."""
        place = self.get(hook_name)
        if place is None:
            raise DoesNotFitError(
                f"{model_name} has no hook {hook_name[:100]!r} with one vector for each token.{self._why(hook_name)} "
                f"Expected a TransformerLens name, with layers 0 to {self.n_layers - 1}: nearest are "
                f"{', '.join(self.nearest(hook_name))}. Choose a dictionary of this model."
            )
        return place

    def nearest(self, hook_name: str) -> list[str]:
        """Return up to three hooks that the model has, with names like this one."""
        match = _BLOCK.fullmatch(hook_name[:200])
        layer = min(int(match[1]), self.n_layers - 1) if match else 0
        names = [*self.points(layer), *self.around()]
        return get_close_matches(hook_name[:200], names, n=3, cutoff=0.3) or names[:3]

    def points(self, layer: int) -> list[str]:
        """Return the usual hooks that a block has."""
        return [name for point in _OFFERED if self.get(name := f"blocks.{layer}.{point}")]

    def around(self) -> list[str]:
        """Return the usual hooks before and after all blocks."""
        return [name for name in _WHOLE if self.get(name)]

    def _why(self, hook_name: str) -> str:
        match = _BLOCK.fullmatch(hook_name[:200])
        inside = match and match[2].startswith("mlp.") and match[2].rpartition(".")[2] in _INSIDE_MLP
        if inside and int(match[1]) < self.n_layers and self.get(f"blocks.{match[1]}.mlp.hook_out"):
            return " Its MLP is made of experts or in another way, and no one layer of neurons lies in it."
        return ""

    def _find(self, hook_name: str) -> Place | None:
        block = _BLOCK.fullmatch(hook_name)
        if block and int(block[1]) < self.n_layers:
            return self._in_block(int(block[1]), block[2])
        if block:
            return None
        if hook_name == "hook_embed" and "pos_embed" not in self.parts:  # what scales it or norms it belongs to it
            return self.get("blocks.0.hook_resid_pre")
        embed = "project_in" if "project_in" in self.parts else "embed"  # which brings narrow embeddings to d_model
        outer = {"hook_embed": f"{embed}.hook_out", "hook_pos_embed": "pos_embed.hook_out"}.get(hook_name, hook_name)
        return self._walk(outer, self.parts, "") or self._module(hook_name)

    def _in_block(self, layer: int, point: str) -> Place | None:
        block, path = self.parts["blocks"], f"{self.blocks}.{layer}"
        place = self._of_block(block, path, point) or self._fused(path, point)
        if place is None and not (point.startswith("hook_") and hasattr(block, "altup_active_idx")):
            place = self._walk(point, block.submodules, path, block)
        return place and replace(place, layer=layer)

    def _of_block(self, block: Any, path: str, point: str) -> Place | None:
        """Place the hooks that some blocks have of their own."""
        stream = getattr(block, "altup_active_idx", None)
        if stream is not None and point in ("hook_resid_pre", "hook_resid_post"):
            return Place(path, "in" if point == "hook_resid_pre" else "out", self.d_model, stream=stream)
        scale = getattr(block, "residual_contribution_scale", None)
        names = {"hook_attn_out": "scaled_attn_submodule", "hook_mlp_out": "scaled_mlp_submodule"}
        part = getattr(block, names[point], None) if scale is not None and point in names else None
        found = self._walk(f"{part}.hook_out", block.submodules, path) if part else None
        return found and replace(found, scale=scale)

    def _fused(self, path: str, point: str) -> Place | None:
        """Place a hook at a part of what one module gives."""
        config = self._architecture.text_config
        if point == "mlp.hook_pre" and config.model_type in _GATED_TOGETHER:
            whole = self._at(f"{path}.mlp.gate_up_proj", "out")
            return whole and replace(whole, width=whole.width // 2, part=(0, whole.width // 2, 1))
        if point not in _QKV or config.model_type not in _FUSED:
            return None
        whole, (groups, sizes) = self._at(f"{path}.{_FUSED[config.model_type]}", "out"), _shares(config)
        if whole is None or whole.width != groups * sum(sizes):
            return None
        i = _QKV.index(point)
        return replace(whole, width=groups * sizes[i], part=(sum(sizes[:i]), sum(sizes[: i + 1]), groups))

    def _walk(self, point: str, children: dict[str, Any], path: str, here: Any = None) -> Place | None:
        """Follow a name through TransformerLens' parts and its aliases to a side of a module."""
        *parts, last = point.split(".")
        named = True
        for part in parts:
            if part not in children:
                return None
            here, children = children[part], children[part].submodules
            named = bool(here.name)
            path = ".".join(filter(None, (path, here.name)))
        if last in ("hook_in", "hook_out"):
            if named and path:
                return self._at(path, last[5:])
            # OPT's MLP is no module of its own: what enters its first part and leaves its last is meant.
            inner = children.get(last[5:])
            return self._at(f"{path}.{inner.name}", last[5:]) if inner is not None and inner.name else None
        if last == "hook_normalized" and parts and parts[-1].startswith("ln"):
            found = self._at(path, "in")
            return found and replace(found, before_weights=True)
        alias = here.hook_aliases.get(last) if here is not None else None
        if alias is None:
            return None
        found = self._walk(alias if isinstance(alias, str) else alias[0], children, path, here)
        return self._as_meant(found, parts, last, path)

    def _as_meant(self, found: Place | None, parts: list[str], last: str, path: str) -> Place | None:
        """Return a place that an alias led to, if it is what the alias's name has always meant."""
        config = self._architecture.text_config
        if found is None:
            return None
        if last in _INSIDE_MLP and parts and parts[-1] == "mlp" and found.path == path:
            return None  # the whole of a mixture of experts
        if last == "hook_q" and found.width != self._heads(path):
            return None  # queries and gates together
        if last in _SUMMED and not getattr(config, "do_layer_norm_before", True):
            return None  # a norm follows each sum (OPT 350m): the stream is not the sum of what is written
        return replace(found, rest_of=path) if last == "hook_resid_mid" else found

    def _heads(self, path: str) -> int:
        config = self._architecture.text_config
        d_head = getattr(config, "head_dim", None) or self.d_model // config.num_attention_heads
        return config.num_attention_heads * d_head

    def _module(self, name: str) -> Place | None:
        """Place a module's own path, with .input or .output behind it or not."""
        ending = re.fullmatch(r"(.+)\.(in|out)put", name)
        path, side = (ending[1], ending[2]) if ending else (name, "out")
        found = self._at(path, side) if re.fullmatch(r"\w+(\.\w+)*", path) else None
        inside = re.match(re.escape(self.blocks) + r"\.(\d+)(\.|$)", path)
        return replace(found, layer=int(inside[1])) if found and inside else found

    def _at(self, path: str, side: str) -> Place | None:
        width = self._width(path, side)
        return Place(path, side, width) if width else None

    def _width(self, path: str, side: str) -> int | None:
        """Return the width of what passes; None without such a module, or where its shape does not say."""
        import torch

        try:
            module = self._architecture.meta.get_submodule(path)
        except AttributeError:  # a hybrid's layers differ
            return None
        if isinstance(module, torch.nn.Linear):
            return module.in_features if side == "in" else module.out_features
        if isinstance(module, torch.nn.Embedding):
            return module.embedding_dim if side == "out" else None
        weight = getattr(module, "weight", None)
        if type(module).__name__ == "Conv1D":  # GPT-2's keeps its weight as (in, out)
            return weight.shape[0 if side == "in" else 1]
        if isinstance(weight, torch.Tensor) and weight.ndim == 1:
            return len(weight)
        return self.d_model if _holds_something(module) else None


def _holds_something(module: Any) -> bool:
    """Whether a module is a block, an attention, an MLP or a norm, not a list or a function between two parts."""
    import torch

    norm = "norm" in type(module).__name__.lower()  # OLMo's has no weight
    is_list = isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict)
    return not is_list and (norm or next(module.parameters(), None) is not None)
