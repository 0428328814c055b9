"""Folders in sae-lens' format for tests: saved by sae-lens itself, or written without it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.folder import read_folder
from tests.doubles.planted import draw_weights

D_IN, D_SAE, D_OUT = 8, 12, 6
OPTIONS = {
    "standard": {},
    "gated": {},
    "topk": {"k": 3},
    "topk rescaled": {"k": 3, "rescale_acts_by_decoder_norm": True},
    "abstopk": {"k": 3},
    "abstopk rescaled": {"k": 3, "rescale_acts_by_decoder_norm": True},
    "jumprelu": {},
    "transcoder": {"d_out": D_OUT},
    "skip_transcoder": {"d_out": D_OUT},
    "jumprelu_transcoder": {"d_out": D_OUT},
    "jumprelu_skip_transcoder": {"d_out": D_OUT},
    "temporal": {"n_heads": 2, "bottleneck_factor": 3, "kval_topk": 4},
    "temporal untied": {"n_heads": 2, "bottleneck_factor": 3, "sae_diff_type": "relu", "tied_weights": False},
    "matching_pursuit": {"residual_threshold": 0.5, "max_iterations": 4},
}
"""One of every architecture that sae-lens saves, with the settings it needs."""


def save(path: Path, name: str, *, dtype: str = "float32", metadata: dict | None = None, **options) -> Path:
    """Let sae-lens build and save a dictionary with random weights."""
    import torch
    from sae_lens import SAE, __version__

    architecture = name.split(" ")[0]
    metadata = {"model_name": "planted", "hook_name": "blocks.0.hook_resid_pre", "context_size": 6} | (metadata or {})
    config = {"architecture": architecture, "d_in": D_IN, "d_sae": D_SAE, "dtype": dtype, "device": "cpu"}
    config |= {"apply_b_dec_to_input": "transcoder" not in architecture} | OPTIONS[name] | options
    sae = SAE.from_dict(config | {"metadata": metadata | {"sae_lens_version": __version__}})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    sae.save_model(path)
    return path


def read(path: Path, *, fold: bool = True) -> Dictionary:
    return read_folder(path, id="folder/x", title="x", fold_decoder_norms=fold)


def numpy_weights(architecture: str = "standard") -> dict[str, np.ndarray]:
    drawn = draw_weights(np.random.default_rng(0), architecture, D_IN, D_SAE, 0.2)
    return {name: np.ascontiguousarray(array, np.float32) for name, array in drawn.items()}


def write(
    path: Path, architecture: str = "standard", *, weights: dict | None = None, metadata: object = None, **changes
) -> Path:
    """Write a folder without sae-lens; `changes` replaces fields of the config, None drops them."""
    path.mkdir(exist_ok=True)
    hook = {"model_name": "planted", "hook_name": "blocks.0.hook_resid_pre", "context_size": 6}
    if isinstance(metadata, dict) or metadata is None:
        metadata = hook | (metadata or {})
    config = {"architecture": architecture, "d_in": D_IN, "d_sae": D_SAE, "dtype": "float32", "metadata": metadata}
    config |= {"apply_b_dec_to_input": True} | changes
    (path / "cfg.json").write_text(json.dumps(config))
    save_file(weights if weights is not None else numpy_weights(architecture), path / "sae_weights.safetensors")
    return path
