"""The settings of the matching page, and what it offers if two dictionaries cannot be compared."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from core import catalogue, tables
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.geometry import tables as geometry_tables
from core.matching import tables as matching_tables
from core.matching.comparison import SIDES, SameDictionaryError, differences
from core.matching.pairs import SIMILARITIES, THRESHOLD
from core.matching.proof import CERTAIN, METHODS
from ui.matching import activations, charts, export, joint_map, lists
from ui.matching import pair as matching_pair
from ui.matching import similarity as matching_similarity
from ui.matching.picker import B_KEY, PAIR_OF
from ui.shared.errors import StillRunning
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.sidebar import pickers
from ui.studies import matching, opened
from ui.studies.matching import MatchStudy

Tabs = dict[str, Callable[[], None]]


def settings() -> dict[str, object]:
    """Pick how features are compared and paired, and the similarity over which two count as the same."""
    left, middle, right = st.columns([4, 3, 4], vertical_alignment="bottom", gap="medium")
    similarity = left.segmented_control(
        "Compare features by",
        list(SIMILARITIES),
        format_func=str.capitalize,
        default="decoder",
        required=True,
        key="match_similarity",
        bind="query-params",
        help="Decoder: the cosine of what features write. Encoder: the cosine of what they read. Both: the geometric "
        "mean of the two, with 0 for negative cosines.",
    )
    method = middle.selectbox(
        "Pair them",
        list(METHODS),
        format_func=str.capitalize,
        key="match_method",
        bind="query-params",
        help="One-to-one: the pairs with the largest total similarity; each feature is in one pair at most. Greedy: "
        "always the best pair that is left. Mutual: features that are each other's nearest. All of them of all "
        "pairs of "
        "features: found among the nearest of each, then no other pair is worth more, which is checked for every one. "
        f"Where there are more than {CERTAIN:,} pairs, a one-to-one matching may stay unproven; figures say so.",
    )
    threshold = right.slider(
        catalogue.statistic("match_threshold").title,
        0.0,
        1.0,
        THRESHOLD,
        0.01,
        key="match_threshold",
        bind="query-params",
        help=catalogue.help_text("match_threshold"),
    )
    return {"similarity": similarity, "method": method, "threshold": threshold}


def tabs(a: Dictionary, b: Dictionary) -> Tabs:
    """Return the tabs for the two. If they cannot be compared, say why and what can be done instead."""
    chosen = settings()
    for warning in differences(a, b):
        st.warning(plain(warning), icon=":material/warning:")
    try:
        study = matching.study(a, b, **chosen)
    except StillRunning:
        return {}
    except SameDictionaryError as error:
        st.info(plain(str(error)), icon=":material/info:")
        return {"Control": lambda: control(a, chosen["threshold"])}
    except DoesNotFitError as error:
        st.error(plain(str(error)), icon=":material/error:")
        st.info(
            "Directions of different spaces have no cosine. But features can be compared by the tokens on which they "
            "fire, if both models read the same tokens."
        )
        return {"By activations": lambda: activations.activations(a, b)}
    return {
        "Similarity": lambda: matching_similarity.similarity(study),
        "Both sides": lambda: lists.both_sides(study),
        "Lists": lambda: lists.lists(study),
        "Match against density": lambda: lists.against_density(study),
        "Pair": lambda: pair(study),
        "Joint map": lambda: joint_map.joint(study),
        "By activations": lambda: activations.activations(a, b),
        "Match file": lambda: export.export(study),
    }


def pair(study: MatchStudy) -> None:
    """Draw the picked feature of A beside a feature of B: its partner, its most similar one, or any."""
    matched = matching.matching(study)
    if len(matched.a):
        suggest_feature(int(matched.a[matched.score.argmax()]), "it is the most similar to its match in B")
    feature = picked_feature()
    partner = partner_of(study, feature)
    # Each feature of A brings its own partner. A feature of B in the link comes first.
    if st.session_state.get(PAIR_OF) != (*study.names, feature):
        st.session_state[B_KEY] = partner
    st.session_state[PAIR_OF] = (*study.names, feature)
    words = match_words(study, feature)
    st.caption(plain(f"Feature {feature} of A is picked in the sidebar or by a click. Its match in B: {words}."))
    other = pickers.number(
        "Feature of B",
        B_KEY,
        study.b.d_sae,
        default=partner,
        help="Follows the feature of A. You can choose any other.",
    )
    matching_pair.pair(study.a, study.b, feature, other)


def partner_of(study: MatchStudy, feature: int) -> int:
    """Return the partner in B over the threshold, else the most similar feature, or 0."""
    matched = matching.matching(study)
    partner = matched.b[(matched.a == feature) & (matched.score > study.threshold)]
    return int(partner[0]) if len(partner) else max(0, int(matching.nearest(study).of_a[feature]))


def match_words(study: MatchStudy, feature: int) -> str:
    """Say which feature it is paired with, and which is most similar."""
    matched, near = matching.matching(study), matching.nearest(study)
    place = np.flatnonzero(matched.a == feature)
    paired = f"{matched.b[place[0]]} ({matched.score[place[0]]:.3f}, {study.method})" if len(place) else "none"
    if near.of_a[feature] < 0:
        return paired
    return f"{paired}; the most similar feature: {near.of_a[feature]} ({near.a[feature]:.3f})"


def first(dictionary: Dictionary) -> None:
    """Show dictionary A beside the picker of B."""
    st.text_input(
        "Dictionary A",
        opened.shown_id(dictionary.id),
        disabled=True,
        help="Dictionary A is the one picked in the sidebar.",
    )
    pickers.facts(dictionary)


def control(dictionary: Dictionary, threshold: float) -> None:
    """Draw each feature's best match in its own dictionary, except itself (Cho 2025)."""
    values = {side.capitalize(): matching.control(dictionary, side) for side in SIDES}
    curves = matching_tables.ratio_table(values)
    figure(
        "Features with a match in their own dictionary, except themselves",
        altair(charts.ratios(curves, curves.head(0), threshold), "match-control"),
        curves,
        explains=["matching_ratio", "match_threshold"],
        note=f"{dictionary.title} · the control: a second dictionary shares more than chance only as far as it is "
        "above this",
        name="match-control",
        provenance=tables.provenance(dictionary=dictionary, method="exact nearest neighbours by cosine", settings={}),
    )
    counts = geometry_tables.histograms(values, geometry_tables.common_edges(values))
    counts = counts.rename(columns={"dictionary": "match_series"})
    figure(
        "Best match except itself",
        altair(charts.histograms(counts, counts.head(0), threshold), "match-control-histogram"),
        counts,
        explains=["nearest_cosine"],
        note=f"{dictionary.title} · shares of its {dictionary.d_sae:,} features",
        name="match-control-histogram",
        provenance=tables.provenance(dictionary=dictionary, method="exact nearest neighbours by cosine", settings={}),
    )
