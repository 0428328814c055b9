"""The tab Selection: what the members of the selection share against all other features."""

import numpy as np
import streamlit as st

from core import tables
from core.dictionaries.dictionary import Dictionary
from ui.overview.all_features import not_yet
from ui.shared import selected
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import feature_tables, selections

SURE = float(np.log10(0.05))
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
    sure = int((table["log10_q_members"] <= SURE).sum())
    n = int(members.sum())
    if table.empty:
        st.info("Five members and five others must have a number before it can be compared. Select more features.")
    else:
        figure(
            f"What {n:,} selected features share",
            listing(table, "selection-summary", height=520),
            table,
            explains=["member_larger", "member_share", "other_share", "log10_q_members"],
            note=f"{n:,} members against {dictionary.d_sae - n:,} others · "
            f"{sure:,} of {len(table):,} rows with q ≤ 0.05 · from {here.selection.origin or 'a list'}",
            name=f"selection-summary-{here.selection.key}",
            provenance=tables.provenance(
                dictionary=dictionary,
                method="rank sums and Fisher's exact test",
                settings={"features": here.selection.text[:2_000]} | feature_tables.texts(dictionary),
            ),
        )
        st.caption(plain(LOOSE))
    _members(dictionary, members)
    not_yet(feature_tables.stored(dictionary)[2])


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
