"""The tab Left over: whether the span of the features that do not return is the same in another dictionary."""

from collections.abc import Sequence

import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.stability.left_over import DRAWS, HELD
from ui.shared.figure import altair, figure, listing
from ui.splitting.matrix import names
from ui.stability import charts
from ui.studies import stability


def left_over(others: Sequence[Dictionary]) -> None:
    """Pick one of the others, and draw the principal angles between what is left over on both sides."""
    study = stability.study(others=others)
    named = dict(zip(names(study.others), study.others, strict=True))
    name = st.selectbox(
        "Left over against",
        list(named),
        key="_st_against",
        help="Features of the picked dictionary that do not return in this one, and the features of this one that do "
        "not return in the picked one.",
    )
    found = stability.left_over_with(study, list(named).index(name))
    numbers, table = found.numbers(), found.table()

    def draw() -> None:
        altair(charts.angles(table), "st-angles")()
        listing(numbers, "st-left-over")()

    mean, std = found.expected
    figure(
        "Whether what is left over lies in one subspace",
        draw,
        table,
        explains=["principal_cosine", "span_overlap", "random_overlap", "overlap_of_others", "rank_a"],
        note=study.note(
            f"B: {name}",
            f"{found.n_a:,} and {found.n_b:,} features left over, spans that hold {HELD:.0%} of their squared length",
            f"overlap {found.overlap:.3f}, of random subspaces {mean:.3f} ± {std:.2g}",
            f"band: 95 % of {DRAWS} random subspaces",
        ),
        name="left-over",
        provenance=study.provenance | {"method": "principal angles of features that do not return"},
        finding=f"The spans overlap by {found.overlap:.3f}, random ones by {mean:.3f}.",
    )
