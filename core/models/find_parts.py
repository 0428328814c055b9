"""Finding the parts of a model by its architecture, without weights. Imports torch and its friends: import lazily.

transformers builds the model on torch's meta device, which holds shapes alone; TransformerLens' adapter says which
module is which part; transformers' own renaming of stored names says what the files call it.
"""

import copy
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from core.errors import BadDictionaryError, DoesNotFitError
from core.models.architecture import Architecture
from core.models.parts import ModelParts
from core.work.torch_library import import_model_library

_OF_MODEL = {
    "embed.W_E": ("embed", "weight"),
    "embed.norm.w": ("embed_ln", "weight"),
    "embed.norm.b": ("embed_ln", "bias"),
    "embed.project_in": ("project_in", "weight"),
    "pos_embed.W_pos": ("pos_embed", "weight"),
    "ln_final.w": ("ln_final", "weight"),
    "ln_final.b": ("ln_final", "bias"),
    "unembed.project_out": ("project_out", "weight"),
    "unembed.W_U": ("unembed", "weight"),
    "unembed.b_U": ("unembed", "bias"),
}
_OF_BLOCK = {"attn.W_O": ("attn", "o"), "mlp.W_in": ("mlp", "in"), "mlp.W_out": ("mlp", "out")}
_NORMS_BEHIND = {"ln1_post.w": "hook_attn_out", "ln2_post.w": "hook_mlp_out"}
"""Where the stream receives the output of a norm, the hook of what is added is that of the norm."""
_UNMAPPED = {"NanoChatForCausalLM": "norms its embedding"}
"""What architectures do on the way to the stream that neither their modules nor their maps say."""
_CONTEXTS = ("n_positions", "max_position_embeddings", "max_seq_len", "seq_length", "max_sequence_length")
_UNLIMITED = 2048
"""Tokens of context where a config says none: models whose positions have no end."""


def find_parts(config_json: str, stored: Iterable[str], where: str) -> ModelParts:
    """Build the architecture of a config and find its parts among the names in its files.

    Raises BadDictionaryError, and DoesNotFitError for an architecture that nobody has mapped.
    """
    stored = tuple(stored)
    architecture = Architecture(json.loads(config_json), where, stored)
    model, adapter, text = architecture.meta, architecture.adapter, architecture.text_config
    modules = dict(model.named_modules())
    _check_head(adapter, where)
    names = _names(adapter, modules, text.num_hidden_layers)
    files = _stored(model, stored)
    found = {ours: files[theirs] for ours, theirs in names.items() if theirs in files}
    if "unembed.W_U" not in found and "embed.W_E" in found and _is_tied(architecture, names, modules):
        found["unembed.W_U"] = found["embed.W_E"]
    norm, one_more, eps = _norm(modules.get(_path(adapter, "ln_final")), text.hidden_size)
    scale, cap = _logits(adapter)
    return ModelParts(
        **_sizes(architecture, names, modules),
        act_fn=_act_fn(text),
        norm=norm,
        one_more=one_more,
        eps=eps,
        positions=_positions(adapter, names),
        norms_writing=any(ours.endswith(tuple(_NORMS_BEHIND)) for ours in names),
        residual_scale=float(getattr(text, "residual_multiplier", None) or 1.0),
        parallel="hook_resid_mid" not in adapter.component_mapping["blocks"].hook_aliases,
        pos_offset=int(getattr(modules.get(_path(adapter, "pos_embed")), "offset", 0)),
        embed_eps=_embed_eps(modules.get(_path(adapter, "embed_ln")), text.hidden_size),
        embed_scale=_embed_scale(architecture, modules),
        logit_scale=scale,
        logit_cap=cap,
        ours=tuple(found),
        theirs=tuple(found.values()),
        turned=tuple(_is_linear(modules[names[ours].rpartition(".")[0]]) for ours in found),
        notes=(*architecture.notes, *_left_out(_path(adapter, "blocks"), text.num_hidden_layers, files)),
    )


def _check_head(adapter: Any, where: str) -> None:
    """Raise DoesNotFitError where more than a norm stands between the blocks and the unembedding (BERT's head)."""
    blocks, norm = _path(adapter, "blocks"), _path(adapter, "ln_final")
    if adapter.cfg.architecture in _UNMAPPED:
        raise DoesNotFitError(
            f"{where} {_UNMAPPED[adapter.cfg.architecture]}, which TransformerLens' map of it does not name. Choose a "
            "model of another architecture."
        )
    if not blocks or not _path(adapter, "embed"):
        raise DoesNotFitError(
            f"{where} has no one row of blocks after an embedding of tokens ({adapter.cfg.architecture}). Expected a "
            "language model that reads from left to right; choose another one."
        )
    if norm and norm.rpartition(".")[0] != blocks.rpartition(".")[0]:
        raise DoesNotFitError(
            f"{where} reads its logits through {norm.rpartition('.')[0]} ({adapter.cfg.architecture}), which is more "
            "than a norm and an unembedding: no matrix gives logit weights. Choose a model without such a head."
        )


