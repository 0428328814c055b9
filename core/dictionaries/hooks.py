"""Hooks, the places in a model where activations are read: translates their names to TransformerLens'."""

import re

_LAYER = re.compile(r"(?:^|[./])(?:layers?|h|blocks?)[._](\d+)(?:\.(.+))?$")
_POINT = re.compile(
    r"^(resid_pre|resid_mid|resid_post|mlp_out|mlp|attn_out|attn|attention)(?:_out)?(?:_layer)?_?(\d*)$"
)
_EMBEDDINGS = {"embed_tokens", "wte", "embed_in", "tok_embeddings", "embed"}
_PARTS = {
    **dict.fromkeys(("mlp", "feed_forward", "ffn"), "mlp"),
    **dict.fromkeys(("attn", "self_attn", "attention", "self_attention"), "attn"),
    **dict.fromkeys(("attn.c_proj", "self_attn.o_proj", "attention.dense", "self_attention.dense"), "o_proj"),
    **dict.fromkeys(("mlp.c_proj", "mlp.down_proj", "mlp.dense_4h_to_h"), "down_proj"),
    **dict.fromkeys(("ln_1", "input_layernorm"), "ln1"),
    **dict.fromkeys(("ln_2", "post_attention_layernorm", "pre_feedforward_layernorm"), "ln2"),
    "post_feedforward_layernorm": "post_mlp",
}
_HOOKS = {
    ("", "out"): "hook_resid_post",
    ("", "in"): "hook_resid_pre",
    ("mlp", "out"): "hook_mlp_out",
    ("mlp", "in"): "mlp.hook_in",
    ("attn", "out"): "hook_attn_out",
    ("attn", "in"): "attn.hook_in",
    ("o_proj", "out"): "hook_attn_out",
    ("o_proj", "in"): "attn.hook_z",
    ("down_proj", "out"): "hook_mlp_out",
    ("down_proj", "in"): "mlp.hook_post",
    ("ln1", "out"): "ln1.hook_out",
    ("ln1", "in"): "hook_resid_pre",
    ("ln2", "out"): "ln2.hook_out",
    ("ln2", "in"): "hook_resid_mid",
    ("post_attn", "out"): "hook_attn_out",
    ("post_mlp", "out"): "hook_mlp_out",
}
_BRIDGE = {
    "hook_in": ("", "in"),
    "hook_out": ("", "out"),
    "hook_mlp_in": ("ln2", "in"),
    "attn.hook_in": ("attn", "in"),
    "attn.hook_out": ("attn", "out"),
    "attn.o.hook_in": ("o_proj", "in"),
    "attn.o.hook_out": ("o_proj", "out"),
    "mlp.hook_in": ("mlp", "in"),
    "mlp.hook_out": ("mlp", "out"),
    "ln1.hook_in": ("ln1", "in"),
    "ln1.hook_out": ("ln1", "out"),
    "ln2.hook_in": ("ln2", "in"),
    "ln2.hook_out": ("ln2", "out"),
}
"""Names of TransformerLens' bridge, and its optional hook before the MLP's norm, by module and side."""
_TWO_NORMS = ("gemma-2", "gemma-3")
"""Models that normalise the outputs of MLP and attention before they reach the stream, where the old hooks lie."""
_BARE = {"mlp": "mlp.hook_out", "down_proj": "mlp.hook_out", "attn": "attn.hook_out", "o_proj": "attn.hook_out"}
"""Of these models: the hooks of what the modules give, before that norm."""
WRITES = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
"""Hooks of a block whose activations are in the space of the residual stream, or are added to it."""


def hook_of(name: str, side: str = "out", *, layer: int | None = None, model_name: str | None = None) -> str | None:
    """Return the hook of a module's output ('out') or input ('in'); None if none is known.

    It understands module paths ('gpt_neox.layers.3.mlp', 'h.3', 'embed_tokens'), with or without '.input' or '.output'
    at the end, dictionary_learning's words ('resid_post_layer_3', 'mlp' with `layer`), the names of TransformerLens'
    bridge ('blocks.3.hook_out'), and TransformerLens' own names, which do not change.
    """
    block, point = split_hook(name)
    if block is not None and point in _BRIDGE:
        return _at(block, *_BRIDGE[point], model_name)
    if re.fullmatch(r"(blocks\.\d+\.)?([a-z0-9]+\.)?hook_\w+", name):
        return name
    ending = re.fullmatch(r"(.+)\.(in|out)put", name)
    if ending:
        name, side = ending[1], ending[2]
    match = _LAYER.search(name)
    if match and (match[2] or "") in ("", *_PARTS):
        part = _PARTS.get(match[2], "")
        if match[2] == "post_attention_layernorm" and any(family in (model_name or "") for family in _TWO_NORMS):
            part = "post_attn"
        return _at(int(match[1]), part, side, model_name)
    if name.rsplit(".", 1)[-1] in _EMBEDDINGS:
        return "hook_embed" if side == "out" else None
    word = _POINT.match(name)
    if not word or not (word[2] or layer is not None):
        return None
    number = int(word[2]) if word[2] else layer
    if word[1].startswith("resid"):
        return f"blocks.{number}.hook_{word[1]}"
    return _at(number, "mlp" if word[1].startswith("mlp") else "attn", side, model_name)


def _at(layer: int, part: str, side: str, model_name: str | None) -> str | None:
    two_norms = any(family in (model_name or "") for family in _TWO_NORMS)
    if two_norms and side == "out" and part in _BARE:
        return f"blocks.{layer}.{_BARE[part]}"
    hook = _HOOKS.get((part, side))
    return f"blocks.{layer}.{hook}" if hook else None


def hook_in_config(name: str, model_name: str | None) -> str:
    """Return TransformerLens' name of a hook that a config names in any way. An unknown name does not change."""
    return hook_of(name, model_name=model_name) or name


def norm_warning(hook_name: str | None) -> tuple[str, ...]:
    """Return the warning for a hook that gives a module's input before the norm's weights; empty for other hooks."""
    if not (hook_name and hook_name.endswith("hook_normalized")):
        return ()
    return (
        f"This dictionary reads a module's input, after the norm's weights; {hook_name}, the nearest hook, lies "
        "before them. Activations on text are wrong unless the model's norm weights are 1.",
    )


def split_hook(hook: str) -> tuple[int | None, str]:
    """Split blocks.3.mlp.hook_post into 3 and mlp.hook_post; a name without a block into None and the whole name."""
    first, _, rest = hook.partition(".")
    layer, _, point = rest.partition(".")
    return (int(layer), point) if first == "blocks" and layer.isdecimal() else (None, hook)
