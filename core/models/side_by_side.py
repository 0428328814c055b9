"""Several models that one dictionary reads at once, as a crosscoder of a model and its fine-tune does."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from core.dictionaries.config import DictionaryConfig
from core.models.language_model import LanguageModel
from core.models.search import check_same_tokens


class SideBySide(LanguageModel):
    """One of the models in every respect, with the others beside it. Its hash is that of all of them.

    Raises DoesNotFitError unless a token id means the same in all.
    """

    def __init__(self, models: Sequence[LanguageModel], own: int):
        for model in models:
            check_same_tokens(models[own], model)
        object.__setattr__(self, "beside", tuple(models))
        object.__setattr__(self, "_own", models[own])
        joined = " ".join([str(own), *(model.sha256 for model in models)])
        object.__setattr__(self, "_sha256", hashlib.sha256(joined.encode()).hexdigest())

    def __getattribute__(self, name: str) -> Any:
        if name == "sha256":
            return object.__getattribute__(self, "_sha256")
        if name == "beside" or name.startswith("__"):
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "_own"), name)


def read_by(config: DictionaryConfig, open: Callable[[str], LanguageModel]) -> LanguageModel:
    """Open the model that a dictionary reads by its name, or all of them side by side."""
    models = [open(name) for name in config.read_models or (config.model_name or "",)]
    return models[0] if len(models) == 1 else SideBySide(models, config.side or 0)