def _path(adapter: Any, component: str) -> str | None:
    """Return the path of a part's module; None where the architecture has no such part."""
    return getattr(adapter.component_mapping.get(component), "name", None)


def _names(adapter: Any, modules: dict[str, Any], n_layers: int) -> dict[str, str]:
    """Map names of ours to those of the model's parameters, with an unembedding's bias that only a file may have."""
    found = {}
    for ours, (component, parameter) in _OF_MODEL.items():
        path = _path(adapter, component)
        if getattr(modules.get(path), parameter, None) is not None or (path and ours == "unembed.b_U"):
            found[ours] = f"{path}.{parameter}"
    for ours, path in _block_paths(adapter, n_layers):
        if getattr(modules.get(path), "weight", None) is not None:
            found[ours] = f"{path}.weight"
    return found


def _block_paths(adapter: Any, n_layers: int) -> Iterator[tuple[str, str]]:
    blocks = adapter.component_mapping["blocks"]
    if "attn" not in blocks.submodules:  # blocks that add to the stream in ways of their own (Mamba, Gemma 3n)
        return
    for layer in range(n_layers):
        for ours, (component, part) in _OF_BLOCK.items():
            inside = blocks.submodules.get(component)
            last = inside.submodules.get(part) if inside is not None else None
            if last is not None and last.name:
                way = (blocks.name, str(layer), inside.name, last.name)
                yield f"blocks.{layer}.{ours}", ".".join(step for step in way if step)
        for ours, hook in _NORMS_BEHIND.items():
            norm = blocks.submodules.get(str(blocks.hook_aliases.get(hook)).removesuffix(".hook_out"))
            if norm is not None and norm.name and "NormalizationBridge" in type(norm).__name__:
                yield f"blocks.{layer}.{ours}", f"{blocks.name}.{layer}.{norm.name}"


def _stored(model: Any, stored: Iterable[str]) -> dict[str, str]:
    """Map names of the model's parameters to those in its files, as transformers' loader does."""
    import_model_library()
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightRenaming, rename_source_key

    steps = [step for step in get_model_conversion_mapping(model) or () if type(step) is WeightRenaming]
    meta = dict.fromkeys(model.state_dict(), True)
    prefix = model.base_model_prefix
    return {rename_source_key(name, steps, [], prefix, meta)[0]: name for name in stored}


def _left_out(blocks: str, n_layers: int, names: Iterable[str]) -> list[str]:
    """Say which blocks of the files are above the number of layers that the config names."""
    inside = re.compile(re.escape(blocks) + r"\.(\d{1,4})\.")
    above = {int(found[1]) for name in names if (found := inside.match(name))} - set(range(n_layers))
    if not above:
        return []
    return [
        f"The files hold {len(above)} more block{'s' * (len(above) > 1)} than the {n_layers} layers that config.json "
        "says; they are left out. If the model is meant to have them, mend the number."
    ]


def _is_tied(architecture: Architecture, names: dict[str, str], modules: dict[str, Any]) -> bool:
    embed, unembed = (modules[names[ours].rpartition(".")[0]] for ours in ("embed.W_E", "unembed.W_U"))
    configs = (architecture.config, architecture.text_config)
    return embed.weight is unembed.weight or any(getattr(c, "tie_word_embeddings", False) for c in configs)


def _sizes(architecture: Architecture, names: dict[str, str], modules: dict[str, Any]) -> dict[str, int | None]:
    def inputs(part: str) -> int | None:
        """Return what the first block with such a matrix puts into it."""
        name = next((theirs for ours, theirs in names.items() if ours.endswith(part)), None)
        module = modules[name.rpartition(".")[0]] if name else None
        return module.weight.shape[1 if _is_linear(module) else 0] if module is not None else None

    text, embed = architecture.text_config, modules[_path(architecture.adapter, "embed")]
    heads, width = getattr(text, "num_attention_heads", None), inputs("attn.W_O")
    heads = heads if isinstance(heads, int) and width and heads > 0 and width % heads == 0 else None
    limits = (getattr(text, name, None) for name in _CONTEXTS)
    return {
        "d_model": text.hidden_size,
        "d_vocab": embed.weight.shape[0],
        "n_ctx": next((limit for limit in limits if isinstance(limit, int) and limit > 0), _UNLIMITED),
        "n_layers": text.num_hidden_layers,
        "n_heads": heads,
        "d_head": width // heads if heads else None,
        "d_mlp": inputs("mlp.W_out"),
        "n_params": sum(parameter.numel() for parameter in architecture.meta.parameters()),
    }


