"""The tabs of the matching page on features: both sides, lists, density."""

import numpy as np
import pandas as pd
import streamlit as st

from core.matching import tables
from core.matching.labels import LABELS
from core.matching.pairs import Matching, shared
from core.tables import with_settings
from ui.matching import charts as matching_charts
from ui.matching.picker import choose_pair
from ui.shared import charts, errors
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.shared.selection import axis_title, choose_feature_from
from ui.studies import matching as matching_studies
from ui.studies import token_pass
from ui.studies.matching import MatchStudy

NO_AGREEMENT = "decoder and encoder not yet compared"
MATCHED, A_ONLY, B_ONLY, LABELLED = "Matched", "A only", "B only", "Labels"


def both_sides(study: MatchStudy) -> None:
    """Draw encoder against decoder cosine of every pair, by whether both sides make the pair."""
    side = study.side
    pairs, other = (matching_studies.matching(study, of, "one-to-one") for of in ("decoder", "encoder"))
    if side == "encoder":
        pairs, other = other, pairs
    agree = shared(pairs, other, threshold=-np.inf)
    over = int(shared(pairs, other, threshold=study.threshold).sum())
    table = tables.with_agreement(tables.pair_table(pairs), pairs, other)
    table = table.sort_values("agreement", ascending=False, kind="stable", ignore_index=True)
    drawn = table.rename(columns={"feature_a": "feature"})
    drawn = drawn.assign(agreement=drawn["agreement"].map({True: "both sides agree", False: "one side only"}))
    chart = charts.scatter(
        drawn,
        "decoder_cosine",
        "encoder_cosine",
        x_title=axis_title("decoder_cosine", False),
        y_title=axis_title("encoder_cosine", False),
        group="agreement",
        select="point",
    )
    figure(
        "Encoder against decoder cosine of the pairs",
        altair(chart, "match-both", on_select=choose_feature_from("match-both", "point"), selection="point"),
        table,
        explains=["decoder_cosine", "encoder_cosine", "agreement", "agreeing", "shared"],
        note=" · ".join(
            [
                f"{len(table):,} one-to-one pairs by {side}, {int(agree.sum()):,} of them also by the other side",
                *proofs([pairs, other]),
                f"{over:,} shared: both sides make the pair, and both cosines are over {study.threshold:.2f}",
                "click a point to pick the feature of A",
            ]
        ),
        name=f"match-both-sides-{side}",
        provenance=study.provenance,
    )


def lists(study: MatchStudy) -> None:
    """List which features are matched, which only A or B has, and what became of them if widths differ."""
    matching, near = matching_studies.matching(study), matching_studies.nearest(study)
    over = matching.score > study.threshold
    alone = {
        end: np.setdiff1d(np.flatnonzero(~np.isnan(getattr(near, end))), getattr(matching, end)[over]) for end in "ab"
    }
    options = [MATCHED, A_ONLY, B_ONLY, *([LABELLED] if study.a.d_sae != study.b.d_sae else [])]
    chosen = st.segmented_control(
        "List",
        options,
        default=MATCHED,
        required=True,
        key="match_list",
        bind="query-params",
        help="Matched: the pairs over the threshold. A only, B only: features in no such pair. Labels: what became of "
        "the features of the smaller dictionary in the wider one.",
    )
    if chosen == MATCHED:
        matched(study, tables.pair_table(matching)[over])
    elif chosen == LABELLED:
        labels(study)
    else:
        end = "a" if chosen == A_ONLY else "b"
        only(study, end, tables.unmatched_table(alone[end], getattr(near, end), getattr(near, f"of_{end}"), end))


def matched(study: MatchStudy, pairs: pd.DataFrame) -> None:
    """List pairs over the threshold, the most similar first, and whether both sides make them."""
    agreement = Later(
        lambda: matching_studies.agreement(study).matchings, missing="decoder and encoder not yet compared"
    )
    table, agreed = pairs, agreement.said
    if agreement.there:
        table = tables.with_agreement(pairs, *agreement.value)
        agreed = [f"both decoder and encoder make {int(table['agreement'].sum()):,} of them"]
    table = table.sort_values("match_score", ascending=False, kind="stable", ignore_index=True)
    listed(
        study,
        f"{len(table):,} matched pairs, {study.method}",
        table,
        table["feature_a"],
        table["feature_b"],
        explains=["match_score", "decoder_cosine", "encoder_cosine", "alignment", "agreement"],
        note=" · ".join([*agreed, *proofs([matching_studies.matching(study), *(agreement.value or ())])]),
    )
    agreement.draw()


def proofs(matchings: list[Matching]) -> list[str]:
    """How sure it is that pairs are the best: what is said of any of the matchings, once."""
    return [f"pairs {words}" for words in dict.fromkeys(matching.proof for matching in matchings)]


