"""Understands configs of any training script, whatever names their keys have.

All readers use this module, so that no two readers understand the same file in different ways.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.dictionaries.hooks import hook_of
from core.errors import BadDictionaryError
from core.files.fields import ConfigFields, short

_D_IN = ("d_in", "act_size", "activation_dim", "n_inputs")
_D_SAE = ("d_sae", "dict_size", "n_latents", "num_latents", "n_dict_components", "dictionary_size")
_OTHER_SIZES = ("d_model", "input_dim", "hidden_dim", "hidden_size", "d_hidden", "latent_dim", "n_features", "d_mlp")
"""Names of sizes that may belong to the model. The weights say the sizes of the dictionary."""
_K = ("k", "top_k", "topk", "num_active", "k_active", "n_active")
_CLASS = ("dict_class", "sae_type", "sae_class", "architecture", "autoencoder_type")
_MAY_BE_CLASS = ("type", "arch", "variant", "model_type")
"""Keys that may also say other things: only a known word counts."""
_ACTIVATION = ("activation", "activation_fn", "activation_fn_str", "activation_function", "act_fn", "nonlinearity")
_HOOK = ("hook_name", "hook_point", "act_name", "hookpoint", "hf_hook_point_in")
_MODEL = ("model_name", "lm_name", "model", "llm", "model_id", "base_model")
_CONTEXT = ("context_size", "seq_len", "ctx_len", "context_length", "max_seq_len", "sequence_length")
_UNIT_NORM = ("input_unit_norm", "normalize_input", "normalize_inputs", "layer_norm_input")
_SUBTRACTS = ("apply_b_dec_to_input", "use_pre_enc_bias", "pre_encoder_bias", "subtract_b_dec")
_ARCHITECTURES = {
    **dict.fromkeys(("standard", "vanilla", "relu", "l1", "plain", "untied"), "standard"),
    **dict.fromkeys(("topk", "ktopk"), "topk"),
    **dict.fromkeys(("batchtopk", "matryoshkabatchtopk", "globalbatchtopkmatryoshka", "matryoshka"), "batchtopk"),
    **dict.fromkeys(("jumprelu",), "jumprelu"),
    **dict.fromkeys(("gated",), "gated"),
    **dict.fromkeys(("abstopk",), "abstopk"),
}
_NEUTRAL = {"", "sae", "autoencoder", "sparseautoencoder", "dictionary", "autoencodernew", "untiedsae", "none"}
_POSITION = {"standard": 0, "topk": 1, "batchtopk": 2}
"""A TopK applies a ReLU first, and a BatchTopK acts as a TopK on one token: the later word says more."""


@dataclass(frozen=True)
class Claims:
    """The statements of a config, in our names; None if it does not say."""

    architecture: str | None = None
    """standard, topk, batchtopk, jumprelu, gated or abstopk."""
    said_by: str = ""
    """The key and value that say the architecture."""
    k: int | None = None
    d_in: int | None = None
    d_sae: int | None = None
    subtracts: bool | None = None
    normalize: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    stated: tuple[str, ...] = ()
    """The config's own keys and how they were understood, one phrase each."""


def claims_of(config: ConfigFields, settings: Mapping[str, Any], file: str) -> Claims:
    """Read the claims of a config. `settings` that a person wrote override them.

    Raises BadDictionaryError, naming the key, for a value that no architecture here computes.
    """
    said, by = _architecture(config)
    k = next((number for number in (config.whole(name) for name in _K if config.value(name)) if number), None)
    if k and not said:
        said, by = "topk", f"k {k}"
    unit_norm = [config.flag(name, default=False) for name in _UNIT_NORM]
    normalize = _normalize(config) or ("layer_norm" if any(unit_norm) else None)
    subtracts = [config.value(name) for name in _SUBTRACTS]
    metadata = _whereabouts(config)
    for name in _OTHER_SIZES:
        config.value(name)
    stated = [f"architecture {said} from {by}"] if said else []
    stated += [f"k {k}"] if k and said and "topk" in said and by != f"k {k}" else []
    stated += [f"inputs normalised ({normalize})"] if normalize else []
    stated += [f"{name} {metadata[name]}" for name in ("model_name", "hook_name", "context_size") if metadata.get(name)]
    by_hand, k_by_hand = settings.get("architecture"), settings.get("k")
    return Claims(
        architecture=_by_hand(by_hand, k_by_hand, said),
        said_by="what was set by hand" if by_hand or k_by_hand else by,
        k=k_by_hand if k_by_hand is not None else k,
        d_in=next((n for n in (config.whole(name) for name in _D_IN) if n), None),
        d_sae=next((n for n in (config.whole(name) for name in _D_SAE) if n), None),
        subtracts=_first_flag(config, settings, subtracts),
        normalize=settings.get("normalize_activations") or normalize,
        metadata=metadata,
        stated=(f"{file} says {', '.join(stated)}",) if stated else (),
    )


