"""The tab Selection: what the members of the selection share against all other features."""

import numpy as np
import pandas as pd
import streamlit as st

from core import tables
from core.activations.members import DRAWS
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.selection.selection import Selection
from ui.overview.all_features import not_yet
from ui.shared import errors, selected
from ui.shared.errors import NotStored
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import feature_tables, selections

SURE = float(np.log10(0.05))
ORDER = ["member_larger", "member_median", "other_median", "member_share", "other_share", "n_members", "n_others"]
LOOSE = "Two numbers that go together show up together: compare the selection by what it was not made by."


def selection(dictionary: Dictionary) -> None:
    """Draw the members, and the comparison in all that is stored (raises LoupeError)."""
    here, members = selected.ground(), selected.members_of(dictionary)
    if here is None or here.selection is None or members is None:
        st.info(
            "Nothing is selected. Press Select in a figure, draw a lasso on the feature map, or type numbers under "
            '"No selection" in the sidebar.',
            icon=":material/select_check_box:",
        )
        return
    table = selections.compared(dictionary, members)
    if table.empty:
        st.info("Five members and five others must have a number before it can be compared. Select more features.")
    else:
        left, right = st.columns(2, gap="medium")
        is_number = table["compared_value"] == ""
        with left:
            _shared(dictionary, here.selection, table[is_number], "numbers", ["member_larger"], n_rows=len(table))
        with right:
            _shared(
                dictionary,
                here.selection,
                table[~is_number],
                "tokens, sets and tags",
                ["member_share", "other_share"],
                n_rows=len(table),
            )
        st.caption(plain(LOOSE))
    with errors.shown():  # for work that still runs
        _together(dictionary, here.selection)
    _members(dictionary, members)
    not_yet(feature_tables.stored(dictionary)[2])


def _shared(
    dictionary: Dictionary, selection: Selection, rows: pd.DataFrame, of: str, effects: list[str], *, n_rows: int
) -> None:
    """List what members share in numbers or in texts, the surest first. `n_rows` counts the rows of both."""
    if rows.empty:
        st.info(f"No {of} of these features are stored yet.", icon=":material/calculate:")
        return
    rows = rows.dropna(axis="columns", how="all").reset_index(drop=True)
    sure = int((rows["log10_q_members"] <= SURE).sum())
    if of == "numbers":
        rows = rows.drop(columns="compared_value")
    figure(
        f"What {len(selection):,} selected features share in {of}",
        listing(rows, f"selection-{of}", height=420, order=["compared", "compared_value", "log10_q_members", *ORDER]),
        rows,
        explains=[*effects, "log10_q_members"],
        note=f"{len(selection):,} members against {dictionary.d_sae - len(selection):,} others · "
        f"{sure:,} of {len(rows):,} rows with q ≤ 0.05, q over all that is compared ({n_rows:,} rows on this page)",
        name=f"selection-{of.partition(',')[0]}",
        provenance=tables.provenance(
            dictionary=dictionary,
            method="rank sums" if of == "numbers" else "Fisher's exact test",
            settings={"features": selection.text[:2_000], "selection": selection.origin}
            | feature_tables.texts(dictionary),
        ),
    )


def _together(dictionary: Dictionary, selection: Selection) -> None:
    """List members by how surely they are active on the tokens of others, if a pass over the text is stored."""
    try:
        found, passed = selections.together(dictionary, selection)
    except (NotStored, LoupeError):
        st.info(
            "Which members are active on the same tokens needs a token pass over the chosen text. Open the page "
            "Activations.",
            icon=":material/calculate:",
        )
        return
    table = found.table()
    sure = int((table["log10_q_together"] <= SURE).sum())
    median = "n/a" if table.empty else f"{table['member_lift'].median():.3g}"
    figure(
        "Members on the tokens of others",
        listing(table, "selection-together", height=300, picks="feature"),
        table,
        explains=["member_lift", "chance_lift", "log10_q_together"],
        note=f"{len(table):,} of {len(selection):,} members are active · {sure:,} with q ≤ 0.05 · "
        f"median lift {median} · {passed.note}",
        name="selection-together",
        provenance=passed.provenance(features=selection.text[:2_000], selection=selection.origin, draws=DRAWS, seed=0),
        finding=f"{sure:,} of {len(table):,} active members are active on the tokens of other members more often than "
        "beside features drawn at random.",
    )


def _members(dictionary: Dictionary, members: np.ndarray) -> None:
    """List the members with all that is stored of them."""
    whole, _, _ = feature_tables.stored(dictionary)
    mine = whole[members]
    figure(
        f"{len(mine):,} members",
        listing(mine, "selection-members", height=360, picks="feature"),
        mine,
        explains=[],
        note="click a row to pick its feature",
        name="selection-members",
        provenance=tables.provenance(
            dictionary=dictionary, method="every stored statistic", settings=feature_tables.texts(dictionary)
        ),
    )
