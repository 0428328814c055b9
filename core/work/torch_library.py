"""Importing torch and its friends quietly, once, and viewing our arrays as its tensors."""

import gc
import logging
import os
import sys
import warnings

import numpy as np


def quiet_imports() -> None:
    """Set what must be set before torch's friends are imported: no bars, no wandb."""
    os.environ.setdefault("WANDB_MODE", "disabled")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # transformer-lens announces its 4.0 on every construction; the pin keeps us below it.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="transformer_lens")
    # The model is loaded as the dictionary asks (LanguageModel's `centred`).
    warnings.filterwarnings("ignore", message=r"\s*This SAE has non-empty model_from_pretrained_kwargs")
    logging.getLogger("sae_lens").setLevel(logging.ERROR)


def import_model_library() -> None:
    """Import torch and TransformerLens; may be called from several threads, all of which wait for the first.

    Half a million objects come into being that never go: looking for garbage among them takes a fifth of the time.
    """
    if "transformer_lens" in sys.modules:
        return
    quiet_imports()
    collecting = gc.isenabled()
    gc.disable()
    try:
        import transformer_lens  # noqa: F401
    finally:
        if collecting:
            gc.enable()


def as_tensor(array: np.ndarray):
    """View an array as a tensor; ours are read-only, and nobody writes through the view."""
    import torch

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
