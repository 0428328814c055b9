"""The tab Table of features: every statistic that any page has computed, to filter, sort and download."""

import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.dictionaries.dictionary import Dictionary
from core.overview.filters import Range, Words, filtered
from ui.shared import selected
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.studies import feature_tables, opened
from ui.studies.feature_tables import FeatureTable

MOST_ROWS = 20_000
"""The most rows that the browser gets; files hold all."""


def all_features(dictionary: Dictionary) -> None:
    """Draw the table with its filters (raises LoupeError)."""
    whole, groups, missing = feature_tables.stored(dictionary)
    chosen = choose_groups(list(groups))
    names = [name for group in groups if group in chosen for name in groups[group]]
    whole = whole[["feature", *names]]
    members = selected.members_of(dictionary, only=True)
    whole = whole if members is None else whole[members]
    table, said = filter_by_widgets(whole)
    by = sorting(table)
    shown = table.sort_values(by, ascending=by == "feature", kind="stable").head(MOST_ROWS)
    figure(
        f"{len(table):,} of {len(whole):,} features",
        lambda: draw(shown),
        table,
        explains=[name for name in ("density", "nearest_cosine", "kurtosis", "position_score") if name in names],
        note=" · ".join(
            [
                *(["of the selection"] if members is not None else []),
                *said,
                *cut(len(shown), len(table), by),
                "click a row to pick its feature",
            ]
        ),
        name="all-features",
        provenance=tables.provenance(
            dictionary=dictionary, method="every stored statistic", settings=feature_tables.texts(dictionary)
        ),
    )
    not_yet(missing)


def choose_groups(groups: list[str]) -> list[str]:
    """Pick which statistics are shown. Statistics computed since the last look are added."""
    known, key = "_ov_known_groups", "ov_groups"
    if key in st.session_state:
        new = [group for group in groups if group not in st.session_state.get(known, groups)]
        st.session_state[key] = [group for group in groups if group in new or group in (st.session_state[key] or ())]
    st.session_state[known] = groups
    return st.pills(
        "Columns",
        groups,
        default=None if key in st.session_state else groups,
        selection_mode="multi",
        key=key,
        bind="query-params",
        help="Groups of columns. Each page adds its own groups after computing them.",
    )


def filter_by_widgets(whole: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Draw a filter for each chosen column; return the rows that pass all of them, and the filters in words."""
    titles = {name: catalogue.statistic(name).title for name in whole.columns}
    picked = st.multiselect(
        "Filter by",
        list(titles),
        format_func=lambda name: titles[name],
        key="ov_filters",
        bind="query-params",
        placeholder="Choose one or more statistics",
    )
    places = st.columns(3) if picked else []
    filters = [one_filter(whole[name], titles[name], places[i % 3]) for i, name in enumerate(picked)]
    return filtered(whole, filters), [f.describe(titles[f.column]) for f in filters]


def one_filter(values: pd.Series, title: str, place) -> Range | Words:
    """A range for numbers, a word for text."""
    name = str(values.name)
    with place.container(border=True):
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            return Words(name, st.text_input(f"{title} contains", key=f"ov_{name}_has", max_chars=100))
        finite = values[values.abs() < float("inf")]
        ends = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        left, right = st.columns(2)
        low = left.number_input(f"{title} from", value=None, key=f"ov_{name}_from", placeholder=f"{ends[0]:.4g}")
        high = right.number_input("to", value=None, key=f"ov_{name}_to", placeholder=f"{ends[1]:.4g}")
        empty = (
            st.checkbox("Include features without a value", key=f"ov_{name}_empty") if values.isna().any() else False
        )
    return Range(name, low, high, with_empty=empty)


def sorting(table: pd.DataFrame) -> str:
    """Pick the column that decides which rows of a long table are shown."""
    if len(table) <= MOST_ROWS:
        return "feature"
    numbers = [name for name in table.columns if pd.api.types.is_numeric_dtype(table[name])]
    return st.selectbox("Largest first", numbers, format_func=lambda name: catalogue.statistic(name).title, key="ov_by")


def cut(n_shown: int, n_found: int, by: str) -> list[str]:
    """Say how many rows are not shown."""
    if n_shown == n_found:
        return ["click a column to sort by it"]
    which = "first" if by == "feature" else f"with the largest {catalogue.statistic(by).title.lower()}"
    return [f"the {n_shown:,} {which} are shown; the files hold all"]


def draw(shown: pd.DataFrame) -> None:
    """Draw the table."""
    listing(shown, "ov_table", height=620, picks="feature")()


def not_yet(missing: list[FeatureTable]) -> None:
    """Say which statistics are missing, and offer to compute one group at a time."""
    missing = [item for item in missing if item.makes]
    if not missing:
        return
    st.caption("These statistics are not computed yet. Open their page to compute them, or press a button here:")
    with st.container(horizontal=True):
        for item in missing:
            st.button(
                plain(item.title),
                key=f"ov_make_{item.page}_{item.title}",
                on_click=ask_for,
                args=(item.title,),
                icon=":material/calculate:",
            )
    asked = next((item for item in missing if item.title == st.session_state.get("_ov_asked")), None)
    if asked is not None:
        asked.make(opened.dictionary())
        st.rerun()


def ask_for(title: str) -> None:
    """Remember which group to compute."""
    st.session_state["_ov_asked"] = title
