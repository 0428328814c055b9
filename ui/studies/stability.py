"""Where stability meets Streamlit: the others and settings that a person chose, and what returns in them."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd
import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.spaces import DictionarySide
from core.errors import LoupeError
from core.matching.pairs import THRESHOLD
from core.stability.returning import RULES, Rule, Stability, check_others, stability
from core.work.jobs import Progress
from ui.studies import compute, opened, splitting

_KEY = "_stability"
MOST = 24
"""The most other dictionaries."""


@dataclass(frozen=True)
class Choice:
    """What a person chose on the page Stability; other pages read it for the column and the colour."""

    others: tuple[str, ...] | None = None
    """Ids; None until a person chooses: those of `usual_others`."""
    threshold: float = THRESHOLD
    rule: Rule = "nearest"
    side: DictionarySide = "decoder"


@dataclass(frozen=True, eq=False)
class StabilityStudy:
    """A dictionary, others, and which of its features return in them."""

    dictionary: Dictionary
    others: tuple[Dictionary, ...]
    choice: Choice
    found: Stability

    @property
    def table(self) -> pd.DataFrame:
        return self.found.table()

    @property
    def mean_cosine(self) -> np.ndarray:
        return self.table["mean_return_cosine"].to_numpy()

    @property
    def settings(self) -> dict[str, str | float]:
        return {"threshold": self.choice.threshold, "rule": self.choice.rule, "side": self.choice.side}

    @property
    def provenance(self) -> dict:
        members = [self.dictionary, *self.others]
        return tables.provenance(dictionary=members, method="features returning in others", settings=self.settings)

    @property
    def whose(self) -> dict[str, str]:
        """Whose features tables hold (see ui.shared.naming)."""
        return {"feature": self.dictionary.sha256}

    def note(self, *more: str) -> str:
        """Return what a figure was computed from."""
        choice, used = self.choice, self.found.threshold
        span = f"{min(used):.2f}" if max(used) - min(used) < 0.005 else f"{min(used):.2f} to {max(used):.2f}"
        raised = sum(u > choice.threshold for u in used)
        why = f", raised by chance for {raised} of {len(used)}" if raised else ""
        n = "1 other dictionary" if len(used) == 1 else f"{len(used)} other dictionaries"
        how = f"{choice.side} cosine over {span}{why} with {RULES[choice.rule]}"
        return " · ".join([f"{self.dictionary.title} in {n}", how, *more])


def chosen() -> Choice:
    """Return what was chosen last in this session."""
    return st.session_state.get(_KEY, Choice())


def choose(choice: Choice) -> None:
    """Keep a choice for all pages. Other dictionaries count only for the dictionary that they were chosen for."""
    st.session_state[_KEY] = choice


def usual_others(picked: Dictionary) -> list[str]:
    """Return the dictionaries at the hook of the picked one from its source, those that differ in one factor first."""
    return [id for id in splitting.usual_set(picked) if id != picked.id]


def fitting(pattern: str) -> list[str]:
    """Return the ids that fit a pattern with * and ?: listed ones in any case, and folders that lie side by side.

    Empty for an empty pattern. Folders are looked for only where the app may read.
    """
    pattern = pattern.strip()
    listed = [id for id in opened.dictionary_ids() if pattern and fnmatchcase(id.lower(), pattern.lower())]
    return list(dict.fromkeys([*listed, *_folders(pattern)]))


def _folders(pattern: str) -> list[str]:
    """Return the ids of folders whose names fit the last part of a pattern that is a path."""
    parent, _, name = pattern.removeprefix("folder/").rpartition("/")
    if not parent or not pattern.startswith(("folder/", "/", ".", "~")):
        return []
    with suppress(LoupeError, OSError):
        place = compute.workspace().allowed_path(parent)
        found = sorted(path for path in place.iterdir() if fnmatchcase(path.name, name) and path.is_dir())
        return [f"folder/{path}" for path in found[: MOST + 1]]
    return []


def study(id: str | None = None, others: Sequence[Dictionary] | None = None) -> StabilityStudy:
    """Return which features of a dictionary, by default the picked one, return in the others that were chosen.

    Raises LoupeError, for example DoesNotFitError for no others, and StillRunning.
    """
    dictionary, choice = opened.dictionary(id), chosen()
    others = tuple(_opened(dictionary, choice) if others is None else others)
    check_others(dictionary, others, choice.side)
    how = {"threshold": choice.threshold, "rule": choice.rule}
    key = Stability.key(dictionary.sha256, [other.sha256 for other in others], choice.side, **how)

    def work(progress: Progress) -> Stability:
        return stability(dictionary, others, choice.side, **how, store=compute.store(), progress=progress)

    found = compute.result(Stability, key, f"Features of {dictionary.title} in {len(others)} others", work)
    return StabilityStudy(dictionary, others, replace(choice, others=tuple(o.id for o in others)), found)


def _opened(dictionary: Dictionary, choice: Choice) -> list[Dictionary]:
    """Open the others of a dictionary. Those that cannot be opened are left out, as the page that chooses says so."""
    ids = choice.others if choice.others is not None else usual_others(dictionary)
    found = []
    for id in ids:
        with suppress(LoupeError):
            found.append(opened.dictionary(id))
    return [other for other in found if other.id != dictionary.id]
