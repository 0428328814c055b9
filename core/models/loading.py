"""Loading a model of transformers from its folder: whole or not at all, in one dtype, once in memory."""

import json
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from core.amounts import of_bytes
from core.errors import BadDictionaryError
from core.installation import started_with
from core.models import layouts
from core.models.architecture import Architecture
from core.work.memory import MemoryBudgetError
from core.work.temporary import temporary_folder
from core.work.torch_library import import_model_library

DTYPES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""What models run in, and the bytes of a number."""
OWN = "own"
"""The setting for the dtype that the model's weights are stored in."""
_STORED = {"F32": "float32", "F64": "float32", "BF16": "bfloat16", "F16": "float16"}


def dtype_of(folder: Path, setting: str = OWN) -> str:
    """Return the dtype to run a model in: as set, as its config says, or as most of its weights are stored."""
    if setting != OWN:
        assert setting in DTYPES, setting
        return setting
    config = json.loads(layouts.read_layout_config(folder) or "{}")
    texts = (config, config.get("text_config") or {})
    said = [text.get(name) for text in texts if isinstance(text, Mapping) for name in ("dtype", "torch_dtype")]
    return next((name for name in said if name in DTYPES), None) or _stored_dtype(folder)


def _stored_dtype(folder: Path) -> str:
    from safetensors import safe_open

    try:
        shards = layouts.shard_of(folder)
        with safe_open(folder / sorted(set(shards.values()))[0], framework="numpy") as file:
            kinds = [_STORED.get(file.get_slice(name).get_dtype()) for name in file.keys()]  # noqa: SIM118
    except (BadDictionaryError, OSError, IndexError):
        return "float32"
    kinds = [kind for kind in kinds if kind]
    return max(set(kinds), key=kinds.count) if kinds else "float32"


def load_within(
    folder: Path, architecture: Architecture, dtype: str, make_room: Callable[[int], None], *, may_offload: bool
) -> tuple[Any, int]:
    """Load a model into the memory that `make_room` grants, or else the part of it that fits; return it and its bytes.

    Raises what `load` and `make_room` raise; nothing is read before there is room.
    """
    check_files(folder)
    nbytes, most = _nbytes(architecture.meta, dtype), None
    try:
        make_room(nbytes)
    except MemoryBudgetError as error:
        if error.left is None or not may_offload:  # what is on disk cannot be changed
            raise
        most = error.left
    return load(folder, architecture, dtype=dtype, most_bytes=most), nbytes if most is None else min(nbytes, most)


def load(folder: Path, architecture: Architecture, *, dtype: str, most_bytes: int | None = None) -> Any:
    """Return transformers' model, evaluating, on the CPU. No network is asked, and no pickle is read.

    `most_bytes`: hold no more of it in memory and the rest on disk, from where the library takes each layer as it
    is needed. Raises BadDictionaryError for files that are missing, damaged or not this model's; MemoryBudgetError
    where not even one layer at a time fits.
    """
    import_model_library()
    import torch
    from transformers.utils import logging

    check_files(folder)
    logging.disable_progress_bar()
    how: dict[str, Any] = {"dtype": getattr(torch, dtype), "attn_implementation": _attention(architecture)}
    offload = ExitStack()
    if most_bytes is not None:
        how |= _placing(architecture, dtype, most_bytes)
        how |= {"offload_folder": str(offload.enter_context(temporary_folder()))}
    try:
        model, told = architecture.model_class.from_pretrained(
            folder,
            config=architecture.config,
            local_files_only=True,
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are told of, and refused below
            output_loading_info=True,
            **how,
        )
    except Exception as error:  # damaged files, and quantised ones without their kernels, raise errors of any kind
        raise _unreadable(folder, architecture, error) from error
    _check_whole(folder, architecture, told)
    _add_head_bias(folder, architecture, model, told)
    weakref.finalize(model, offload.close)
    return model.eval().requires_grad_(False)


def check_files(folder: Path) -> None:
    """Raise BadDictionaryError unless the weights' files are all there."""
    shards = sorted(set(layouts.shard_of(folder).values()))
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise BadDictionaryError(
            f"{folder} lacks {len(missing)} of its {len(shards)} files of weights: {', '.join(missing[:3])}. Expected "
            f"all that {layouts.INDEX_FILE} lists; nothing was loaded. Download or copy what is missing."
        )


def _attention(architecture: Architecture) -> str:
    return "sdpa" if getattr(architecture.model_class, "_supports_sdpa", False) else "eager"


def _placing(architecture: Architecture, dtype: str, most_bytes: int) -> dict[str, Any]:
    """Return the options that keep the rest on disk; one block is in memory besides, while it runs."""
    blocks = architecture.meta.get_submodule(architecture.adapter.component_mapping["blocks"].name)
    embed = architecture.meta.get_input_embeddings()
    largest = max(_nbytes(block, dtype) for block in (*blocks, embed))
    if most_bytes < 2 * largest:
        raise MemoryBudgetError(
            f"{architecture.where} needs {of_bytes(_nbytes(architecture.meta, dtype))}, and at least "
            f"{of_bytes(2 * largest)} when most of it stays on disk, but {of_bytes(most_bytes)} are left. Nothing was "
            f"started. Start the app with a larger budget: {started_with('--memory GB')}"
        )
    return {
        "device_map": "auto",
        "max_memory": {"cpu": most_bytes - largest},
    }


def _nbytes(module: Any, dtype: str) -> int:
    return DTYPES[dtype] * sum(parameter.numel() for parameter in module.parameters())


def _check_whole(folder: Path, architecture: Architecture, told: Mapping[str, Any]) -> None:
    """Raise BadDictionaryError for weights that the files lack: the library would draw them at random."""
    head = architecture.adapter.component_mapping["unembed"].name
    missing = sorted(name for name in told["missing_keys"] if not name.startswith(f"{head}."))
    odd = sorted(map(str, told.get("mismatched_keys") or ()))
    if missing or odd:
        raise BadDictionaryError(
            f"The weights in {folder} do not fit its config: missing {missing[:5]}, of another shape {odd[:3]}. "
            "Export model and config together."
        )


def _add_head_bias(folder: Path, architecture: Architecture, model: Any, told: Mapping[str, Any]) -> None:
    """Put back an unembedding's bias, for which some classes (GPT-2's) have no place."""
    import torch
    from safetensors import safe_open

    head = architecture.adapter.component_mapping["unembed"].name
    name, unembed = f"{head}.bias", model.get_submodule(head)
    if name in told["unexpected_keys"] and unembed.bias is None:
        with safe_open(folder / layouts.shard_of(folder)[name], framework="pt") as file:
            unembed.bias = torch.nn.Parameter(file.get_tensor(name).to(unembed.weight.dtype), requires_grad=False)


def _unreadable(folder: Path, architecture: Architecture, error: Exception) -> BadDictionaryError:
    quantised = getattr(architecture.config, "quantization_config", None)
    said = f"{type(error).__name__}: {str(error)[:300]}"
    if quantised:
        method = quantised.get("quant_method") if isinstance(quantised, Mapping) else type(quantised).__name__
        return BadDictionaryError(
            f"The weights in {folder} are quantised ({str(method)[:50]}), and what reads them is not here ({said}). "
            "Expected weights in float32, bfloat16 or float16: take the repository of the model as it was before "
            "quantising, or install what the message names."
        )
    return BadDictionaryError(
        f"transformers cannot load the model in {folder} ({said}). Expected weights in safetensors that fit its "
        "config.json; download or save the model again, or choose another."
    )
