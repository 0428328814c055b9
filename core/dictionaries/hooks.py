"""Hooks, the places in a model: from training libraries' names to TransformerLens', and what a name says."""

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
}
_HOOKS = {
    ("", "out"): "hook_resid_post",
    ("", "in"): "hook_resid_pre",
    ("mlp", "out"): "hook_mlp_out",
    ("mlp", "in"): "ln2.hook_normalized",
    ("attn", "out"): "hook_attn_out",
    ("attn", "in"): "ln1.hook_normalized",
    ("o_proj", "out"): "hook_attn_out",
    ("o_proj", "in"): "attn.hook_z",
}
_TWO_NORMS = ("gemma-2", "gemma-3")
"""Models that norm the outputs of MLP and attention before TransformerLens' hooks: no hook has the bare output."""
WRITES = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out")
"""Hooks of a block whose activations are in the space of the residual stream, or are added to it."""


def hook_of(name: str, side: str = "out", *, layer: int | None = None, model_name: str | None = None) -> str | None:
    """Return the hook of a module's output ('out') or input ('in'); None if none is known.

    Understood are module paths ('gpt_neox.layers.3.mlp', 'h.3', 'embed_tokens'), dictionary_learning's words
    ('resid_post_layer_3', 'mlp' with `layer`) and TransformerLens' own names, which pass as they are.
    """
    if re.fullmatch(r"(blocks\.\d+\.)?([a-z0-9]+\.)?hook_\w+", name):
        return name
    match = _LAYER.search(name)
    if match and (match[2] or "") in ("", *_PARTS):
        return _at(int(match[1]), _PARTS.get(match[2], ""), side, model_name)
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
    if part and side == "out" and any(family in (model_name or "") for family in _TWO_NORMS):
        return None
    return f"blocks.{layer}.{_HOOKS[part, side]}"


def norm_warning(hook_name: str | None) -> tuple[str, ...]:
    """Return the warning, if one is due, for a hook that shows a module's input before the norm's weights."""
    if not (hook_name and hook_name.endswith("hook_normalized")):
        return ()
    return (
        f"This dictionary reads a module's input, after the norm's weights; {hook_name}, the nearest hook, lies "
        "before them. Activations on text are off unless the model's norm weights are 1.",
    )


def split_hook(hook: str) -> tuple[int | None, str]:
    """Split blocks.3.mlp.hook_post into 3 and mlp.hook_post; without a block into None and the whole name."""
    first, _, rest = hook.partition(".")
    layer, _, point = rest.partition(".")
    return (int(layer), point) if first == "blocks" and layer.isdecimal() else (None, hook)
