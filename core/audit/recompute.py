"""Which shown numbers can be computed anew for one feature, what their oracles are given, and the run itself.

A table says by its provenance how it was made. For tables of weights that is enough: the oracles get the very arrays of
the dictionary and the model, and no result of ours.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from core.catalogue import ALIASES
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.hooks import WRITES, split_hook
from core.dictionaries.spaces import directions
from core.errors import DoesNotFitError
from core.feature_map.embedder import run_embedder
from core.installation import importable
from core.models.language_model import LanguageModel
from core.work.progress import SILENT, Progress

GEOMETRY, POSITIONS, LOGITS = "exact nearest neighbours by cosine", "additive grid", "logit weights"
"""What provenance says under `method`."""
AUDITED = {
    GEOMETRY: "nearest_cosine neighbor encoder_decoder_cosine composed_cosine composed_first composed_second "
    "composed_gain",
    POSITIONS: "position_score peak peak_width mutual_information positional_r2 share_position share_token "
    "share_interaction token_score token_best t_score inverse_token_score inverse_position_score firing_count variance "
    "only_beyond beyond_score",
    LOGITS: "logit_mean logit_std skewness kurtosis excess_kurtosis logit_min logit_max",
}
"""By method, the statistics of one feature that its oracles find within a minute or so."""
ROOMS = {GEOMETRY: "geometry", POSITIONS: "positions", LOGITS: "logit_weights"}
"""The file of core/oracles that holds them, and the case in tests/oracles/cases."""


def audited(provenance: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """Return those columns of a table that can be computed anew; none of a table of several dictionaries."""
    if len(provenance.get("dictionaries") or ()) != 1 or "feature" not in columns:
        return []
    known = AUDITED.get(str(provenance.get("method")), "").split()
    return [name for name in columns if ALIASES.get(name, name) in known]


def needs_model(provenance: Mapping[str, Any]) -> bool:
    """Whether the oracles of a table read the model's weights too."""
    return provenance["method"] in (POSITIONS, LOGITS)


def slow_values(
    provenance: Mapping[str, Any],
    columns: Sequence[str],
    feature: int,
    dictionary: Dictionary,
    model: LanguageModel | None = None,
    *,
    progress: Progress = SILENT,
) -> dict[str, float]:
    """Compute columns of one feature anew by their oracles, in a process that loads nothing else of ours.

    NaN where the oracle finds no value. Raises DoesNotFitError for a dictionary or settings that the oracles do not
    cover, and if the dictionary is not the one that the table was made from.
    """
    if provenance["dictionaries"][0]["sha256"] != dictionary.sha256:
        raise DoesNotFitError(
            f"{dictionary.title} is not the dictionary that this table was made from, or its norms are folded "
            "otherwise. Expected the same weights; draw the figure anew."
        )
    given = _GIVEN[provenance["method"]](dictionary, model, feature, provenance["settings"])
    names = [ALIASES.get(name, name) for name in columns]
    values = run_embedder(importable("core.oracles"), {"statistics": np.array(names), **given}, progress=progress)
    return dict(zip(columns, values[:, 0].tolist(), strict=True))


def _geometry(dictionary: Dictionary, model: LanguageModel | None, feature: int, settings: Mapping) -> dict:
    rows = np.ascontiguousarray(directions(dictionary, settings["side"]))
    return {"directions": rows, "W_enc": dictionary.W_enc, "W_dec": dictionary.W_dec, "feature": feature}


def _positions(dictionary: Dictionary, model: LanguageModel | None, feature: int, settings: Mapping) -> dict:
    assert model is not None
    if dictionary.config.architecture not in ("standard", "jumprelu"):
        raise _not_covered(dictionary, f"its architecture is {dictionary.config.architecture}", "standard or jumprelu")
    return {
        "W_E": model.W_E,
        "W_pos": model.W_pos[: settings["n_pos"]],
        "W_enc": dictionary.W_enc[:, [feature]],
        "b_enc": dictionary.b_enc[[feature]],
        "threshold": dictionary.threshold[[feature]],
        "input_bias": dictionary.b_dec if dictionary.config.apply_b_dec_to_input else 0.0,
        "context_size": settings["context_size"],
        "feature": 0,  # of the columns given, which are one
    }


def _logits(dictionary: Dictionary, model: LanguageModel | None, feature: int, settings: Mapping) -> dict:
    assert model is not None
    hook = dictionary.config.hook_name_out or dictionary.config.hook_name
    if split_hook(hook)[1] not in WRITES:
        raise _not_covered(dictionary, f"it writes to {hook}", "a hook of the residual stream")
    if settings["skip_unused"]:
        raise _not_covered(dictionary, "ids without text are left out", "the setting that keeps them")
    how = {f"how_{name}": settings[name] for name in ("center_d_model", "center", "unit_columns", "unit_rows")}
    if settings["fold_ln"]:
        how["how_ln_w"] = model.ln_final[0]
    return {"W_dec": dictionary.W_dec[[feature]], "W_U": model.W_U, "feature": 0, **how}


_GIVEN: dict[str, Callable[..., dict]] = {GEOMETRY: _geometry, POSITIONS: _positions, LOGITS: _logits}


def _not_covered(dictionary: Dictionary, why: str, expected: str) -> DoesNotFitError:
    return DoesNotFitError(
        f"The slow way does not cover {dictionary.title}: {why}. Expected {expected}; the tests hold other kinds."
    )
