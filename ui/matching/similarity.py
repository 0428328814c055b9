"""The tab Similarity: how much two dictionaries share, in numbers, curves and histograms.

Each stands beside chance (random directions, shuffled coordinates) and beside the control (each dictionary with
itself).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.spaces import DictionarySide
from core.geometry import tables
from core.geometry.neighbors import Between
from core.matching import tables as matching_tables
from core.matching.comparison import SIDES
from core.matching.null import random_nearest
from core.matching.numbers import Numbers
from ui.matching import charts, lists
from ui.shared import errors, report
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.later import NOT_YET, Later
from ui.studies import matching
from ui.studies.matching import MatchStudy, Stated

WAYS = ("A in B", "B in A")
RANKS = ("nearest", "2nd", "3rd", "4th")
RANDOM, SHUFFLED = charts.CHANCE


def similarity(study: MatchStudy) -> None:
    """Draw how much the two share: in numbers, over every threshold, and as histograms of the four best cosines."""
    with errors.shown():
        readouts(study)
    with errors.shown():
        curve(study)
    way = st.segmented_control(
        "Histograms of",
        WAYS,
        default=WAYS[0],
        required=True,
        key="match_way",
        bind="query-params",
        help=catalogue.help_text("match_way"),
    )
    same_width = study.a.d_sae == study.b.d_sae
    for draw in (feature_ranks, neuron_ranks) if same_width else (feature_ranks,):
        for place, side in zip(st.columns(2, gap="medium"), SIDES, strict=True):
            with place, errors.shown():
                draw(study, side, way)
    if not same_width:
        st.caption("Input dimensions have a cosine only if both dictionaries have the same number of features.")


SHARED = "shared: decoder and encoder make the same pair, and both cosines are over the threshold"
NUMBERS = {
    "mmcs_ab": ("mmcs", "MMCS, A in B"),
    "mmcs_ba": ("mmcs", "MMCS, B in A"),
    "ratio_ab": ("matching_ratio", "Matched, A in B"),
    "ratio_ba": ("matching_ratio", "Matched, B in A"),
    "one_to_one_ratio": ("one_to_one_ratio", "Matched, one to one"),
    "pw_mcc": ("pw_mcc", "PW-MCC"),
    "agreeing": ("agreeing", "Both sides agree"),
    "shared": ("shared", "Shared features"),
    "mean_alignment": ("mean_alignment", "Mean alignment"),
}
"""The summary numbers, with the name of each in the catalogue and its title."""


def readouts(study: MatchStudy) -> None:
    """Draw the summary numbers as they are ready, each beside its value after shuffling B's coordinates."""
    found = [matching.first_numbers(study)]
    agreement = Later(lambda: matching.agreement(study), missing=lists.NO_AGREEMENT)
    later = [agreement, Later(lambda: matching.first_numbers(matching.shuffled_study(study)))]
    if later[1].there:
        later.append(Later(lambda: matching.agreement(matching.shuffled_study(study))))
    found += [agreement.value] if agreement.there else []
    chance = [part.value for part in later[1:] if part.there]
    cards(found, chance, study.provenance)
    st.caption(
        plain(
            study.note(
                f"threshold {study.threshold:.2f}",
                *(
                    ["shared: decoder and encoder make the same pair, and both cosines are over the threshold"]
                    * agreement.there
                ),
                *lists.proofs([pairs for part in reversed(found) for pairs in part.matchings]),
                *copies_said(study),
                *agreement.said,
                *(later[-1].said or ["chance: the same number with shuffled coordinates of B"]),
            )
        )
    )
    for part in later:
        part.draw()


def cards(found: list[Stated], by_chance: list[Stated], provenance: Mapping[str, object]) -> None:
    """Draw a card for each number that is known, with what is known of it by chance."""
    numbers, not_proven = joined(found)
    chance, chance_not_proven = joined(by_chance)
    row = st.container(horizontal=True)
    for name, (declared, title) in NUMBERS.items():
        if name not in numbers:
            continue
        heading, value = title + (" (not proven)" if name in not_proven else ""), shown(declared, numbers[name])
        below = f"by chance {shown(declared, chance[name])}" if name in chance else NOT_YET
        below += " (not proven)" if name in chance_not_proven else ""
        report.note_numbers({heading: f"{value}, {below}"}, [declared], provenance)
        row.metric(
            heading,
            value,
            below,
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help=plain(" ".join([catalogue.help_text(declared), *bounds_said(name, not_proven, chance_not_proven)])),
        )


def joined(parts: list[Stated]) -> tuple[Numbers, dict[str, str]]:
    """Return all numbers and all doubts."""
    numbers = {name: value for part in parts for name, value in part.numbers.items()}
    return numbers, {name: doubt for part in parts for name, doubt in part.doubts.items()}


def bounds_said(name: str, not_proven: dict[str, str], chance_not_proven: dict[str, str]) -> list[str]:
    """Say what is not proven of a number and of its chance, and how far off they may be."""
    each = (("This number", not_proven), ("By chance", chance_not_proven))
    return [f"{whose}: {doubts[name]}." for whose, doubts in each if name in doubts]


def copies_said(study: MatchStudy) -> list[str]:
    """Say that rows with the same bits pair as features of their own, where there are any."""
    sides = SIDES if study.similarity == "both" else (study.side,)
    said = []
    for end in "ab":
        n = max(study.end(end).n_copies[side] for side in sides)
        said += [f"{n:,} of {end.upper()} with the very weights of another"] if n else []
    return [f"each feature counts, copies too ({', '.join(said)})"] if said else []


def shown(name: str, value: float | None) -> str:
    return "n/a" if value is None else format(value, catalogue.statistic(name).format.replace("~", ""))


