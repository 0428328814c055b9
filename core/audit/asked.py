"""What a person asks to be computed anew: the things that a figure was made from, and the feature."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from core.dictionaries.config import UNFOLDED_NORMALISATIONS
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.batches import batches
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

MOST_NUMBERS = 2**26
"""Numbers that a model may give on the text; more of them would not go into a process of their own."""
MOST_PRODUCTS = 2e12
"""Multiplications of inputs with the encoder; more take longer than some minutes."""
_OURS = {
    **{name: name for name in ("standard", "jumprelu", "gated", "topk", "abstopk")},
    **dict.fromkeys(("transcoder", "skip_transcoder"), "standard"),
    **dict.fromkeys(("jumprelu_transcoder", "jumprelu_skip_transcoder"), "jumprelu"),
    **dict.fromkeys(("topk_transcoder", "topk_skip_transcoder"), "topk"),
}
"""What the slow way encodes with, by architecture."""
_COMPETING = ("topk", "abstopk")


@dataclass(frozen=True, eq=False)
class Text:
    """Rows of token ids that a figure was made from."""

    rows: Int[np.ndarray, "row pos"]
    left_out: tuple[int, ...] = ()
    """Ids that do not count."""


@dataclass(frozen=True, eq=False)
class Asked:
    """Numbers of one feature, and what the figure that shows them was made from."""

    dictionaries: tuple[Dictionary, ...]
    settings: Mapping[str, Any]
    """What provenance says of the figure."""
    feature: int
    model: LanguageModel | None = None
    text: Text | None = None
    sets: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Token sets by name."""
    columns: tuple[str, ...] = ()
    """The columns of the figure's table."""
    progress: Progress = SILENT

    @property
    def dictionary(self) -> Dictionary:
        return self.dictionaries[0]

    def reporting(self, progress: Progress) -> "Asked":
        return replace(self, progress=progress)


def encoder(asked: Asked, n_inputs: int) -> dict[str, object]:
    """Return the tensors by which the feature is encoded, alone or, where features compete, among all.

    Raises DoesNotFitError for a dictionary that the slow way has no formula for, and for too much work.
    """
    dictionary, config, feature = asked.dictionary, asked.dictionary.config, asked.feature
    architecture = _OURS.get(config.architecture)
    normalised = config.normalize_activations
    if architecture is None or config.read_hooks or config.sides > 1 or config.blocks > 1:
        kind = f"a {config.kind} dictionary{' of several places' if architecture else ''}"
        raise not_covered(dictionary, f"it is {kind}", f"one of {', '.join(_OURS)}")
    if normalised not in UNFOLDED_NORMALISATIONS | {"none", "layer_norm"}:
        raise not_covered(dictionary, f"it normalises each input ({normalised})", "none or layer_norm")
    if config.rescale_acts_by_decoder_norm and not dictionary.folded:
        raise not_covered(dictionary, "features are ranked by length of their decoder rows too", "norms folded")
    alone = architecture not in _COMPETING
    check_work(asked, n_inputs * config.d_in * (1 if alone else config.d_sae))
    columns = [feature] if alone else slice(None)
    names = ("W_enc", "b_enc", "threshold", "r_mag", "b_mag", "b_gate")
    tensors = {name: dictionary.tensors[name][..., columns] for name in names if name in dictionary.tensors}
    return {
        **tensors,
        "architecture": architecture,
        "k": config.k or 0,
        "input_bias": dictionary.input_bias,
        "layer_norm": normalised == "layer_norm",
        "keep": 0 if alone else feature,
        "feature": 0,  # of those kept, which are one
    }


def inputs_on_text(asked: Asked) -> np.ndarray:
    """Run the model over the text and return what the dictionary reads (row, position, dimension).

    Raises DoesNotFitError for more text than a process of its own is given.
    """
    assert asked.model is not None
    assert asked.text is not None
    rows, width = asked.text.rows, asked.dictionary.config.input_width
    if rows.size * width > MOST_NUMBERS:
        raise DoesNotFitError(
            f"The slow way reads at most {MOST_NUMBERS // width:,} tokens of width {width:,} again; this figure rests "
            f"on {rows.size:,}. Choose fewer rows of text, or look at the first views of a page, which rest on few."
        )
    hooks = asked.dictionary.config.hooks_in
    return np.concatenate([x for _, x in batches(asked.model, rows, hooks, progress=asked.progress)])


def check_work(asked: Asked, products: int) -> None:
    """Raise DoesNotFitError for more multiplications than a person waits for."""
    if products > MOST_PRODUCTS:
        raise not_covered(
            asked.dictionary,
            f"step by step it takes {products:.2g} multiplications",
            f"at most {MOST_PRODUCTS:.2g}: fewer positions, less text or a smaller dictionary",
        )


def not_covered(dictionary: Dictionary, why: str, expected: str) -> DoesNotFitError:
    return DoesNotFitError(
        f"The slow way does not cover {dictionary.title}: {why}. Expected {expected}; the tests hold other kinds."
    )
