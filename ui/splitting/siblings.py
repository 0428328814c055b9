"""The tab Siblings: how the children of one feature differ."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from core.dictionaries.dictionary import Dictionary
from core.splitting import siblings as splitting_siblings
from core.splitting.graph import relation
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature
from ui.splitting import charts
from ui.studies import opened, splitting
from ui.studies.splitting import Series

MOST_SIBLINGS = 16
"""With more siblings than this, neither figure can be read."""
MOST_TOKENS = 40


def siblings(series: Series) -> None:
    """Draw how the children of the picked feature in one wider dictionary differ."""
    feature = picked_feature()
    titles = {f"{dictionary.d_sae:,} features": dictionary for dictionary in series.wider}
    if st.session_state.get("split_in") not in titles:
        st.session_state.pop("split_in", None)
    name = st.segmented_control(
        "Children in", list(titles), default=next(iter(titles)), required=True, key="split_in", bind="query-params"
    )
    wide = titles[name]
    between = splitting.between(series.coarse, wide)
    children = relation(between, threshold=series.threshold).children(feature)
    if len(children) < 2:
        st.info(
            f"Feature {feature} has {len(children)} {'child' if len(children) == 1 else 'children'} among the {name}, "
            "so there is nothing to compare. Pick another feature, a wider dictionary or a lower threshold.",
            icon=":material/block:",
        )
        return
    order = np.argsort(-between.b_in_a_cos[children, 0], kind="stable")[:MOST_SIBLINGS]
    weights, tokens = splitting.logits(wide, children[order])
    model = opened.model_of(wide)
    texts = model.token_strings
    more = [f"the {len(order)} of {len(children):,} most similar to the parent"] if len(order) < len(children) else []
    note = series.note(f"children of feature {feature} among the {name}", splitting.LOGITS.describe(model), *more)
    sibling_figures(series, wide, splitting_siblings.Siblings(children[order], weights, tokens), texts, note, feature)


def sibling_figures(
    series: Series,
    wide: Dictionary,
    siblings: splitting_siblings.Siblings,
    texts: Sequence[str],
    note: str,
    feature: int,
) -> None:
    """Draw differences on distinctive tokens, correlations, and the tokens as a table."""
    k = max(2, min(splitting_siblings.K, MOST_TOKENS // len(siblings.feature)))
    cells = splitting_siblings.difference_cells(siblings, texts, k=k)
    table = splitting_siblings.distinctive_table(siblings, texts)
    whose = {"sibling": wide.sha256}
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure(
            "Tokens on which the siblings differ",
            altair(charts.sibling_tokens(cells.assign(text=shown_texts(cells))), "split-sibling-tokens"),
            cells,
            explains=["sibling_difference", "logit_weight"],
            note=f"{note} · the {k} tokens that each sibling raises most above the others",
            name=f"siblings-{feature}",
            provenance=series.provenance,
            whose=whose,
        )
    with right:
        correlations = splitting_siblings.correlation_table(siblings)
        figure(
            "Correlation of their logit weights",
            altair(charts.sibling_correlations(correlations), "split-sibling-correlations"),
            correlations,
            explains=["sibling_correlation"],
            note=note,
            name=f"sibling-correlations-{feature}",
            provenance=series.provenance,
            whose=whose,
        )
        figure(
            "Most distinctive tokens",
            listing(table, "split-distinctive"),
            table,
            explains=["sibling_rank", "sibling_difference"],
            note=note,
            name=f"sibling-distinctive-{feature}",
            provenance=series.provenance,
            whose=whose,
        )


def shown_texts(cells: pd.DataFrame) -> list[str]:
    """Return tokens as labels: in quotes, with the id if several share a text."""
    ids = cells.groupby("token_text")["token"].nunique()
    return [
        repr(text) if ids[text] == 1 else f"{text!r} {token}"
        for token, text in zip(cells["token"], cells["token_text"], strict=True)
    ]
