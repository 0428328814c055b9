"""The config.json of a model folder, in TransformerLens' names whichever layout it has."""

import json
from pathlib import Path
from typing import Any

from core import model_layouts
from core.errors import BadDictionaryError

WHOLE_NUMBERS = ("d_model", "n_ctx", "d_vocab", "n_layers", "n_heads", "d_head", "d_mlp")


def read_model_config(folder: Path, name: str | None = None) -> dict[str, Any]:
    """Read and check config.json of a model folder; raise BadDictionaryError if it is none.

    A config in Hugging Face's layout is translated; such a model is called `name`, or as its folder.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if model_layouts.is_layout(config):
            config = model_layouts.translate_config(config, name or folder.resolve().name)
        odd = [name for name in WHOLE_NUMBERS if type(config[name]) is not int or config[name] < 1]
        odd += [] if isinstance(config["model_name"], str) else ["model_name"]
        if odd:
            raise ValueError(f"{odd[0]} is {config[odd[0]]!r:.80}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadDictionaryError(
            f"{folder} is no model folder ({type(error).__name__}: {error}). Expected config.json with model_name "
            f"and whole numbers {', '.join(WHOLE_NUMBERS)}, beside model.safetensors and tokenizer.json. "
            "Export the model again, or name another folder."
        ) from error
    return config
