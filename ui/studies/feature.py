"""The subject of the feature page: a feature of the picked dictionary, or your own direction in its place."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st
from jaxtyping import Float

from core import tables
from core.activations.statistics import ActivationStatistics
from core.activations.store import FeatureActivations
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.feature.clearest import LEAST_TOKENS, MOST_SHARE, clearest_feature
from core.models.language_model import LanguageModel
from ui.shared.errors import StillRunning
from ui.shared.picked_feature import is_picked, picked_feature, suggest_feature
from ui.studies import corpus, first_text, opened, own_direction, token_pass
from ui.studies.token_pass import TokenPass


class PassOnDemand:
    """A token pass that starts when the first view asks for it. Later views of a run wait for the same one."""

    def __init__(self, start: Callable[[], TokenPass]):
        self._start = start
        self._passed: TokenPass | None = None
        self._missing = False

    def get(self) -> TokenPass:
        """Return the pass. The first call draws its cost, its progress or its error; later ones point there.

        Raises StillRunning, and at first what stands in the way (LoupeError).
        """
        if self._missing:
            st.caption("This needs the token pass, see above.")
            raise StillRunning("The token pass is shown above.")
        try:
            self._passed = self._passed or self._start()
        except (StillRunning, LoupeError):
            self._missing = True
            raise
        return self._passed


@dataclass(frozen=True, eq=False)
class Subject:
    """A feature, its dictionary and its model, and on demand its dictionary on text."""

    dictionary: Dictionary
    """The dictionary of the feature. A direction of your own is a dictionary with one feature."""
    feature: int
    model: LanguageModel
    on_text: PassOnDemand
    among: Dictionary
    """The picked dictionary, which is searched for neighbours."""
    own: bool = False
    """Whether your own direction stands in for a feature."""

    @property
    def title(self) -> str:
        return self.dictionary.title if self.own else f"Feature {self.feature}"

    @property
    def passed(self) -> TokenPass:
        """The dictionary on text. Views that need weights only must not ask for it (see PassOnDemand.get)."""
        return self.on_text.get()

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

    def provenance(self) -> dict:
        """Return what a download says of numbers that come from the weights alone."""
        return tables.provenance(
            dictionary=self.dictionary,
            model=self.model,
            method="from the weights",
            settings={"feature": self.feature},
        )

    def note(self, *more: str) -> str:
        """Return n, text and settings, for the notes under figures of activations."""
        return " · ".join([self.passed.note, *more])


def suggest_clearest(statistics: Callable[[], ActivationStatistics]) -> None:
    """Suggest a feature whose examples a person can read. A picked one needs no statistics."""
    best = None if is_picked() else clearest_feature(statistics())
    if best is not None:
        suggest_feature(
            best,
            f"of those active on {LEAST_TOKENS} tokens to {MOST_SHARE:.0%} of the text, it has the largest mean when "
            "active",
        )


def subject() -> Subject:
    """Return the picked feature or your own direction. Raises LoupeError, and StillRunning while it tries one."""
    among = opened.dictionary()
    own = own_direction.standing_in(among)
    if own is None:
        return Subject(among, picked_feature(), opened.model_of(among), PassOnDemand(first_text.growing_pass), among)
    model = opened.model_of(own)
    on_text = PassOnDemand(lambda: token_pass.pass_over(own, model, corpus.sample(own, model)))
    return Subject(own, 0, model, on_text, among, own=True)
