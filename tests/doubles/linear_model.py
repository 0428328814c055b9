"""A model that is linear in what passes at every hook: no norms, equal attention to all that came before, no MLP."""

import json
from pathlib import Path

import numpy as np

from core.models.language_model import LanguageModel
from tests.doubles.planted import draw_model, planted_model


def linear_model(tmp_path: Path, **sizes: int) -> LanguageModel:
    """Write a planted model, take from it what is not linear, and open it."""
    folder = planted_model(tmp_path, **sizes).folder
    config = json.loads((folder / "config.json").read_text()) | {"normalization_type": None}
    (folder / "config.json").write_text(json.dumps(config))
    state = draw_model(np.random.default_rng(3), config)
    state = {name: array for name, array in state.items() if ".ln" not in name and "ln_final" not in name}
    for name in state:
        if name.endswith(("W_Q", "W_K", "b_Q", "b_K", "W_out")):
            state[name] = np.zeros_like(state[name])
    from safetensors.numpy import save_file

    state = {name: np.ascontiguousarray(array, np.float32) for name, array in state.items()}
    save_file(state, folder / "model.safetensors")
    return LanguageModel(folder)
