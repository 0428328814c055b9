"""Token-set enrichment: one set in all features, two sets against each other, one feature in all sets.

A view takes the study, the result and names. Tables and numbers come from core.
"""

import re

import numpy as np
import pandas as pd
import streamlit as st

from core.enrichment import tables
from core.enrichment.enrichment import Enrichment
from core.logit_weights.study import LogitStudy
from core.token_sets.sets import TokenSets
from ui.enrichment import charts
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.shared.picked_feature import picked_feature
from ui.shared.selected import select_these
from ui.shared.selection import choose_feature_from
from ui.sidebar import token_set_picker
from ui.studies import enrichment as enrichment_studies
from ui.studies import logit_weights

SET_KEY, OTHER_KEY = "token_set", "other_set"
"""Widget keys, and names in the URL, of the picked set and of the set it is compared with."""
MOST_POINTS = 4000
"""The most points that Altair redraws without a pause."""
PEAKS = 6
"""The number of labelled points on each side of zero."""
DIFFERENCES = 12
ROWS = 200
HEIGHTS = {"Display score": "display_score", "log10 p": "log10_p"}
NOTHING = "Every feature gives all tokens the same logit weight, so there is nothing to score. Pick another dictionary."


def enrichment(study: LogitStudy, sets: TokenSets) -> None:
    """Draw the tab: pickers of two sets, the sets in all features, and the picked feature in all sets."""
    scores = enrichment_studies.enrichment_of(study, sets)
    random = Later(lambda: enrichment_studies.random_enrichment(study, sets))
    left, right = st.columns(2, gap="medium")
    with left:
        first = token_set_picker.choose(study.model, "Token set", SET_KEY).name
    with right:
        second = token_set_picker.choose(study.model, "Against", OTHER_KEY, "starts_with_capital").name
    feature = picked_feature()
    with errors.shown():
        left, right = st.columns([3, 2], gap="medium")
        with left:
            manhattan(study, scores, random, first)
        with right:
            best_features(study, scores, first)
    with errors.shown():
        left, right = st.columns([3, 2], gap="medium")
        with left:
            running_sum(study, scores, random, sets, feature, first)
        with right:
            best_sets(study, scores, random, feature)
    with errors.shown():
        set_against_set(study, scores, first, second)


def manhattan(study: LogitStudy, scores: Enrichment, random: Later[Enrichment], name: str) -> None:
    """Draw one set in all features: promoted above zero, suppressed below. A click picks a feature.

    Dashed lines show how far random directions reach, once that is known.
    """
    which = st.segmented_control(
        "Height",
        list(HEIGHTS),
        default="Display score",
        required=True,
        key="es_height",
        bind="query-params",
        help="Display score: −ln(1 − |ES|), with the sign of ES. log10 p: its absolute value, with the sign of ES. ES "
        "is the enrichment score.",
    )
    whole = heights(study, scores, name, HEIGHTS[which])
    if whole.empty:
        st.info(NOTHING, icon=":material/block:")
        return
    reach = tables.random_reach(random.value, name, HEIGHTS[which]) if random.value else None
    sure = int((whole["log10_q"] <= np.log10(0.05)).sum())
    title = "Display score" if which == "Display score" else "log10 p, with the sign of ES"
    chart = charts.manhattan(whole, study.dictionary.d_sae, y_title=title, reach=reach)
    figure(
        f"{name} in all features",
        altair(chart, "manhattan", on_select=choose_feature_from("manhattan", "point"), selection="point"),
        lambda: tables.feature_scores(scores, name),
        explains=["display_score", "enrichment_score", "p_value", "q_value", "es_random"],
        note=study.note(
            f"{set_size(scores, name):,} tokens in the set",
            f"{sure:,} features with q ≤ 0.05",
            *([beyond(whole["height"].to_numpy(), reach)] if reach is not None else random.said),
            "labels: the highest peaks with room, each with the token at that end",
            enrichment_studies.method(scores),
        ),
        name=f"enrichment-{stem(name)}",
        told=enrichment_studies.told(),
        provenance=enrichment_studies.provenance(study, scores, token_set=name),
    )
    random.draw()


def beyond(heights: np.ndarray, reach: float) -> str:
    """Say how many features random directions do not reach."""
    return (
        f"{int((np.abs(heights) > reach).sum()):,} beyond the dashed lines; 99 % of {enrichment_studies.RANDOM:,} "
        "random directions (seed 0) lie between them"
    )


