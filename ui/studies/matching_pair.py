"""Where the activations of two features on one text meet Streamlit's store."""

from core.dictionaries.dictionary import Dictionary
from core.matching.two_features import PairActivations, pair_activations
from ui.studies import matching_activations, token_pass


def activations(a: Dictionary, b: Dictionary, feature_a: int, feature_b: int) -> tuple[PairActivations, str]:
    """Return two features' activations on the same text, and the name of the text (raises LoupeError).

    A dictionary that was not run on the text before runs on it first.
    """
    tokens = matching_activations.shared(a, b)
    stores = (tokens.store_a, a, feature_a), (tokens.store_b, b, feature_b)
    acts = [token_pass.of_store(*each) for each in stores]
    return pair_activations(tokens.rows, *acts), tokens.text