def curve(study: MatchStudy) -> None:
    """Draw the share of features with a match over each threshold: both ways, one to one, chance and control."""
    near, pairs = matching.nearest(study), matching.matching(study)
    # A feature without a partner counts with similarity 0.
    paired = np.zeros(study.smaller, np.float32)
    paired[: len(pairs.score)] = pairs.score
    ratios = matching_tables.ratio_table({WAYS[0]: near.a, WAYS[1]: near.b, study.method: paired})
    later = [Later(lambda: {SHUFFLED: matching.nearest(matching.shuffled_study(study)).a})]
    dashed = []
    if study.similarity != "both":
        later.append(Later(lambda: controls(study, study.side), missing="not yet compared with themselves"))
        dashed += random_curve(study, study.side)
    known = [part.value for part in later if part.there and part.value]
    dashed = [*map(matching_tables.ratio_table, known[:1]), *dashed, *map(matching_tables.ratio_table, known[1:])]
    chance = pd.concat(dashed, ignore_index=True) if dashed else ratios.head(0)
    figure(
        "How many features have a match over a threshold",
        altair(charts.ratios(ratios, chance, study.threshold), "match-ratios"),
        pd.concat([ratios, chance], ignore_index=True),
        explains=["matching_ratio", "one_to_one_ratio", "match_threshold", "random_ratio"],
        note=study.note(
            *lists.proofs([pairs]),
            "random: as many random directions, closed form",
            "shuffled: the coordinates of B in a random order, seed 0",
            "with itself: best match except itself",
            *(["both sides have no closed form and no control"] if study.similarity == "both" else []),
            *(said for part in later for said in part.said),
        ),
        name=f"match-ratios-{study.similarity}",
        provenance=study.provenance,
        finding=f"{int((near.a > study.threshold).sum()):,} of {len(near.a):,} features of A and "
        f"{int((near.b > study.threshold).sum()):,} of {len(near.b):,} of B have a match over {study.threshold:g}.",
    )
    for part in later:
        part.draw()


def random_curve(study: MatchStudy, side: DictionarySide) -> list[pd.DataFrame]:
    """Return the closed form for A among as many random directions as B has; none in one dimension."""
    d, others = study.end("a").side(side).shape[1], int(study.end("b").finite.sum())
    return [matching_tables.random_ratio_table(others, d, RANDOM)] if d > 1 else []


def controls(study: MatchStudy, side: DictionarySide) -> dict[str, np.ndarray]:
    """Return the best cosines of each dictionary with itself, if it has another feature."""
    own = {f"{end.upper()} with itself": matching.own(study, end, side) for end in "ab"}
    return {name: values for name, values in own.items() if values is not None}


def feature_ranks(study: MatchStudy, side: DictionarySide, way: str) -> None:
    """Draw the four best cosines of every feature, by decoder or encoder."""
    cos = cosines(study.between(side), way)
    later = {
        SHUFFLED: Later(lambda: cosines(matching.shuffled_study(study).between(side), way)[:, 0]),
        f"{way[0]} with itself": Later(
            lambda: matching.own(study, "a" if way == WAYS[0] else "b", side), missing="not yet compared with itself"
        ),
    }
    dashed = {name: part.value for name, part in later.items() if part.value is not None}
    others = study.end("b" if way == WAYS[0] else "a")
    random = int(others.finite.sum()), others.side(side).shape[1]
    said = [text for part in later.values() for text in part.said]
    ranks(study, cos, dashed, random, f"{side}-features", said)
    for part in later.values():
        part.draw()


def neuron_ranks(study: MatchStudy, side: DictionarySide, way: str) -> None:
    """Draw the four best cosines of every input dimension, taken over the features (Cho 2025)."""
    neurons = matching.neurons(study, side)
    ranks(study, cosines(neurons, way), {}, (len(neurons.b_in_a_cos), study.a.d_sae), f"{side}-input dimensions")


def ranks(
    study: MatchStudy,
    cos: np.ndarray,
    dashed: dict[str, np.ndarray],
    random: tuple[int, int],
    what: str,
    missing: Sequence[str] = (),
) -> None:
    """Draw histograms of the nearest, 2nd, 3rd and 4th, and dashed the nearest by chance.

    `random` is the number of random directions in the closed form, and their dimensions.
    """
    n, d = random
    values = {name: cos[:, i].astype(float) for i, name in enumerate(RANKS[: cos.shape[1]])}
    law = random_nearest(n, d) if d > 1 else None
    extremes = {"": law.rth_quantile(np.array([1e-3, 1 - 1e-3]), 1)} if law else {}
    edges = tables.common_edges(values | dashed | extremes)
    chance = [tables.histograms(dashed, edges)] if dashed else []
    if law:
        chance.append(tables.random_histogram(law, 1, edges, RANDOM))
    counts = tables.histograms(values, edges).rename(columns={"dictionary": "match_series"})
    chance = pd.concat([counts.head(0), *(table.rename(columns={"dictionary": "match_series"}) for table in chance)])
    side, _, of = what.partition("-")
    # The threshold is about features, not about input dimensions.
    threshold = study.threshold if of == "features" else None
    figure(
        f"{side.capitalize()}, {of}",
        altair(charts.histograms(counts, chance, threshold), f"match-{what}"),
        pd.concat([counts, chance], ignore_index=True),
        explains=["rth_match_cosine", "match_rank", "random_cosine"],
        note=" · ".join(
            [
                f"{len(cos):,} {of} · shares in {len(edges) - 1} bins · dashed: the nearest by chance and the control",
                *missing,
            ]
        ),
        name=f"match-{what.replace(' ', '-')}",
        provenance=study.provenance,
    )


def cosines(between: Between, way: str) -> np.ndarray:
    return between.a_in_b_cos if way == WAYS[0] else between.b_in_a_cos
