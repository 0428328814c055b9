"""The subject of the feature page: a feature of the picked dictionary, or your own direction in its place."""

from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import Float

from core.activations.store import FeatureActivations
from core.dictionaries.dictionary import Dictionary
from ui.studies import corpus, opened, own_direction, token_pass
from ui.studies.token_pass import TokenPass


@dataclass(frozen=True, eq=False)
class Subject:
    """A feature, and its dictionary on text."""

    dictionary: Dictionary
    """The dictionary of the feature. A direction of your own is a dictionary with one feature."""
    feature: int
    passed: TokenPass
    among: Dictionary
    """The picked dictionary, which is searched for neighbours."""
    own: bool = False
    """Whether your own direction stands in for a feature."""

    @property
    def title(self) -> str:
        return self.dictionary.title if self.own else f"Feature {self.feature}"

    @property
    def acts(self) -> FeatureActivations:
        """Where the feature is active on the text. It is read once and kept."""
        return token_pass.of_feature(self.passed, self.feature)

    def direction(self) -> Float[np.ndarray, " d_out"]:
        """Return the decoder row, the direction that the feature writes."""
        return self.dictionary.W_dec[self.feature]

    @property
    def stem(self) -> str:
        """Return the stem of the names of files about the feature."""
        return "direction" if self.own else f"feature-{self.feature}"

    def note(self, *more: str) -> str:
        """Return n, text and settings, for the notes under figures."""
        return " · ".join([self.passed.note, *more])


def subject() -> Subject:
    """Return the picked feature after its token pass (raises StillRunning meanwhile, and LoupeError)."""
    among = opened.dictionary()
    own = own_direction.standing_in(among)
    if own is None:
        feature = int(st.session_state.get("feature", 0))
        return Subject(among, feature, token_pass.token_pass(), among)
    model = opened.model_of(own)
    return Subject(own, 0, token_pass.pass_over(own, model, corpus.sample(own, model)), among, own=True)
