"""Where stability meets Streamlit: the others and settings that a person chose, and what returns in them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise

import numpy as np
import pandas as pd
import streamlit as st

from core import tables
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.dictionaries.sources.trained import NAME as TRAINED
from core.dictionaries.spaces import DictionarySide
from core.errors import LoupeError
from core.matching.pairs import THRESHOLD
from core.overview.tables import weight_table
from core.stability.factors import factor_table
from core.stability.left_over import LeftOver, left_over
from core.stability.life import Life, Step, check_layers, life, step_by_activation
from core.stability.returning import RULES, Rule, Stability, check_others, stability
from core.stability.stable_core import core_table
from core.work.calls import call
from core.work.progress import Progress
from ui.studies import compute, corpus, geometry, matching_activations, opened, second_dictionary, splitting, token_pass

_KEY = "_stability"
MOST = 24
"""The most other dictionaries."""
CORE_ROWS = 32
"""Rows of text on which the stable core is compared with the whole."""


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
        span = _span(used)
        raised = sum(u > choice.threshold for u in used)
        why = f", raised by chance for {raised} of {len(used)}" if raised else ""
        n = "1 other dictionary" if len(used) == 1 else f"{len(used)} other dictionaries"
        how = f"{choice.side} cosine over {span}{why} with {RULES[choice.rule]}"
        return " · ".join([f"{self.dictionary.title} in {n}", how, *more])


def _span(used: Sequence[float]) -> str:
    """Say between which thresholds those used lie; one number where they are alike."""
    low, high = f"{min(used):.2f}", f"{max(used):.2f}"
    return low if low == high else f"{low} to {high}"


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


def trained_runs() -> dict[str, list[str]]:
    """Return the ids of the dictionaries of each training run that has some, by the run's name, the newest first."""
    found: dict[str, list[str]] = {}
    for id in opened.dictionary_ids():
        if id.startswith(f"{TRAINED}/"):
            found.setdefault(id.split("/")[1], []).append(id)
    return found


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
    work = call(stability, dictionary, others, choice.side, **how, store=compute.store())
    found = compute.result(Stability, key, f"Features of {dictionary.title} in {len(others)} others", work)
    return StabilityStudy(dictionary, others, replace(choice, others=tuple(o.id for o in others)), found)


def left_over_with(study: StabilityStudy, place: int) -> LeftOver:
    """Return how what is left over in the picked dictionary and in one of the others lies in one subspace."""
    a, b, choice, mine = study.dictionary, study.others[place], study.choice, study.found.returns[place]
    rows = [second_dictionary.weights(one).side(choice.side) for one in (a, b)]

    def work(progress: Progress) -> LeftOver:
        how = {"threshold": choice.threshold, "rule": choice.rule}
        theirs = stability(b, [a], choice.side, **how, store=compute.store(), progress=progress).returns[0]
        return left_over(*rows, mine.left_over, theirs.left_over)

    key = f"left over {a.sha256} {b.sha256} {sorted(study.settings.items())}"
    return compute.transient(key, f"What is left over in {a.title} and {b.title}", work)


def weight_statistics(dictionary: Dictionary) -> dict[str, np.ndarray]:
    """Return the statistics of the weights that may go with returning, by their names in the catalogue.

    Decoder norms that are folded are all 1, and left out.
    """
    names = ["encoder_norm", "encoder_bias", "encoder_decoder_cosine", *([] if dictionary.folded else ["decoder_norm"])]
    table = weight_table(dictionary)
    found = {name: table[name].to_numpy(dtype=float) for name in names if name in table}
    if dictionary.d_sae > 1:
        found["nearest_cosine"] = geometry.neighbors(dictionary.id).cos[:, 0].astype(float)
    return found


def text_statistics(dictionary: Dictionary) -> dict[str, np.ndarray]:
    """Return the statistics of a token pass that may go with returning (raises LoupeError)."""
    passed = token_pass.token_pass(dictionary.id)
    return {
        "density": passed.density,
        "mean_active": passed.statistics.feature_table()["mean_active"].to_numpy(),
        "explained_share": passed.statistics.written_variance(dictionary.W_dec),
    }


def said_text(dictionary: Dictionary) -> str:
    """Return the text behind `text_statistics`."""
    return token_pass.token_pass(dictionary.id).text


def _opened(dictionary: Dictionary, choice: Choice) -> list[Dictionary]:
    """Open the others of a dictionary. Those that cannot be opened are left out, as the page that chooses says so."""
    ids = choice.others if choice.others is not None else usual_others(dictionary)
    found = []
    for id in ids:
        with suppress(LoupeError):
            found.append(opened.dictionary(id))
    return [other for other in found if other.id != dictionary.id]


