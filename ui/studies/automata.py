"""Where automata meet Streamlit: the transitions of a pass, its text, and logit edges where the model has them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.automata import graph, walks
from core.automata.logit_edges import chance_logit_edges, logit_edges, promotion, token_means
from core.automata.stretches import Stretches, apart_of, read_stretches
from core.automata.tables import EdgeRule
from core.automata.transitions import LEVELS, Transitions, TransitionSettings, transitions_of_store
from core.errors import LoupeError
from core.feature.clearest import clearest_feature
from core.logit_weights.unembedding import LogitSettings
from core.work.calls import call, silent_call
from core.work.progress import Progress
from ui.shared.picked_feature import is_picked, suggest_feature
from ui.studies import compute, logit_weights
from ui.studies.token_pass import TokenPass

SETTINGS = TransitionSettings()
EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Automaton:
    """A token pass, its transitions, and the rule by which they are edges."""

    passed: TokenPass
    found: Transitions
    rule: EdgeRule
    most: int
    """How many edges of each feature the graph, loops and paths follow."""

    @property
    def key(self) -> str:
        return f"{self.passed.name} {apart_of(self.passed.model)} {self.rule} {self.most}"

    def stretches(self) -> Stretches:
        """Return the text and its activations, kept in memory between reruns."""
        return stretches_of(self.passed)

    def note(self, *more: str) -> str:
        """Return n, text, tests and chance, for the notes under figures."""
        found, rule, n = self.found, self.rule, len(self.found.shuffled_found)
        by_chance = ", ".join(f"{steps:,}" for steps in found.shuffled_found[:, LEVELS.index(rule.q)].tolist())
        turns = ", seldom together on one token" if rule.turns else ""
        parts = [
            f"{found.n_pairs:,} pairs of successive tokens, position 0 and special tokens left out",
            self.passed.sample.note,
            f"edges: q ≤ {rule.q:g} of {found.n_tests:,} tests, {rule.least_count} times or more, "
            f"{rule.least_ratio:g} times shuffled text or more{turns}",
            f"steps with q ≤ {rule.q:g} in {n} shuffled texts (seed {SETTINGS.seed}): {by_chance}",
        ]
        return " · ".join([*parts, *self.passed.device.inputs.values(), *more])

    def brief(self, *more: str) -> str:
        """Return a note for figures that stand below one with the whole note."""
        return " · ".join([f"{self.found.n_pairs:,} pairs of tokens, edges by the rule above", *more])

    def provenance(self, **more: str | int | float | bool | None) -> dict:
        rule = {"largest_q": self.rule.q, "least_count": self.rule.least_count, "least_ratio": self.rule.least_ratio}
        return self.passed.provenance(**rule, turns=self.rule.turns, edges_followed=self.most, **more)


def of_pass(passed: TokenPass) -> Transitions:
    """Return the transitions of a pass (raises StillRunning, and CorpusError for a text too short)."""
    apart, left_out = apart_of(passed.model), passed.sample.left_out
    key = Transitions.key(*passed.hashes, SETTINGS, left_out=left_out, apart=apart)
    work = call(transitions_of_store, passed.store, passed.dictionary.d_sae, SETTINGS, apart=apart)
    return compute.result(Transitions, key, f"What follows what in {passed.dictionary.title}", work)


def stretches_of(passed: TokenPass) -> Stretches:
    apart = apart_of(passed.model)
    work = silent_call(read_stretches, passed.store, passed.dictionary.d_sae, apart=apart)
    return compute.transient(f"stretches {passed.name} {apart}", "Reading activations", work)


def suggest(automaton: Automaton, best: tuple[int, int] | None) -> None:
    """Suggest the feature of the strongest loop or edge until a person picks one; else one that can be read."""
    if is_picked():
        return
    if best is not None:
        suggest_feature(best[0], f"it and feature {best[1]} follow one another most, by lift")
        return
    clearest = clearest_feature(automaton.passed.statistics)
    if clearest is not None:
        suggest_feature(clearest, "no feature follows another by the rule below")


def with_examples(automaton: Automaton, edges: pd.DataFrame) -> pd.DataFrame:
    """Add a column step_example to a table of edges."""
    pairs = list(zip(edges["feature"].tolist(), edges["next_feature"].tolist(), strict=True))
    return edges.assign(step_example=["".join(texts[:1]) for texts in examples(automaton, pairs)])


def examples(automaton: Automaton, paths: Sequence[tuple[int, ...]]) -> list[list[str]]:
    """Return up to EXAMPLES texts for each path, the strongest first."""
    passed, stretches = automaton.passed, automaton.stretches()

    def work(_: Progress) -> list[list[str]]:
        text = stretches, passed.sample.rows, passed.model.tokenizer
        return [walks.example_strings(*text, path, most=EXAMPLES) for path in paths]

    return compute.transient(f"examples {automaton.passed.name} {paths}", "Looking for examples", work)


def loops(automaton: Automaton, n: int) -> pd.DataFrame:
    """Return the loops of n features, as core.automata.walks.path_table describes walks around them once."""
    stretches = automaton.stretches()  # not within the job: a job that waits for another never ends

    def work(_: Progress) -> pd.DataFrame:
        found = graph.loops(automaton.found, automaton.rule, n=n, most=automaton.most)
        return _table(automaton, stretches, [(*loop, loop[0]) for loop in found])

    return compute.transient(f"loops {n} {automaton.key}", "Looking for loops", work)


def paths(automaton: Automaton, feature: int, n: int) -> pd.DataFrame:
    """Return the paths of n features from one on."""
    stretches = automaton.stretches()

    def work(_: Progress) -> pd.DataFrame:
        followed = walks.paths(automaton.found, stretches, feature, automaton.rule, n=n, most=automaton.most)
        return _table(automaton, stretches, followed)

    return compute.transient(f"paths {feature} {n} {automaton.key}", "Looking for paths", work)


def _table(automaton: Automaton, stretches: Stretches, followed: Sequence[tuple[int, ...]]) -> pd.DataFrame:
    passed = automaton.passed
    return walks.path_table(automaton.found, stretches, passed.sample.rows, passed.model.tokenizer, followed)


def with_logit_edges(automaton: Automaton, edges: pd.DataFrame) -> pd.DataFrame:
    """Add columns logit_edge and chance_logit_edge; the table as it is where features write to no logits."""
    passed, settings = automaton.passed, LogitSettings()
    try:
        study = logit_weights.study_of(passed.dictionary, settings)
    except LoupeError as error:
        st.caption(f"No logit edges: {str(error)[:300]}")
        return edges
    stretches = automaton.stretches()

    def work(_: Progress) -> tuple:
        promotes = promotion(study.stats.top_tokens, study.stats.top_values, passed.model.d_vocab)
        means = token_means(stretches, passed.sample.rows, passed.model.d_vocab)
        return promotes, means, chance_logit_edges(promotes, means)

    promotes, means, chance = compute.transient(f"logit edges {passed.name}", "Logit edges", work)
    source, target = (edges[name].to_numpy(np.int64) for name in ("feature", "next_feature"))
    return edges.assign(logit_edge=logit_edges(promotes, means, source, target), chance_logit_edge=chance[target])
