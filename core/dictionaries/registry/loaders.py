"""Runs sae-lens' own loaders on files of the cache: every named format, without requests, at a pinned commit.

sae-lens' loaders download files by name. Here a copy of their module runs whose two download functions look into the
cache instead. sae-lens itself does not change, because a notebook may use it.
"""

import importlib.util
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from core.dictionaries.accounting import text_notes
from core.dictionaries.registry.index import RegistryItem
from core.errors import BadDictionaryError, NotDownloadedError
from core.files.fields import ConfigFields
from core.hub import cache

_MODULE = "sae_lens.loading.pretrained_sae_loaders"
_FOLDERS = {
    None: (("cfg.json", "sae_weights.safetensors"), ("sparsity.safetensors",)),
    "sae_lens": (("cfg.json", "sae_weights.safetensors"), ("sparsity.safetensors",)),
    "gemma_2": (("params.npz",), ()),
    "gemma_2_transcoder": (("params.npz",), ()),
    "gemma_3": (("params.safetensors",), ("config.json",)),
    "llama_scope": (("hyperparams.json", "checkpoints/final.safetensors"), ()),
    "llama_scope_r1_distill": (("config.json", "sae_weights.safetensors"), ()),
    "dictionary_learning_1": (("config.json", "ae.pt"), ()),
    "sparsify": (("cfg.json", "sae.safetensors"), ()),
    "temporal": (("conf.yaml", "latest_ckpt.safetensors"), ()),
}
"""Files that a loader reads from the item's folder: required ones, and optional ones."""
SINGLE_FILES = ("deepseek_r1", "qwen_scope", "goodfire")
"""Loaders whose path is the one file they read."""


def wanted_files(item: RegistryItem) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files that sae-lens reads for an item: required ones, and optional ones.

    Raises BadDictionaryError for a format that this version of the app does not know.
    """
    if item.conversion in _FOLDERS:
        needed, optional = _FOLDERS[item.conversion]
        return tuple(f"{item.path}/{name}" for name in needed), tuple(f"{item.path}/{name}" for name in optional)
    if item.conversion in SINGLE_FILES:
        return (item.path,), ()
    if item.conversion == "connor_rob_hook_z":
        return (f"{item.path.split('.pt')[0]}_cfg.json", item.path), ()
    if item.conversion == "mwhanna_transcoder":
        return (item.path,), ("wandb-config.yaml", "wanb-config.yaml", "config.yaml")
    if item.conversion == "mntss_clt_layer_transcoder":
        return ("config.yaml", f"W_enc_{item.path}.safetensors", f"W_dec_{item.path}.safetensors"), ()
    raise BadDictionaryError(
        f"{item.id} is stored in the format {str(item.conversion)[:80]!r}, which this version does not know. "
        f"Expected one of {', '.join(sorted(filter(None, _FOLDERS)))}. Save it with sae-lens and open the folder."
    )


@dataclass(frozen=True)
class Loaded:
    """An item as sae-lens read it: config in its present layout, weights as float32, warnings."""

    raw_config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    notes: tuple[str, ...]


def load(item: RegistryItem, revision: str = cache.MAIN) -> Loaded:
    """Let sae-lens read an item from the cache (imports torch and sae-lens).

    Raises NotDownloadedError when a file is missing, BadDictionaryError when sae-lens cannot read it.
    """
    from core.work.torch_library import import_model_library

    import_model_library()
    from huggingface_hub.errors import EntryNotFoundError
    from sae_lens import SAE

    asked: list[str] = []
    loaders = _loaders_on_cache(revision, asked)
    name = item.conversion or "sae_lens"
    warned: list[str] = []
    loaders.warnings = _Warnings(warned)
    try:
        sae, _, _ = SAE.from_pretrained_with_cfg_and_sparsity(
            item.release, item.sae_id, converter=loaders.NAMED_PRETRAINED_SAE_LOADERS[name]
        )
    except EntryNotFoundError as error:
        raise NotDownloadedError("dictionary", item.id, what=asked[-1] if asked else "") from error
    except Exception as error:  # code from outside reads files from outside, so any error may come
        raise BadDictionaryError(
            f"sae-lens cannot read {item.id} ({type(error).__name__}: {str(error)[:300]}). Expected a dictionary in "
            f"its {name} format; delete {cache.repository_folder(item.repository)} and download it again."
        ) from error
    tensors = {key: np.ascontiguousarray(value.detach().float().numpy()) for key, value in sae.state_dict().items()}
    raw = sae.cfg.to_dict()
    metadata = raw["metadata"]
    metadata["model_name"] = _with_owner(metadata.get("model_name"), item)
    if is_cross_layer(item):
        metadata["reconstructs"] = False
    notes = _notes(sae, item, warned) + text_notes(ConfigFields(metadata, Path(item.id)))
    return Loaded(raw, tensors, notes + tuple(f"sae-lens warns: {text}" for text in warned))


def _with_owner(name: object, item: RegistryItem) -> object:
    """Return the registry's name of a model, where a loader cut its owner off (as it does with Llama-3.1-8B)."""
    return item.model if item.model.rpartition("/")[2] == name else name


def is_cross_layer(item: RegistryItem) -> bool:
    """Whether sae-lens reads one layer of a cross-layer transcoder, by summing its decoders to all later layers."""
    of_gemma = item.conversion == "gemma_3" and "clt" in item.path
    return of_gemma or item.conversion == "mntss_clt_layer_transcoder"


class _Warnings:
    """Replaces Python's `warnings` in the copy of the loaders, and keeps their warnings for the page.

    Python's own way to catch warnings affects the whole process, where other threads may warn at the same time.
    """

    def __init__(self, kept: list[str]):
        self._kept = kept

    def warn(self, message: object, *_: object, **__: object) -> None:
        text = " ".join(str(message).split())[:600]
        if text not in self._kept:
            self._kept.append(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


def _notes(sae, item: RegistryItem, warned: list[str]) -> tuple[str, ...]:
    if is_cross_layer(item) and not warned:
        return (
            f"{item.id} is one layer of a cross-layer transcoder. Its decoder rows are sums over all later layers: "
            "they are for reading features, not for reconstruction, which is not shown.",
        )
    if sae.cfg.normalize_activations == "expected_average_only_in":
        return (
            f"{item.id} expects inputs of a certain average length, and the registry does not say by which factor to "
            "scale them, so activations and scores may be wrong. Compare its L0 with the published one.",
        )
    return ()


def _loaders_on_cache(revision: str, asked: list[str]) -> ModuleType:
    """Return a copy of sae-lens' loader module that only reads the cache; `asked` collects file names."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    spec = importlib.util.find_spec(_MODULE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def cached(repo_id: str, filename: str, *, subfolder: str | None = None, **_: object) -> str:
        path = f"{subfolder}/{filename}" if subfolder else filename
        asked.append(path)
        file = cache.cached_file(repo_id, path, revision)
        if file is None:
            raise LocalEntryNotFoundError(f"{path} of {repo_id} is not downloaded")
        return str(file)

    def shapes(repo_id: str, filename: str) -> dict[str, list[int]]:
        from safetensors import safe_open

        with safe_open(Path(cached(repo_id, filename)), framework="numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118

    assert {"hf_hub_download", "get_safetensors_tensor_shapes"} <= vars(module).keys(), f"{_MODULE} has changed"
    module.hf_hub_download, module.get_safetensors_tensor_shapes = cached, shapes
    return module
