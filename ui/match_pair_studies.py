"""Where the activations of two features on one text meet Streamlit's store."""

from core.activation_store import ActivationStore, FeatureActivations, feature_activations
from core.dictionary import Dictionary
from core.match_pairs import PairActivations, pair_activations
from ui import compute, match_activation_studies


def activations(a: Dictionary, b: Dictionary, feature_a: int, feature_b: int) -> tuple[PairActivations, str]:
    """Return two features' activations on the same text, and what text it is (raises LoupeError).

    A dictionary that was not run on the text before is run on it first.
    """
    tokens = match_activation_studies.shared(a, b)
    found = of_feature(tokens.store_a, a, feature_a), of_feature(tokens.store_b, b, feature_b)
    return pair_activations(tokens.rows, *found), tokens.text


def of_feature(store: ActivationStore, dictionary: Dictionary, feature: int) -> FeatureActivations:
    """Return one feature's activations, kept in memory: reading them goes through the whole store."""
    key = f"activations of {feature} in {' '.join(store.keys)}"
    return compute.loaded().get(key, lambda: feature_activations(store, feature, d_sae=dictionary.d_sae))
