"""Imports torch and related packages quietly and once, and views our arrays as tensors."""

import ctypes
import gc
import importlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

from core.work.threads import available_cpus

_IMPORTING = threading.RLock()
_IN_ORDER = (
    ("transformers", "AutoConfig"),
    ("transformers", "AutoTokenizer"),
    ("transformers", "AutoModelForCausalLM"),
    ("transformer_lens", "HookedTransformer"),
    ("transformer_lens.loading_from_pretrained", "get_pretrained_model_config"),
    ("sae_lens", "SAE"),
    ("sae_lens.loading.pretrained_sae_loaders", "handle_pre_6_0_config"),
)
"""Names that a package imports only on first use. Each is used once here, so that no thread imports it later."""
_whole: set[str] = set()
"""Packages whose import is complete. A name in sys.modules says only that an import began."""


def quiet_imports() -> None:
    """Set what must be set before these packages are imported: no bars, no wandb."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # transformer-lens announces its 4.0 on every construction; the pin keeps us below it.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="transformer_lens")
    # LanguageModel's `centred` loads the model as the dictionary needs it.
    warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
    logging.getLogger("sae_lens").setLevel(logging.ERROR)


def model_library_is_imported() -> bool:
    return "models" in _whole


def import_torch() -> None:
    """Import torch. Other threads that import one of these packages wait."""
    if "torch" in _whole:
        return
    with _IMPORTING:
        import torch

        keep_to(torch, available_cpus())
        _whole.add("torch")


def keep_to(torch: ModuleType, cpus: int) -> None:
    """Let torch use no more threads than there are processors: it counts those of the machine, not the container's."""
    if torch.get_num_threads() > cpus:
        torch.set_num_threads(cpus)


def import_model_library() -> None:
    """Import torch, transformers, TransformerLens and sae-lens; call it before any import from one of them.

    These packages import each other in circles, and transformers replaces its own module at the end of its import.
    Without a lock, another thread could get a half-made module. So one lock guards them, they are always imported in
    the same order, and waiting threads get whole packages.
    """
    if "models" in _whole:
        return
    with _IMPORTING:
        if "models" in _whole:
            return
        quiet_imports()
        with _no_garbage():
            import_torch()
            for module, name in _IN_ORDER:
                getattr(importlib.import_module(module), name)
        _whole.add("models")


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Import without garbage collection, in a fifth of the time: half a million objects are made, and none is freed."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def as_tensor(array: np.ndarray):
    """View an array as a tensor. Our arrays are read-only, and no code writes through the view."""
    import_torch()
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def keep_freed_memory() -> None:
    """Let glibc reuse big buffers: first touch of fresh pages costs half of a training step on a CPU.

    It holds for the whole process, which then never gives memory back: for processes that only train.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(-4, 0)  # M_MMAP_MAX: never map a buffer apart
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD: never give the heap's top back
