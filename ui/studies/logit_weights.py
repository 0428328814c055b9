"""Where logit weights meet Streamlit: settings in the sidebar, studies and baselines from the store."""

import numpy as np
import streamlit as st

from core.corpus.samples import reading_of
from core.devices.device import Device
from core.dictionaries.dictionary import Dictionary
from core.logit_weights import study as studies
from core.logit_weights.classes import ClassThresholds
from core.logit_weights.statistics import LogitStatistics, extreme_logits, logit_weights
from core.logit_weights.study import LogitStudy, logits_device, wanted_logits, wanted_random
from core.logit_weights.unembedding import LogitSettings, Unembedding, residual_directions, source_key, unembedding
from core.models.language_model import LanguageModel
from ui.studies import compute, opened

CENTRES = {"Mean of W_U": "mean", "Median of each feature": "median", "Not at all": "none"}


def settings() -> LogitSettings:
    """Pick how logit weights are computed, in the sidebar. The URL holds the choice."""
    usual = LogitSettings()

    def toggle(label: str, key: str, default: bool, help: str) -> bool:
        return st.toggle(label, value=default, key=key, bind="query-params", help=help)

    with st.sidebar.expander("How logit weights are made", icon=":material/tune:"):
        center = st.selectbox(
            "Centre over the vocabulary",
            list(CENTRES),
            key="lw_center",
            bind="query-params",
            help="Mean of W_U: subtract from W_U its mean over tokens (TransformerLens). Median of each feature: shift "
            "the median of its logit weights to 0 (Bricken et al. 2023). Skewness and kurtosis do not change.",
        )
        return LogitSettings(
            fold_ln=toggle(
                "Fold the final norm", "lw_fold", usual.fold_ln, "Multiplies W_U by the weight of the final norm."
            ),
            center_d_model=toggle(
                "Centre over d_model",
                "lw_dmodel",
                usual.center_d_model,
                "Subtracts the mean over d_model from each token's column. A final LayerNorm removes it anyway.",
            ),
            center=CENTRES[center],
            unit_columns=toggle(
                "Token columns of length 1",
                "lw_columns",
                usual.unit_columns,
                "Only the direction of a token's column counts, not its length.",
            ),
            unit_rows=toggle(
                "Feature rows of length 1",
                "lw_rows",
                usual.unit_rows,
                "Only the direction of a feature's decoder row counts, not its length.",
            ),
            skip_unused=toggle(
                "Leave out ids without text",
                "lw_unused",
                usual.skip_unused,
                "Leaves out ids for which the tokenizer has no text.",
            ),
        )


def thresholds() -> ClassThresholds:
    """Pick the borders of the classes. The URL holds them."""
    usual = ClassThresholds()
    columns = st.columns(4)

    def number(place: int, label: str, key: str, default: float, least: float, most: float, help: str) -> float:
        return columns[place].number_input(
            label, least, most, default, step=0.05 if most <= 1 else 0.5, key=key, bind="query-params", help=help
        )

    return ClassThresholds(
        peaked=number(
            0, "Peaked: kurtosis above", "lw_peaked", usual.peaked, 1.0, 1e4, "Prediction and suppression features."
        ),
        flat=number(1, "Flat: kurtosis below", "lw_flat", usual.flat, 1.0, 1e4, "Partition features."),
        even=number(2, "Even: skewness within ±", "lw_even", usual.even, 0.0, 100.0, "Partition features."),
        spread=number(
            3,
            "Wide: quantile of the standard deviation",
            "lw_spread",
            usual.spread,
            0.0,
            1.0,
            "Partition features lie above this quantile of the standard deviation.",
        ),
    )


def logit_study(settings: LogitSettings, id: str | None = None) -> LogitStudy:
    """Return dictionary, model and statistics, of the picked dictionary by default (raises LoupeError)."""
    return study_of(opened.dictionary(id), settings)


def study_of(dictionary: Dictionary, settings: LogitSettings) -> LogitStudy:
    """Return the same for an opened dictionary."""
    model = opened.model_of(dictionary)
    device = device_for(dictionary.d_sae, model)
    named = wanted_logits(dictionary, model, settings, compute.device())
    stats = compute.wanted(named)
    # The study is kept beside the statistics, because its table is the same on every rerun.
    return compute.loaded().get(
        f"logit study {named.key} of {dictionary.id} as {reading_of(model)}",
        lambda: LogitStudy(dictionary, model, settings, stats, device),
    )


def statistics_key(dictionary: Dictionary, settings: LogitSettings) -> str:
    """Name the statistics of a dictionary that is at hand (raises LoupeError)."""
    return studies.statistics_key(dictionary, opened.model_of(dictionary), settings, compute.device())


def extremes_of(
    dictionary: Dictionary, model: LanguageModel, feature: int, settings: LogitSettings
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the tokens that one feature promotes and suppresses most, with their logit weights, as in `study_of`.

    Where the statistics of all features are not kept, only the block of this feature is computed. A device computes
    all, as there no block gives the same bits. Raises LoupeError.
    """
    key = studies.statistics_key(dictionary, model, settings, compute.device())
    if compute.at_hand(key) or device_for(dictionary.d_sae, model).runs_kernels:
        stats = study_of(dictionary, settings).stats
        top, bottom = (stats.top_tokens, stats.top_values), (stats.bottom_tokens, stats.bottom_values)
        return tuple(part[feature] for part in top), tuple(part[feature] for part in bottom)
    name = f"directions {dictionary.sha256} {model.sha256} {settings.unit_rows}"
    directions = compute.loaded().get(name, lambda: residual_directions(dictionary, model, settings))
    found = extreme_logits(directions, unembedding_of(model, settings), feature, center=settings.center)
    return found["top"], found["bottom"]


def device_for(n: int, model: LanguageModel) -> Device:
    """Return where logit weights of so many features are best computed."""
    return logits_device(n, model, compute.device())


def random_baseline(study: LogitStudy) -> LogitStatistics:
    """Return the same statistics of as many random directions."""
    return compute.wanted(wanted_random(study.dictionary.d_sae, study.model, study.settings, study.device))


def processed_unembedding(study: LogitStudy) -> Unembedding:
    """Return the processed W_U, kept in memory between reruns."""
    return unembedding_of(study.model, study.settings)


def unembedding_of(model: LanguageModel, settings: LogitSettings) -> Unembedding:
    """Return a model's processed W_U, kept in memory between reruns."""
    inputs = sorted(settings.as_inputs().items())
    return compute.loaded().get(
        f"unembedding {source_key(model, settings)} {inputs}",
        lambda: unembedding(model, settings),
        nbytes=model.W_U.nbytes,
        name=f"The unembedding of {model.name}",
    )


def full_weights(study: LogitStudy, feature: int) -> np.ndarray:
    """Return one feature's logit weight on every token, in the order of the unembedding."""
    unembedding = processed_unembedding(study)
    return logit_weights(study.directions, unembedding, [feature], center=study.settings.center)[0]
