"""The tab Distances: how near features are, compared with chance and with other dictionaries.

A view takes the study (dictionary, side, neighbours), gets tables from core and draws figures.
"""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.geometry import tables as geometry_tables
from core.geometry.study import GeometryStudy
from core.home import findings
from core.maths.random_directions import RandomDirections
from ui.shared import audit, distributions, errors
from ui.shared.figure import altair, figure, listing
from ui.shared.later import Later
from ui.studies import geometry, opened

RANKS = (1, 10, 100)
"""The values of r in the first figures of this kind (Drori 2024)."""
MOST_COMPARED = 7


def distances(study: GeometryStudy) -> None:
    """Draw how near the r-th most similar feature is."""
    left, middle, right = st.columns([5, 5, 3], vertical_alignment="bottom", gap="medium")
    with left:
        r = rank(study)
    with middle:
        others = compared(study, r)
    with right:
        log = st.toggle("Logarithmic heights", key="heights", bind="query-params")
        check = st.toggle(
            "Also simulate chance",
            key="simulate",
            bind="query-params",
            help="Draws as many random directions (seed 0) and counts them, to check the closed form.",
        )
    readouts(study, r)
    histogram(study, others, r, log=log, check=check)
    if others:
        comparison([study, *others], r)


def rank(study: GeometryStudy) -> int:
    """Pick r: one of the usual three, or another."""
    k = study.distinct.k
    names = [str(r) for r in RANKS if r <= k] + ["Other"]
    if st.session_state.get("nearest", "1") not in names:
        del st.session_state["nearest"]  # from a wider dictionary
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    chosen = left.segmented_control(
        "r-th largest cosine, r =",
        names,
        default="1",
        required=True,
        key="nearest",
        bind="query-params",
        help=catalogue.help_text("rth_cosine"),
    )
    if chosen != "Other":
        return int(chosen)
    if not 1 <= st.session_state.get("r", 1) <= k:
        del st.session_state["r"]
    return int(right.number_input("r", 1, k, min(2, k), key="r", bind="query-params"))


def compared(study: GeometryStudy, r: int) -> list[GeometryStudy]:
    """Pick dictionaries to draw beside this one. An error names those that do not open or have too few features."""
    ids = st.multiselect(
        "Compare with",
        [id for id in opened.dictionary_ids() if id != study.dictionary.id],
        key="with",
        bind="query-params",
        format_func=opened.in_pickers(),
        accept_new_options=True,
        max_selections=MOST_COMPARED,
        placeholder="Other dictionaries",
        help="The histograms of these dictionaries have the same bins and count shares of their features. Choose from "
        "the list, or type an id or the path of a folder.",
    )
    studies = []
    for id in ids:
        with errors.shown():
            other = geometry.study(id, study.side)
            geometry_tables.rth_cosine(other.distinct, r)
            studies.append(other)
    return studies


def readouts(study: GeometryStudy, r: int) -> None:
    """Draw the numbers that sum up the figure, each beside the value of random directions."""
    counts, chance, random = study.crowding, study.expected_crowding, study.random
    mean = float(np.nanmean(geometry_tables.rth_cosine(study.distinct, r)))
    readings = {
        "mean_cosine": (counts.mean_cosine, chance.mean_cosine),
        "mean_nearest_cosine": (counts.mean_nearest_cosine, chance.mean_nearest_cosine),
        "largest_cosine": (counts.largest_cosine, chance.largest_cosine),
        **({"rth_cosine": (mean, random.rth_mean_std(r)[0])} if r > 1 else {}),
        "interference": (random.interference, None),
        "welch_bound": (random.welch_bound, None),
    }
    cards = st.container(horizontal=True)
    for name, (value, by_chance) in readings.items():
        item = catalogue.statistic(name)
        cards.metric(
            f"Mean {ordinal(r)} largest" if name == "rth_cosine" else item.title,
            f"{value:.3f}",
            f"random {by_chance:.3f}" if by_chance is not None else None,
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
            help=catalogue.help_text(name),
        )
    numbers = {name: value for name, (value, _) in readings.items() if name != "rth_cosine"}
    audit.beside_cards(cards, numbers, f"crowding-{study.side}", study.provenance)