def _is_linear(module: Any) -> bool:
    import torch

    return isinstance(module, torch.nn.Linear)


def _act_fn(text: Any) -> str | None:
    named = (getattr(text, name, None) for name in ("activation_function", "hidden_activation", "hidden_act"))
    return next((found for found in named if isinstance(found, str)), None)


def _positions(adapter: Any, names: dict[str, str]) -> str:
    if "pos_embed.W_pos" in names:
        return "standard"
    kind = str(getattr(adapter.cfg, "positional_embedding_type", None))
    return {"none": "no", "None": "no", "standard": "unknown"}.get(kind, kind)


def _embed_scale(architecture: Architecture, modules: dict[str, Any]) -> float:
    adapter, text = architecture.adapter, architecture.text_config
    embed, decoder = modules[_path(adapter, "embed")], modules[_path(adapter, "blocks").rpartition(".")[0]]
    scale = getattr(embed, "scalar_embed_scale", None) or getattr(embed, "embed_scale", None) or 1.0
    scale = float(scale) * float(getattr(text, "embedding_multiplier", None) or 1.0)
    if hasattr(decoder, "normalizer"):  # RecurrentGemma's root of the width, rounded to the type it is kept in
        import torch

        scale *= float(torch.tensor(text.hidden_size**0.5, dtype=decoder.normalizer.dtype))
    return scale


def _embed_eps(norm: Any, d_model: int) -> float:
    """Return the eps of the LayerNorm behind the embedding, 0 without one."""
    kind, one_more, eps = _norm(norm, d_model)
    if kind == "RMS" or one_more:
        raise DoesNotFitError(
            f"The norm behind the embedding is {type(norm).__name__}; expected a LayerNorm. Choose another model."
        )
    return eps


def _logits(adapter: Any) -> tuple[float, float | None]:
    """Ask what becomes of logits after the unembedding: a scale, and a cap or none."""
    import torch

    asked = torch.tensor([1e-9, 0.7, -3.0, 20.0, 1e6], dtype=torch.float64)
    said = adapter.apply_output_logits_transform(asked[None, None].clone())[0, 0]
    scale = float(f"{float(said[0] / asked[0]):.12g}")
    cap = None if torch.allclose(said, asked * scale, rtol=1e-5) else float(said[-1])
    expected = asked * scale if cap is None else cap * torch.tanh(asked * scale / cap)
    if not torch.allclose(said, expected, rtol=1e-5):
        raise BadDictionaryError(
            f"{adapter.cfg.architecture} makes {said.tolist()} of the logits {asked.tolist()}; expected a scale and a "
            "cap. Choose a model of another architecture."
        )
    return scale, cap


def _norm(norm: Any, d_model: int) -> tuple[str | None, bool, float]:
    """Ask a copy of a norm itself for its kind, and hold the formula to what it gives."""
    import torch

    if norm is None:
        return None, False, 0.0
    mine = copy.deepcopy(norm).to_empty(device="cpu").double()
    eps = next((float(getattr(norm, name)) for name in ("eps", "variance_epsilon") if hasattr(norm, name)), 1e-5)
    w, b = getattr(mine, "weight", None), getattr(mine, "bias", None)
    x = torch.sin(torch.arange(1.0, 1 + d_model, dtype=torch.float64))[None] + 0.3
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.zero_()
        one_more = w is not None and bool(mine(x).abs().max() > 0)
        for parameter in mine.parameters():
            parameter.copy_(torch.cos(torch.arange(d_model, dtype=torch.float32)))
        found = mine(x)
        weight = 1.0 if w is None else w + 1 if one_more else w
        for kind, y in (("LN", x - x.mean()), ("RMS", x)):
            expected = y / (y.square().mean() + eps).sqrt() * weight + (0.0 if b is None else b)
            if torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-5):
                return kind, one_more, eps
    raise BadDictionaryError(
        f"The norm {type(norm).__name__} is neither LayerNorm nor RMSNorm with eps {eps}; expected one of these. "
        "Choose a model of another architecture."
    )
