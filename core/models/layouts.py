"""Model folders in Hugging Face's layout: their config, and tensors of theirs as ours, read alone from their files.

The conventions are TransformerLens', without its processing: W_U is (d_model, d_vocab), and what an architecture does
to embedding and logits besides (Gemma's scale, Bloom's norm, OPT's projections) is part of W_E and W_U here.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from core.errors import BadDictionaryError
from core.files.tensors import file_sha256, read_tensors
from core.models.parts import LONGEST, ModelParts
from core.work.artifacts import ArtifactStore

WEIGHTS_FILE, INDEX_FILE, CONFIG_FILE = "model.safetensors", "model.safetensors.index.json", "config.json"
EMBEDDINGS = ("embed.W_E", "pos_embed.W_pos", "unembed.W_U", "unembed.b_U", "ln_final.w", "ln_final.b")
"""All that the weight pages of a dictionary on the residual stream need."""
_VECTORS = ("unembed.b_U", "ln_final.w", "ln_final.b", "ln1_post.w", "ln2_post.w")
_NORMS = ("ln_final.w", "ln1_post.w", "ln2_post.w")
_BESIDE = {
    "embed.W_E": ("embed.norm.w", "embed.norm.b", "embed.project_in"),
    "unembed.W_U": ("unembed.project_out",),
}
"""What else is read to make a part."""


def is_layout(config: object) -> bool:
    """Whether a config.json is in Hugging Face's layout rather than TransformerLens'."""
    return isinstance(config, dict) and ("model_type" in config or "architectures" in config)


def read_layout_config(folder: Path) -> str | None:
    """Return config.json of a folder in Hugging Face's layout, None for a folder in TransformerLens' names."""
    try:
        content = (folder / CONFIG_FILE).read_text(encoding="utf-8")
        return content if is_layout(json.loads(content)) else None
    except (OSError, ValueError, RecursionError):
        return None


def model_parts(config_json: str, stored: Iterable[str], where: str, store: ArtifactStore | None = None) -> ModelParts:
    """Return what is kept about a config and the names in its files, or find it out (which imports torch).

    `where` names the model in errors: BadDictionaryError for a config that makes no language model,
    DoesNotFitError for an architecture that nobody has mapped.
    """
    names = tuple(sorted(stored))
    if store is None:
        return _found(config_json, names, where)
    return store.cached(ModelParts, ModelParts.key(config_json, names), lambda: _found(config_json, names, where))


@lru_cache(maxsize=32)
def _found(config_json: str, stored: tuple[str, ...], where: str) -> ModelParts:
    from core.models.find_parts import find_parts

    return find_parts(config_json, stored, where)


def read_parts(folder: Path, store: ArtifactStore | None = None) -> ModelParts | None:
    """Return what is to be known of a folder in Hugging Face's layout; None for one in TransformerLens' names.

    Weights that are missing or damaged are no matter yet. Raises what `model_parts` raises.
    """
    config = read_layout_config(folder)
    return None if config is None else model_parts(config, stored_names(folder), str(folder), store)


def parts_are_known(folder: Path, store: ArtifactStore) -> bool:
    """Whether `read_parts` imports nothing."""
    config = read_layout_config(folder)
    return config is None or store.holds(ModelParts.key(config, tuple(sorted(stored_names(folder)))))


def stored_names(folder: Path) -> Iterable[str]:
    """Return the names of the tensors in a folder's files; none where these are missing or damaged."""
    try:
        return shard_of(folder)
    except BadDictionaryError:
        return ()


def files_names(parts: ModelParts, names: Iterable[str]) -> list[str]:
    """Return what the files call all that parts of ours are made of; what they have not is left out."""
    needed = [beside for name in names for beside in (name, *_BESIDE.get(name, ()))]
    return [parts.stored[name] for name in needed if name in parts.stored]


