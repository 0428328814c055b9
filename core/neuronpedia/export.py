"""All that goes out about some features, computed: the texts they are most active on and the tokens they promote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core.activations.store import ActivationStore, left_out_name
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.feature.lists import format_features
from core.feature.strongest_texts import strongest_texts
from core.logit_weights.statistics import LogitStatistics, logit_statistics
from core.logit_weights.unembedding import LogitSettings, residual_directions, source_key, unembedding
from core.models.language_model import LanguageModel
from core.neuronpedia.layouts import MOST_LOGITS, ExportedFeature
from core.work.artifacts import artifact_key
from core.work.jobs import SILENT, Progress


@dataclass(frozen=True)
class FeatureExport:
    """Features in the order asked for, without explanations."""

    features: tuple[ExportedFeature, ...]

    @property
    def nbytes(self) -> int:
        return sum(one.texts.rows.nbytes + one.texts.acts.nbytes for one in self.features)

    @property
    def silent(self) -> list[int]:
        """Features that are active on none of the texts."""
        return [one.texts.feature for one in self.features if not len(one.texts.rows)]

    def explained(self, explanations: Mapping[int, Sequence[str]]) -> list[ExportedFeature]:
        """Return the features with the explanations somebody wrote."""
        return [replace(one, explanations=explanations.get(one.texts.feature, ())) for one in self.features]


def export_key(
    dictionary: Dictionary,
    model: LanguageModel,
    store: ActivationStore,
    features: Sequence[int],
    settings: LogitSettings,
) -> str:
    """Name an export by all that it is made from."""
    return artifact_key(
        "feature-export",
        2,
        dictionary=dictionary.sha256,
        model=source_key(model, settings),
        tokenizer=model.tokenizer_sha256,
        rows=rows_sha256(store.rows),
        left_out=left_out_name(store.left_out),
        features=format_features(features),
        **settings.as_inputs(),
    )


def export_features(
    dictionary: Dictionary,
    model: LanguageModel,
    store: ActivationStore,
    features: Sequence[int],
    *,
    settings: LogitSettings,
    n: int = 20,
    progress: Progress = SILENT,
) -> FeatureExport:
    """Find each feature's n strongest rows of stored text, and the tokens with its largest and smallest logit weights.

    `progress` counts blocks. Raises what `strongest_texts` and `residual_directions` raise.
    """
    features = list(features)
    directions = residual_directions(dictionary, model, settings)  # first, as it may not fit
    texts = strongest_texts(store, features, d_sae=dictionary.d_sae, n=n, progress=progress)
    progress.note("logit weights")
    stats = logit_statistics(directions[features], unembedding(model, settings), center=settings.center, k=MOST_LOGITS)
    strings = model.token_strings
    return FeatureExport(tuple(ExportedFeature(text, *_extremes(stats, i, strings)) for i, text in enumerate(texts)))


def _extremes(
    stats: LogitStatistics, i: int, strings: Sequence[str]
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Return a feature's promoted and suppressed tokens, most extreme first."""

    def pairs(tokens, values) -> list[tuple[str, float]]:
        return [(strings[token], float(value)) for token, value in zip(tokens, values, strict=True)]

    return (
        pairs(stats.top_tokens[i], stats.top_values[i]),
        pairs(stats.bottom_tokens[i], stats.bottom_values[i]),
    )
