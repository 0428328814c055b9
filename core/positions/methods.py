"""The positional statistics by the most exact method that applies: over all tokens and positions, or from text."""

from typing import Literal

import numpy as np
from jaxtyping import Int

from core.devices.device import CPU, Device
from core.dictionaries.config import DictionaryConfig
from core.dictionaries.dictionary import Dictionary
from core.errors import CorpusError, OutOfRangeError
from core.models.language_model import LanguageModel
from core.models.search import check_fit
from core.positions.additive import additive_statistics
from core.positions.encoded import corpus_statistics, plain_grid_statistics
from core.positions.statistics import PositionSettings, PositionStatistics, grid_tokens
from core.work.calls import call
from core.work.progress import SILENT, Progress
from core.work.wanted import Wanted

Method = Literal["additive grid", "plain grid", "corpus"]
GRID_HOOK = "blocks.0.hook_resid_pre"
"""The one hook where an input is a token vector plus a position vector."""


def choose_method(
    dictionary: Dictionary, model: LanguageModel, settings: PositionSettings | None = None
) -> tuple[Method, str]:
    """Choose the most exact method that applies, and say why in a sentence for the page."""
    settings = settings or PositionSettings()
    hook, n_pos = dictionary.config.hook_name, min(settings.n_pos or model.n_ctx, model.n_ctx)
    if dictionary.config.read_hooks:
        return "corpus", f"From corpus text: the dictionary reads {len(dictionary.config.read_hooks)} places at once."
    if hook != GRID_HOOK:
        return "corpus", (
            f"From corpus text: at {hook} a feature's input depends on the text before the token, "
            "so token and position alone do not fix it."
        )
    if model.positions != "absolute":
        return "corpus", (
            f"From corpus text: {model.name} has {model.positions} positions, "
            "and no position vector is part of this hook's input."
        )
    if dictionary.config.architecture == "temporal":
        return "corpus", "From corpus text: the dictionary's features depend on the tokens before."
    size = f"{model.d_vocab:,} tokens × {n_pos:,} positions"
    reason = dictionary.not_additive_because
    if reason is None:
        return (
            "additive grid",
            f"Exact over all {size}: at layer 0 a pre-activation is a token part plus a position part.",
        )
    if model.d_vocab <= settings.grid_tokens:
        return "plain grid", f"Exact over all {size}, each one encoded, because {reason}."
    return "plain grid", (
        f"From {settings.grid_tokens:,} of {size}, each one encoded, because {reason}; "
        "the tokens are drawn with seed 0."
    )


def position_statistics(
    dictionary: Dictionary,
    model: LanguageModel,
    *,
    settings: PositionSettings | None = None,
    rows: Int[np.ndarray, "row pos"] | None = None,
    device: Device = CPU,
    progress: Progress = SILENT,
) -> PositionStatistics:
    """Compute the statistics by the method that `choose_method` names; only 'corpus' reads `rows`.

    `device` computes the additive grid; see `position_device`.

    `progress.update(done, total)` is called after every block and may raise CancelledError. Raises
    DoesNotFitError for a dictionary of another model, OutOfRangeError for more positions than there
    are, and CorpusError where text is needed and `rows` is None or empty.
    """
    settings = settings or PositionSettings()
    check_fit(dictionary.config, model)
    method, _ = choose_method(dictionary, model, settings)
    available = model.n_ctx
    if method == "corpus":
        if rows is None or rows.size == 0:
            raise CorpusError(
                f"Statistics of {dictionary.title} at {dictionary.config.hook_name} need rows of text, but none were "
                "given. Choose a corpus."
            )
        available = min(available, rows.shape[1])
    n_pos = settings.n_pos or available
    if n_pos > available:
        raise OutOfRangeError("Position", n_pos - 1, available)
    context_size = min(dictionary.config.context_size or n_pos, n_pos)
    common = {"n_pos": n_pos, "context_size": context_size, "progress": progress}
    if method == "corpus":
        return corpus_statistics(dictionary, model, rows, budget_bytes=settings.budget_bytes, **common)
    if method == "additive grid":
        return additive_statistics(dictionary, model, device=device, **common)
    tokens = grid_tokens(model.d_vocab, settings.grid_tokens)
    return plain_grid_statistics(dictionary, model, tokens, budget_bytes=settings.budget_bytes, **common)


def usual_positions(config: DictionaryConfig, model: LanguageModel) -> int:
    """Return how many positions a page shows at first: twice the training context, if the model has them."""
    context = min(config.context_size or model.n_ctx, model.n_ctx)
    return min(2 * context, model.n_ctx)


def position_device(dictionary: Dictionary, model: LanguageModel, settings: PositionSettings, device: Device) -> Device:
    """Return where the statistics are best computed, given a device: the CPU for small grids and other methods."""
    if choose_method(dictionary, model, settings)[0] != "additive grid":
        return CPU
    return device.for_work(dictionary.d_sae * model.d_vocab * dictionary.d_in)


def wanted_positions(
    dictionary: Dictionary,
    model: LanguageModel,
    settings: PositionSettings,
    rows: Int[np.ndarray, "row pos"] | None,
    device: Device,
) -> Wanted[PositionStatistics]:
    """Name the statistics with what computes them, given the chosen device; `rows` as in `position_statistics`."""
    device = position_device(dictionary, model, settings, device)
    key = PositionStatistics.key(dictionary.sha256, model.sha256, settings=settings, rows=rows, device=device)
    work = call(position_statistics, dictionary, model, settings=settings, rows=rows, device=device)
    return Wanted(PositionStatistics, key, "Positional statistics", work)
