"""The tab Joint map: the features of both dictionaries, lines between matched ones, and a lasso that marks partners."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.feature_map.layout import LayoutSettings
from core.matching.pairs import Matching
from core.matching.tables import pair_table
from core.matching.two_features import partner_rows, with_partners
from ui.feature_map import colouring, map
from ui.feature_map.component import MapColours, MapEvent, MapPoints, by_value, feature_map
from ui.feature_map.layers import describe
from ui.feature_map.map import MapStudy
from ui.matching.picker import B_KEY, PAIR_OF, choose_pair
from ui.shared import errors, selected
from ui.shared.figure import figure, listing
from ui.shared.picked_feature import pick_feature, picked_feature
from ui.studies import compute
from ui.studies import feature_map as feature_map_studies
from ui.studies import matching as matching_studies
from ui.studies.matching import MatchStudy

KEY = "match-map"
MOST_ROWS = 2_000
LASSO = {"A": (0,), "B": (1,), "Both": (0, 1)}
"""Whose features a lasso takes. Their partners may lie anywhere."""


@dataclass(frozen=True)
class JointMap:
    """Both dictionaries on one map, A's features first, and each feature's partner."""

    matched: MatchStudy
    study: MapStudy
    matching: Matching
    partner: np.ndarray
    """The partner of each row, or -1 without one over `least`."""

    @property
    def least(self) -> float:
        return self.matched.threshold

    @property
    def owner(self) -> np.ndarray:
        return self.study.stack.dictionary

    @property
    def score(self) -> np.ndarray:
        """Similarity of each row with its match, however small, or NaN without one."""
        similarity = np.full(self.study.n, np.nan)
        similarity[self.matching.a] = similarity[self.matching.d_sae_a + self.matching.b] = self.matching.score
        return similarity

    def points(self) -> MapPoints:
        """The points and lines as the component takes them, kept in memory."""
        points, matching = self.study.points(), self.matching
        inputs = (matching.similarity, matching.method, matching.k, self.least)
        key = f"match map points {points.digest} {self.study.stack.sha256} {inputs}"
        rows = np.flatnonzero(self.partner[: matching.d_sae_a] >= 0)
        links = np.stack([rows, self.partner[rows]], axis=1)
        return compute.loaded().get(key, lambda: replace(points, links=links))

    def colours(self, by_score: bool) -> MapColours:
        if by_score:
            return by_value(self.score, catalogue.statistic("match_score").title)
        return colouring.plain_colours(self.study.stack, self.study.ids).colours

    def brushed(self, selected: np.ndarray, whose: str) -> np.ndarray:
        """Return the selected rows of the chosen side."""
        return selected & np.isin(self.owner, LASSO[whose])

    def pairs(self, brushed: np.ndarray | None) -> pd.DataFrame:
        """Return the drawn pairs, most similar first; with a lasso, only those with an end in it."""
        kept = self.matching.score > self.least
        if brushed is not None:
            kept &= brushed[self.matching.a] | brushed[self.matching.d_sae_a + self.matching.b]
        return pair_table(self.matching)[kept].sort_values("match_score", ascending=False, kind="stable")

    def chosen(self) -> np.ndarray | None:
        """Return the rows of the selection, which is of A, and of its partners; None without one."""
        members = selected.members_of(self.matched.a)
        if members is None:
            return None
        rows = np.zeros(self.study.n, dtype=bool)
        rows[: self.matching.d_sae_a] = members
        return with_partners(rows, self.partner)

    def picked(self) -> list[int]:
        """Return the rows of the picked feature of A and of its partner."""
        row = picked_feature()
        if row >= self.matching.d_sae_a:
            return []
        partner = int(self.partner[row])
        return [row] if partner < 0 else [row, partner]

    def pick(self, row: int) -> None:
        """Pick a feature of A, or a feature of B with its partner in A if it has one."""
        own = row if self.owner[row] == 0 else int(self.partner[row])
        if own >= 0:
            pick_feature(self.study.stack.feature[own])
        if self.owner[row] == 1:
            st.session_state[B_KEY] = int(self.study.stack.feature[row])
            st.session_state[PAIR_OF] = (*self.matched.names, picked_feature())


def joint(study: MatchStudy) -> None:
    """Draw both dictionaries on one map with their matches, and the table of the pairs in the lasso."""
    controls = st.container()
    settings, ids = LayoutSettings("umap", side=study.side), [study.a.id, study.b.id]
    matching = matching_studies.matching(study)
    stack = feature_map_studies.stack(ids, settings.side)
    layout = map.available(settings, ids, stack)
    with controls:
        whose, by_score = controls_row()
    drawn = JointMap(study, layout, matching, partner_rows(matching, least=study.threshold))
    left, right = st.columns([3, 2], gap="medium")
    with left, errors.shown():
        event = draw(drawn, whose, by_score)
        with right:
            brushed_table(drawn, event, whose)


def controls_row() -> tuple[str, bool]:
    """Pick whose features a lasso takes, and the colours."""
    left, right = st.columns([3, 2], vertical_alignment="bottom", gap="medium")
    whose = left.segmented_control(
        "A lasso takes features of",
        list(LASSO),
        default="A",
        required=True,
        key="match_map_lasso",
        bind="query-params",
        help="The map also marks their partners in the other dictionary.",
    )
    titles = {catalogue.statistic(name).title: name for name in ("dictionary", "match_score")}
    colour = right.selectbox("Colour by", list(titles), key="match_map_colour", bind="query-params")
    return whose, titles[colour] == "match_score"


def draw(drawn: JointMap, whose: str, by_score: bool) -> MapEvent:
    """The map in its figure."""
    study, n_pairs = drawn.study, len(drawn.pairs(None))
    title = "Principal components" if study.settings.method == "pca" else "Map"
    event = figure(
        f"{title} of {study.n:,} features and {n_pairs:,} pairs",
        lambda: feature_map(
            drawn.points(),
            drawn.colours(by_score),
            key=KEY,
            label=f"Map of the {study.n:,} features of two dictionaries with lines between matched ones. Arrow keys "
            "move, plus and minus zoom, Enter picks.",
            highlighted=drawn.chosen(),
            until_lasso=True,
            picked=drawn.picked(),
            on_pick=drawn.pick,
            linked=lambda selected: with_partners(drawn.brushed(selected, whose), drawn.partner),
        ),
        lambda: table(drawn),
        explains=["map_x", "map_y", "match_score"],
        note=" · ".join(
            [
                describe(study.settings),
                f"lines: pairs more similar than {drawn.least:g}",
                "Shift and drag for a lasso, which marks the partners too",
                "click to pick a feature; a feature of B comes with its partner in A",
            ]
        ),
        name="match-map",
        provenance=provenance(drawn),
    )
    if event.row is not None and drawn.owner[event.row] == 1 and drawn.partner[event.row] < 0:
        st.info(f"Feature {event.feature} of B has no partner in A above {drawn.least:g}. The tab Pair shows it.")
    return event


def table(drawn: JointMap) -> pd.DataFrame:
    """Return one row for each point: dictionary, feature, match_score, map_x, map_y."""
    study = drawn.study
    names = np.asarray(study.ids, object)[drawn.owner]
    places = {"map_x": study.layout.x, "map_y": study.layout.y}
    return pd.DataFrame({"dictionary": names, "feature": study.stack.feature, "match_score": drawn.score} | places)


def brushed_table(drawn: JointMap, event: MapEvent, whose: str) -> None:
    """Show how many features the lasso takes and how many have a partner, and list the pairs."""
    brushed = None if event.selected is None else drawn.brushed(event.selected, whose)
    chosen = np.isin(drawn.owner, LASSO[whose]) if brushed is None else brushed
    left, right = st.columns(2)
    by = "the lasso" if event.polygon is not None else "the selection"
    left.metric("Features" if brushed is None else f"In {by}", f"{int(chosen.sum()):,}", border=True)
    matched = int((drawn.partner[chosen] >= 0).sum())
    right.metric("With a partner", f"{matched:,}", border=True)
    pairs = drawn.pairs(brushed)
    shown = pairs.head(MOST_ROWS)
    figure(
        f"{len(pairs):,} pairs" + (f" with an end in {by}" if brushed is not None else ""),
        listing(
            shown,
            "match-map-pairs",
            height=460,
            picks=choose_pair(drawn.matched, shown["feature_a"].to_numpy(), shown["feature_b"].to_numpy()),
        ),
        pairs,
        explains=["match_score", "decoder_cosine", "encoder_cosine", "alignment"],
        note=(f"the first {MOST_ROWS:,} shown, all in the download · " if len(pairs) > len(shown) else "")
        + drawn.matched.note(f"above {drawn.least:g}", "a lasso filters the table", "click a row to pick its pair"),
        name="match-map-pairs",
        provenance=provenance(drawn),
        whose={"feature_a": drawn.matched.a.sha256, "feature_b": drawn.matched.b.sha256},
    )


def provenance(drawn: JointMap) -> dict:
    settings = drawn.matched.settings | {f"map_{name}": value for name, value in drawn.study.settings.used().items()}
    both = [drawn.matched.a, drawn.matched.b]
    return tables.provenance(dictionary=both, method="joint map with matches", settings=settings)
