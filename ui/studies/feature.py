"""What the feature page is about: one feature of the picked dictionary, or a direction that stands in for one."""

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
    """The one whose feature it is; a direction of one's own is a dictionary with one feature."""
    feature: int
    passed: TokenPass
    among: Dictionary
    """The picked dictionary: neighbours are looked for here."""
    own: bool = False
    """Whether a direction of one's own stands in."""

    @property
    def title(self) -> str:
        return self.dictionary.title if self.own else f"Feature {self.feature}"

    @property
    def acts(self) -> FeatureActivations:
        """Where it is active on the text; read once and kept."""
        return token_pass.of_feature(self.passed, self.feature)

    def direction(self) -> Float[np.ndarray, " d_out"]:
        """Return the decoder row: what the feature writes."""
        return self.dictionary.W_dec[self.feature]

    @property
    def stem(self) -> str:
        """What files about it are called."""
        return "direction" if self.own else f"feature-{self.feature}"

    def note(self, *more: str) -> str:
        """n, text and settings, for the notes under figures."""
        return " · ".join([self.passed.note, *more])


def subject() -> Subject:
    """Return what was picked, after its token pass (raises StillRunning meanwhile, and LoupeError)."""
    among = opened.dictionary()
    own = own_direction.standing_in(among)
    if own is None:
        feature = int(st.session_state.get("feature", 0))
        return Subject(among, feature, token_pass.token_pass(), among)
    model = opened.model_of(own)
    return Subject(own, 0, token_pass.pass_over(own, model, corpus.sample(own, model)), among, own=True)