def read_layout(folder: Path, parts: ModelParts, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read tensors by our names from a Hugging Face folder, as float32; absent ones are left out.

    Only these are read, from the shards that hold them. The unembedding's bias is zero where the file
    has none. Raises BadDictionaryError for files that are missing or damaged.
    """
    shards, wanted = shard_of(folder), set(files_names(parts, names))
    raw: dict[str, np.ndarray] = {}
    for shard in sorted({shards[name] for name in wanted if name in shards}):
        raw |= read_tensors(folder / shard, [name for name in wanted if shards.get(name) == shard])
    tensors = {}
    for name in names:
        try:
            if parts.stored.get(name) in raw:
                tensors[name] = _ours(name, parts, raw)
        except ValueError as error:
            theirs = parts.stored[name]
            raise BadDictionaryError(
                f"{theirs} in {folder} has shape {raw[theirs].shape}; expected one that fits config.json ({error}). "
                "Save model and config together."
            ) from error
    if "unembed.b_U" in names and "unembed.W_U" in tensors:
        tensors.setdefault("unembed.b_U", np.zeros(parts.d_vocab, np.float32))
    return tensors


def _ours(name: str, parts: ModelParts, raw: Mapping[str, np.ndarray]) -> np.ndarray:
    """Turn a part into ours; raise ValueError where its shape cannot be."""
    array = raw[parts.stored[name]]
    beside = {other: raw[parts.stored[other]] for other in _BESIDE.get(name, ()) if other in parts.stored}
    if array.ndim != (1 if name.endswith(_VECTORS) else 2):
        raise ValueError(f"not {array.ndim} axes")
    if parts.stored_turned[name]:
        array = array.T
    if name == "embed.W_E":
        return _embedding(array, parts, beside)
    if name == "unembed.W_U" and beside:
        array = _product(beside["unembed.project_out"].T, array)
    if name in ("unembed.W_U", "unembed.b_U") and parts.logit_scale != 1:
        return array * np.float32(parts.logit_scale)
    if name == "pos_embed.W_pos":
        return array[parts.pos_offset :][: min(parts.n_ctx, LONGEST)]
    if name.endswith(_NORMS) and parts.one_more:
        return array + np.float32(1)
    if name.endswith("attn.W_O"):
        return np.ascontiguousarray(array).reshape(parts.n_heads or 1, parts.d_head or -1, parts.d_model)
    return array


def _embedding(
    array: Float[np.ndarray, "d_vocab d"], parts: ModelParts, beside: Mapping[str, np.ndarray]
) -> Float[np.ndarray, "d_vocab d_model"]:
    """Return what each token adds to the stream."""
    if "embed.project_in" in beside:
        array = _product(array, beside["embed.project_in"].T)
    if "embed.norm.w" in beside:
        centred = array - array.mean(axis=1, dtype=np.float64, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + parts.embed_eps)
        array = (centred / spread * beside["embed.norm.w"] + beside.get("embed.norm.b", 0)).astype(np.float32)
    return array if parts.embed_scale == 1 else array * np.float32(parts.embed_scale)


def _product(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "d m"]) -> Float[np.ndarray, "n m"]:
    """Multiply in float64, so that the float32 result is the same on every processor."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)


def shard_of(folder: Path) -> dict[str, str]:
    """Return the file that holds each tensor, by name. Raises BadDictionaryError for a damaged index or file."""
    from safetensors import SafetensorError, safe_open

    single, index = folder / WEIGHTS_FILE, folder / INDEX_FILE
    try:
        if single.is_file():
            with safe_open(single, framework="numpy") as file:
                return dict.fromkeys(file.keys(), WEIGHTS_FILE)
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {name: shard for name, shard in listed.items() if isinstance(shard, str) and "/" not in shard}
        if len(files) < len(listed):
            raise ValueError("a shard's name is no plain file name")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDictionaryError(
            f"{folder} has no readable weights ({type(error).__name__}: {str(error)[:200]}). Expected {WEIGHTS_FILE}, "
            f"or {INDEX_FILE} with its shards; download or save the model as safetensors again."
        ) from error
    return files


def weights_sha256(folder: Path) -> str:
    """Return a content hash of all weights files: the one that the hub's cache keeps, else a computed one."""
    from core.hub.cache import stored_sha256

    shards = sorted(set(shard_of(folder).values()))
    hashes = [stored_sha256(folder / shard) or file_sha256(folder / shard) for shard in shards]
    return hashes[0] if len(hashes) == 1 else " ".join(hashes)