def architecture_word(word: str) -> str | None:
    """Return the architecture that a word such as BatchTopKSAE or top-k means; None for an unknown word."""
    bare = re.sub(r"[^a-z0-9]", "", word.lower())
    for ending in ("sae", "autoencoder", "dictionary", "dict"):
        bare = bare.removesuffix(ending) or bare
    bare = bare.removeprefix("autoencoder") or bare
    return _ARCHITECTURES.get(bare)


def _architecture(config: ConfigFields) -> tuple[str | None, str]:
    """Return the architecture that the keys of class and activation say together, and the key that says it."""
    found: tuple[str | None, str] = (None, "")
    for name in (*_CLASS, *_MAY_BE_CLASS, *_ACTIVATION):
        value = config.peek(name)
        unknown = not isinstance(value, str) or not architecture_word(value)
        if value is None or (name in _MAY_BE_CLASS and unknown):
            continue
        config.value(name)
        if not isinstance(value, str):
            raise config.bad(name, "the name of a class or activation")
        known = architecture_word(value)
        if known is None and re.sub(r"[^a-z0-9]", "", value.lower()) in _NEUTRAL:
            continue
        if known is None:
            raise config.bad(name, f"one of {', '.join(sorted(set(_ARCHITECTURES.values())))}, or set #architecture=")
        found = _more_specific(found, (known, f"{name} {value[:40]}"), config, name)
    return found


def _more_specific(
    one: tuple[str | None, str], other: tuple[str, str], config: ConfigFields, name: str
) -> tuple[str | None, str]:
    if one[0] is None or one[0] == other[0]:
        return (one[0] or other[0]), one[1] or other[1]
    if other[0] == "standard":  # a JumpReLU or gated dictionary has a ReLU, too
        return one
    if one[0] == "standard":
        return other
    if one[0] in _POSITION and other[0] in _POSITION:
        return max(one, other, key=lambda pair: _POSITION[pair[0]])
    raise config.bad(name, f"what goes with {one[1]}")


def _normalize(config: ConfigFields) -> str | None:
    """Return sae-lens' name of the input normalisation. Raises BadDictionaryError for one that sae-lens lacks."""
    value = config.value("normalize_activations")
    if value in (None, False, "none"):
        return None
    if isinstance(value, str) and value in ("layer_norm", "constant_norm_rescale", "expected_average_only_in"):
        return value
    raise config.bad("normalize_activations", "none, layer_norm, constant_norm_rescale or expected_average_only_in")


def _first_flag(config: ConfigFields, settings: Mapping[str, Any], said: list[Any]) -> bool | None:
    if "apply_b_dec_to_input" in settings:
        return settings["apply_b_dec_to_input"]
    for name, value in zip(_SUBTRACTS, said, strict=True):
        if value is not None:
            return config.flag(name, default=False)
    return None


def _by_hand(architecture: Any, k: Any, said: str | None) -> str | None:
    if architecture is not None:
        return architecture_word(str(architecture)) or str(architecture)
    if k is not None and (said is None or "topk" not in said):
        return "topk"
    return said


def _whereabouts(config: ConfigFields) -> dict[str, Any]:
    """Return those of model, hook, context and BOS that the config says."""
    model = next((config.value(name) for name in _MODEL if isinstance(config.peek(name), str)), None)
    named = [config.value(name) for name in _HOOK]
    hook = next((text for text in named if isinstance(text, str) and text), None)
    site, layer = config.value("site"), config.value("layer")
    hook = hook or config.value("submodule_name")
    if not hook and isinstance(site, str) and type(layer) is int:
        hook = hook_of(site, layer=layer)
    metadata = {
        "model_name": model.rstrip("/").rsplit("/", 1)[-1] if model else None,
        "hook_name": hook_of(hook, layer=layer if type(layer) is int else None) or hook
        if isinstance(hook, str)
        else hook,
        "context_size": next((n for n in (config.whole(name) for name in _CONTEXT) if n), None),
        "prepend_bos": config.value("prepend_bos"),
    }
    return {name: value for name, value in metadata.items() if value is not None}


def need_k(claims: Claims, file: str) -> int:
    """Return k; raise BadDictionaryError where a TopK says none."""
    if not claims.k:
        raise BadDictionaryError(
            f"{file} is a TopK dictionary ({claims.said_by}), and nothing says its k ({short(claims.k)}). Expected how "
            "many features are kept on a token: write it behind the path, as in PATH#k=32."
        )
    return claims.k