def factor_bars(study: StabilityStudy, names: Sequence[str]) -> pd.DataFrame:
    """Return the shares that return between those of all the dictionaries that differ in one label."""
    members, choice = [study.dictionary, *study.others], study.choice
    how = {"threshold": choice.threshold, "rule": choice.rule, "store": compute.store()}
    labels = [one.origin.labels for one in members]

    def work(progress: Progress) -> pd.DataFrame:
        return factor_table(members, names, labels, choice.side, **how, progress=progress)

    key = f"returning by factor {sorted(study.settings.items())} {','.join(one.sha256 for one in members)} {names}"
    return compute.transient(key, "Returning features by factor", work)


def core_explained(dictionary: Dictionary, part: Dictionary) -> tuple[pd.DataFrame, str]:
    """Return what a dictionary and its stable core explain of a little text, and which (raises LoupeError)."""
    model = opened.model_of(dictionary)
    sample = corpus.sample(dictionary, model, replace(corpus.settings(), n_rows=CORE_ROWS))
    key = f"core explained {dictionary.sha256} {part.sha256} {model.sha256} {rows_sha256(sample.rows)}"

    def work(progress: Progress) -> pd.DataFrame:
        return core_table([dictionary, part], model, sample.rows, progress=progress)

    return compute.transient(key, f"What {part.title} explains", work), sample.note


@dataclass(frozen=True, eq=False)
class LifeStudy:
    """The life of features over a series of dictionaries, by directions or by activations on text."""

    names: tuple[str, ...]
    """Of the layers."""
    dictionaries: tuple[Dictionary, ...]
    choice: Choice
    life: Life
    text: str = ""
    """What the activations are of; empty for directions."""

    @property
    def provenance(self) -> dict:
        how = f"correlations of activations on {self.text}" if self.text else f"{self.choice.side} cosines"
        settings = {"threshold": self.choice.threshold, "rule": self.choice.rule, "by": how}
        return tables.provenance(dictionary=self.dictionaries, method="life over layers", settings=settings)

    def note(self, *more: str) -> str:
        used = [one.threshold for step in self.life.steps for one in (step.successors, step.sources)]
        what = f"correlation of activations on {self.text}" if self.text else f"{self.choice.side} cosine"
        over = f"{what} over {_span(used)}, at least what one in a hundred reaches by chance"
        return " · ".join([f"{len(self.names)} layers", over, *more])


def life_study(ids: Mapping[str, str], *, by_activation: bool = False) -> LifeStudy:
    """Return the life of features over the dictionaries with these ids, by name of the layer (raises LoupeError)."""
    choice, series = chosen(), tuple(opened.dictionary(id) for id in ids.values())
    check_layers(series, choice.side)
    if by_activation:
        shared = [matching_activations.shared(a, b) for a, b in pairwise(series)]
        steps = tuple(_step_by_activation(tokens, choice) for tokens in shared)
        return LifeStudy(tuple(ids), series, choice, Life(steps), shared[0].text)
    how = {"threshold": choice.threshold, "rule": choice.rule}
    key = f"life {choice.side} {sorted(how.items())} {','.join(one.sha256 for one in series)}"

    def work(progress: Progress) -> Life:
        return life(series, choice.side, **how, store=compute.store(), progress=progress)

    return LifeStudy(tuple(ids), series, choice, compute.transient(key, f"Life over {len(series)} layers", work))


def _step_by_activation(tokens: matching_activations.SharedTokens, choice: Choice) -> Step:
    """Match two layers by activations, with a rotated basis of either as chance."""
    match = matching_activations.match(tokens)
    swapped = replace(
        tokens,
        a=tokens.b,
        b=tokens.a,
        model_a=tokens.model_b,
        model_b=tokens.model_a,
        store_a=tokens.store_b,
        store_b=tokens.store_a,
    )
    chance = (matching_activations.rotated(one).a_best for one in (tokens, swapped))
    return step_by_activation(match, *chance, threshold=choice.threshold, rule=choice.rule)


def promoted_by(study: LifeStudy, nodes: pd.DataFrame) -> list[list[str]]:
    """Return the tokens that each node's feature promotes; none where no model is here."""
    found: list[list[str]] = [[] for _ in range(len(nodes))]
    for level, dictionary in enumerate(study.dictionaries):
        rows = np.flatnonzero(nodes["level"].to_numpy() == level)
        with suppress(LoupeError):
            texts = splitting.promoted(dictionary, nodes["feature"].to_numpy()[rows]) if len(rows) else []
            for row, tokens in zip(rows, texts, strict=True):
                found[row] = tokens
    return found