def histogram(study: GeometryStudy, others: list[GeometryStudy], r: int, *, log: bool, check: bool) -> None:
    """Draw the r-th largest cosine of every feature, with the random baseline and two reference lines."""
    studies = {opened.shown_id(each.dictionary.id): each for each in (study, *others)}
    values = {id: geometry_tables.rth_cosine(each.distinct, r) for id, each in studies.items()}
    randoms = {each.random: None for each in studies.values()}
    extremes = {str(random): random.rth_quantile(np.array([1e-3, 1 - 1e-3]), r) for random in randoms}
    edges = geometry_tables.common_edges(values | extremes)
    known = geometry_tables.histograms(values, edges)
    chance = [geometry_tables.random_histogram(random, r, edges, random_name(random)) for random in randoms]
    simulated = Later(
        lambda: geometry.simulated(study.random, study.distinct.k) if check else None, missing="not yet simulated"
    )
    if simulated.value is not None:
        name = f"{random_name(study.random)}, simulated"
        chance.append(geometry_tables.histograms({name: geometry_tables.rth_cosine(simulated.value, r)}, edges))
    baselines = pd.concat(chance, ignore_index=True)
    chart = distributions.distances(
        known,
        baselines,
        {"1 / √d": study.random.interference, "Welch bound": study.random.welch_bound},
        value="share_in_bin" if others else "features_in_bin",
        x_title=f"Cosine with the {nth_nearest(r)} feature",
        y_title=f"{'Share of the features' if others else 'Features'}{' (log)' if log else ''}",
        log=log,
    )
    figure(
        f"How near the {nth_nearest(r)} feature is, against chance",
        altair(chart, "distances"),
        pd.concat([known, baselines], ignore_index=True),
        explains=["rth_cosine", "random_cosine", "interference", "welch_bound"],
        note=study.note(
            f"{len(edges) - 1} bins",
            "dashed: expected for as many random directions (closed form)",
            *(["simulated with seed 0"] if simulated.value is not None else simulated.said),
            *([f"dotted lines for {opened.shown_id(study.dictionary.id)}"] if others else []),
        ),
        name=f"distances-{study.side}-{r}",
        provenance=provenance(list(studies.values())),
        finding=findings.coinciding(study.neighbors).said if study.side == "decoder" else "",
    )
    simulated.draw()


def random_name(random: RandomDirections) -> str:
    return f"random, {random.n:,} × {random.d:,}"


def nth_nearest(r: int) -> str:
    return f"{ordinal(r)} nearest" if r > 1 else "nearest"


def ordinal(r: int) -> str:
    """1st, 2nd, 3rd, 4th, ..."""
    ending = "th" if r % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(r % 10, "th")
    return f"{r}{ending}"


def comparison(studies: list[GeometryStudy], r: int) -> None:
    """List the numbers of all dictionaries in the figure."""
    table = pd.DataFrame(
        [
            {
                "dictionary": opened.shown_id(each.dictionary.id),
                "d_sae": each.dictionary.d_sae,
                "rth_cosine": float(np.nanmean(geometry_tables.rth_cosine(each.distinct, r))),
                **vars(each.crowding),
                "welch_bound": each.random.welch_bound,
                "interference": each.random.interference,
            }
            for each in studies
        ]
    )
    figure(
        "The same numbers for every dictionary in the figure",
        listing(table, "comparison"),
        table,
        explains=["mean_cosine", "mean_nearest_cosine", "largest_cosine"],
        note=f"{studies[0].side} directions · the r-th largest cosine is the mean for r = {r}",
        name=f"distances-comparison-{studies[0].side}-{r}",
        provenance=provenance(studies),
    )


def provenance(studies: list[GeometryStudy]) -> dict:
    return tables.provenance(
        dictionary=[study.dictionary for study in studies],
        method="exact nearest neighbours by cosine",
        settings={"side": studies[0].side, "k": studies[0].distinct.k},
    )