def heights(study: LogitStudy, scores: Enrichment, name: str, column: str) -> pd.DataFrame:
    """Return what the Manhattan plot needs of every feature that has a score."""
    table = tables.feature_scores(scores, name)
    ends = study.table[["feature", "top_token", "bottom_token"]]
    table = table.merge(ends, on="feature").dropna(subset=["enrichment_score"])
    promoted = table["enrichment_score"] >= 0
    height = table[column] if column == "display_score" else np.copysign(table[column], table["enrichment_score"])
    table = table.assign(height=height, side=np.where(promoted, *charts.SIDES))
    token = table["top_token"].where(promoted, table["bottom_token"])
    peaks = []
    for side in (promoted, ~promoted):
        order = table[side].sort_values("height", key=np.abs, ascending=False, kind="stable").head(20 * PEAKS)
        room = (0.1 * study.dictionary.d_sae,)
        places = tables.spaced_out(order[["feature"]].to_numpy(dtype=float), gaps=room, most=PEAKS)
        peaks += order.index[places].tolist()
    text = table["feature"].astype(str) + " " + token
    return table.assign(text=text.where(table.index.isin(peaks), "")).reset_index(drop=True)


def best_features(study: LogitStudy, scores: Enrichment, name: str) -> None:
    """List the features with the smallest p for a set. A row picks its feature."""
    side = st.segmented_control(
        "Features that",
        ["both", "promoted", "suppressed"],
        format_func={"both": "promote or suppress it", "promoted": "promote it", "suppressed": "suppress it"}.get,
        default="both",
        required=True,
        key="es_side",
        bind="query-params",
    )
    table = tables.best_features(scores, name, side=side)
    table = table.merge(study.table[["feature", "top_token", "bottom_token"]], on="feature")
    shown = table.head(ROWS)
    hits = table["feature"][table["log10_q"] <= np.log10(0.05)]
    if len(hits):
        said = {"both": "promote or suppress", "promoted": "promote", "suppressed": "suppress"}[side]
        select_these(
            hits.tolist,
            f"features that {said} {name}, q ≤ 0.05",
            label=f"Select the {len(hits):,} with q ≤ 0.05",
            key=f"select-hits-{side}",
        )
    key = f"best-features-{name}-{side}"  # each table has its own key, because a ticked row belongs to one table
    figure(
        f"Features by {name}",
        listing(
            shown,
            key,
            order=["feature", "enrichment_score", "log10_q", "top_token", "bottom_token", "auc", "log10_p"],
            height=340,
            picks="feature",
        ),
        table,
        explains=["enrichment_score", "auc", "auc_z", "p_value", "q_value"],
        note=study.note(
            f"first {len(shown):,} of {len(table):,} features, by p",
            "click a row to pick its feature",
            enrichment_studies.method(scores),
        ),
        name=f"features-by-{stem(name)}",
        provenance=enrichment_studies.provenance(study, scores, token_set=name),
    )


def best_sets(study: LogitStudy, scores: Enrichment, random: Later[Enrichment], feature: int) -> None:
    """List the sets with the smallest p for one feature. A row picks its set."""
    table = tables.best_sets(scores, feature, random=random.value)
    if table.empty:
        st.info(blank(feature), icon=":material/block:")
        return

    def pick_set(row: int) -> None:
        st.session_state[SET_KEY] = table["token_set"].iloc[row]

    figure(
        f"Token sets of feature {feature}",
        listing(
            table,
            f"best-sets-{feature}",
            order=["token_set", "enrichment_score", "es_random", "log10_q", "set_size", "auc", "log10_p"],
            height=340,
            picks=pick_set,
        ),
        table,
        explains=["enrichment_score", "es_random", "auc", "auc_z", "p_value", "q_value"],
        note=study.note(
            f"{len(table)} sets, by p", *random.said, "click a row to pick its set", enrichment_studies.method(scores)
        ),
        name=f"token-sets-of-feature-{feature}",
        told=enrichment_studies.told(),
        provenance=enrichment_studies.provenance(study, scores, feature=feature),
    )