def only(study: MatchStudy, end: str, table: pd.DataFrame) -> None:
    """List features of one dictionary in no pair over the threshold, the least similar first."""
    mine, other = table[f"feature_{end}"], table["best_match"]
    listed(
        study,
        f"{len(table):,} features of {end.upper()} alone",
        table,
        *((mine, other) if end == "a" else (other, mine)),
        explains=["best_match", "best_similarity", f"feature_{end}"],
        note="several features may share a most similar one, so a feature can be over the threshold without a pair",
        end=end,
    )


def labels(study: MatchStudy) -> None:
    """List what became of the smaller dictionary's features in the wider: new, kept, split or merged."""
    end = "a" if study.a.d_sae > study.b.d_sae else "b"
    relation = matching_studies.relation(study, end)
    cards = st.container(horizontal=True)
    for name in LABELS:
        cards.metric(name.capitalize(), f"{relation.counts[name]:,}", border=True)
    table = tables.label_table(relation)
    mine, other = table["feature"], table["parent"]
    listed(
        study,
        f"What the features of {end.upper()}, the wider dictionary, are in the other",
        table,
        *((mine, other) if end == "a" else (other, mine)),
        explains=["match_label", "parent", "siblings", "merged_from"],
        note=f"parent: the nearest feature by {study.side} cosine, if over the threshold",
        end=end,
    )


def listed(
    study: MatchStudy,
    title: str,
    table: pd.DataFrame,
    a: pd.Series,
    b: pd.Series,
    *,
    explains: list[str],
    note: str,
    end: str = "a",
) -> None:
    """Draw a table in its figure. A click on a row picks its features of A and B, if it has them.

    The table's features without a letter are of the dictionary at this `end`; best matches are of the other.
    """
    own = {end: getattr(study, end).sha256 for end in "ab"}
    key = f"match-list-{st.session_state.get('match_list', MATCHED).lower().replace(' ', '-')}"
    figure(
        title,
        listing(table, key, height=560, picks=choose_pair(study, a.to_numpy(), b.to_numpy())),
        table,
        explains=explains,
        note=study.note(f"threshold {study.threshold:.2f}", note, "click a row to pick its features of A and B"),
        name=key,
        provenance=with_settings(study.provenance, end=end),
        whose={
            "feature": own[end],
            "feature_a": own["a"],
            "feature_b": own["b"],
            "best_match": own["b" if end == "a" else "a"],
        },
    )


def against_density(study: MatchStudy) -> None:
    """Draw whether features that fire often are found in the other dictionary more often."""
    end = st.segmented_control(
        "Features of", ["A", "B"], default="A", required=True, key="match_whose", bind="query-params"
    ).lower()
    with errors.shown():
        dictionary = getattr(study, end)
        best = getattr(matching_studies.nearest(study), end).astype(float)
        passed = token_pass.token_pass(dictionary.id)
        table = pd.DataFrame({"feature": np.arange(len(best)), "density": passed.density, "best_similarity": best})
        table = table.dropna(ignore_index=True)
        left, right = st.columns(2, gap="medium")
        with left:
            density_scatter(study, end, table, passed.note)
        with right:
            deciles(study, end, tables.decile_table(passed.density, best, threshold=study.threshold))


def density_scatter(study: MatchStudy, end: str, table: pd.DataFrame, text: str) -> None:
    """Draw one point for each feature that fires. A click picks a feature of A."""
    fires = table[table["density"] > 0]
    chart = charts.scatter(
        fires,
        "density",
        "best_similarity",
        x_title=axis_title("density", True),
        y_title=axis_title("best_similarity", False),
        x_log=True,
        select="point" if end == "a" else None,
    )
    key = f"match-density-{end}"
    picks = {"on_select": choose_feature_from(key, "point"), "selection": "point"} if end == "a" else {}
    figure(
        f"Best similarity of each feature of {end.upper()} against its density",
        altair(chart, key, **picks),
        table,
        explains=["best_similarity", "density"],
        note=study.note(
            f"{len(fires):,} features that fire",
            f"{text}; {len(table) - len(fires):,} features fire on no token and are not drawn",
        ),
        name=key,
        provenance=with_settings(study.provenance, end=end),
        whose={"feature": getattr(study, end).sha256},
    )


def deciles(study: MatchStudy, end: str, table: pd.DataFrame) -> None:
    """Draw the matching ratio in each tenth of the features, by density."""
    figure(
        f"Matching ratio of {end.upper()} by decile of density",
        altair(matching_charts.by_decile(table, study.threshold), f"match-deciles-{end}"),
        table,
        explains=["density_decile", "matching_ratio", "mmcs"],
        note=study.note(f"threshold {study.threshold:.2f}", "features that fire on no token are left out"),
        name=f"match-deciles-{end}",
        provenance=study.provenance,
    )