def running_sum(
    study: LogitStudy, scores: Enrichment, random: Later[Enrichment], sets: TokenSets, feature: int, name: str
) -> None:
    """Draw where the tokens of a set lie in one feature's ranking."""
    row = tables.feature_scores(scores, name).iloc[feature]
    if np.isnan(row["enrichment_score"]):
        st.info(blank(feature), icon=":material/block:")
        return
    values = logit_weights.full_weights(study, feature)
    members = np.isin(enrichment_studies.study_tokens(study), sets.named(name).tokens)
    chart = charts.running_sum(
        tables.running_sum(values, members), tables.members_by_rank(values, members), scores.n_tokens
    )
    figure(
        f"Feature {feature} and {name}",
        altair(chart, "running-sum"),
        lambda: tables.running_sum(values, members, most=None),
        explains=["running_sum", "enrichment_score", "es_high", "es_low", "auc", "p_value", "q_value"],
        note=study.note(
            f"{set_size(scores, name):,} tokens in the set",
            f"ES {row['enrichment_score']:.3f} (high {row['es_high']:.3f}, low {row['es_low']:.3f})",
            *(
                [f"99 % of random directions within ±{tables.random_reach(random.value, name):.3f}"]
                if random.value
                else random.said
            ),
            f"AUC {row['auc']:.3f} ({row['auc_z']:+.1f} standard errors)",
            f"p {power_of_ten(row['log10_p'])}, q {power_of_ten(row['log10_q'])}",
            enrichment_studies.method(scores),
        ),
        name=f"running-sum-{feature}-{stem(name)}",
        provenance=enrichment_studies.provenance(study, scores, token_set=name, feature=feature),
    )


def set_against_set(study: LogitStudy, scores: Enrichment, first: str, second: str) -> None:
    """Draw the scores of every feature for both sets, and label the largest differences. A click picks a feature."""
    if first == second:
        st.info("Pick two different token sets to compare them.")
        return
    whole = tables.set_against_set(scores, first, second)
    if whole.empty:
        st.info(NOTHING, icon=":material/block:")
        return
    both = whole[["score_x", "score_y"]]
    size = both.max() - both.min()
    room = float(0.04 * size["score_x"]), float(0.03 * size["score_y"])
    labelled = tables.spaced_out(both.head(20 * DIFFERENCES).to_numpy(), gaps=room, most=DIFFERENCES)
    places, least = tables.drawn_features(both.abs().max(axis=1).to_numpy(), most=MOST_POINTS)
    drawn = whole.iloc[np.union1d(places, labelled)]
    drawn = drawn.assign(text=drawn["feature"].astype(str).where(drawn.index.isin(labelled), ""))
    hidden = (
        [f"drawn: all with a score of {least:.2f} or more, and {MOST_POINTS // 2:,} random others (seed 0)"]
        if least
        else []
    )
    titles = {"x_title": f"Display score, {first}", "y_title": f"Display score, {second}"}
    figure(
        f"{first} against {second}",
        altair(
            charts.set_against_set(drawn, whole, **titles),
            "set-against-set",
            on_select=choose_feature_from("set-against-set", "point"),
            selection="point",
        ),
        whole,
        explains=["display_score", "score_difference", "enrichment_score"],
        note=study.note(
            f"{set_size(scores, first):,} and {set_size(scores, second):,} tokens",
            f"{len(whole):,} features, histograms of all",
            *hidden,
            "labels: the largest differences with room",
            "dashed: equal scores",
        ),
        name=f"enrichment-{stem(first)}-against-{stem(second)}",
        provenance=enrichment_studies.provenance(study, scores, token_set=first, other_set=second),
    )


def set_size(scores: Enrichment, name: str) -> int:
    return int(scores.sizes[tables.set_number(scores, name)])


def stem(name: str) -> str:
    """Turn the name of a set, which a person may have typed, into a file name."""
    return re.sub(r"[^\w-]+", "-", name)


def blank(feature: int) -> str:
    """Say why a feature has no scores."""
    return plain(
        f"Feature {feature} gives every token the same logit weight; its decoder row may be zero. So no token ranks "
        "before another, and there is nothing to score. Pick another feature."
    )


def power_of_ten(log10: float) -> str:
    """Format a p-value that may be too small for a float."""
    if log10 > -4:
        return f"{10**log10:.4f}"
    power = int(np.floor(log10))
    return f"{10 ** (log10 - power):.1f}e{power}"
