"""The tab Examples: contexts with shaded tokens, from every level of activation, to search and sort."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.activations.store import FeatureActivations
from core.feature import examples as feature_examples
from core.feature.contexts import Context, context_table, context_texts, contexts
from core.models.tokens import label
from ui.shared import token_text
from ui.shared.escape import plain
from ui.shared.figure import figure, listing
from ui.shared.token_text import Passage
from ui.studies import compute
from ui.studies.feature import Subject

STRONGEST, ACTIVE, ANY = (kind.capitalize() for kind in feature_examples.KINDS)
INTERVALS, QUANTILES = (kind.capitalize() for kind in feature_examples.LEVELS)
KINDS = [STRONGEST, INTERVALS, QUANTILES, ACTIVE, ANY]
WIDTHS = {"5": 5, "10": 10, "20": 20, "40": 40, "whole row": None}
A_PAGE, MOST_LISTED, MOST_SEARCHED = 20, 200, 5_000
HELP = (
    f"{STRONGEST}: one context for each row, around its strongest token. {INTERVALS}: 5 random tokens from each of 11 "
    f"intervals of equal width, from 0 to the largest activation. {QUANTILES}: 5 random tokens from each of 10 groups "
    f"of equally many active tokens. {ACTIVE}: random active tokens. {ANY}: random counted tokens, active or not."
)


def strongest(subject: Subject, *, n: int) -> None:
    """Draw a few of the strongest contexts."""
    shown = feature_examples.strongest_of_rows(subject.acts)
    shown = feature_examples.taken(shown, np.arange(min(n, len(shown.act))))
    draw_contexts(
        subject,
        "Strongest contexts",
        [("", shown)],
        10,
        "one for each row",
        f"{subject.stem}-strongest",
        told={"count": n},
    )


def examples(subject: Subject) -> None:
    """Draw the tab."""
    if not len(subject.acts.act):
        st.info(f"{plain(subject.title)} is active on no token of this text, so there are no examples.")
        return
    kind, width = choose()
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if kind in (INTERVALS, QUANTILES):
            levels(subject, kind, width)
        else:
            single_list(subject, kind, width)
    with right:
        tokens(subject)


def choose() -> tuple[str, int | None]:
    """Pick the kind of examples, and how much text surrounds each."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Examples", KINDS, default=STRONGEST, required=True, key="fe_examples", bind="query-params", help=HELP
        )
        width = st.segmented_control(
            "Tokens either side", list(WIDTHS), default="10", required=True, key="fe_width", bind="query-params"
        )
    return kind, WIDTHS[width]


def seed() -> int:
    return int(
        st.number_input(
            "Seed",
            0,
            10**6,
            key="fe_seed",
            bind="query-params",
            width=120,
            help="The same seed draws the same examples.",
        )
    )


def levels(subject: Subject, kind: str, width: int | None) -> None:
    """Draw examples from each level of activation, the highest first."""
    drawn = seed()
    parts = feature_examples.LEVELS[kind.lower()](subject.acts, seed=drawn)[::-1]
    of = {"n_active": len(subject.acts.act), "n_tokens": subject.passed.statistics.n_tokens()}
    groups = [(level.said(**of), level.examples) for level in parts]
    title = {INTERVALS: "Equal intervals of activation", QUANTILES: "Groups of equally many active tokens"}[kind]
    note = f"{feature_examples.PER_GROUP} random ones of each, no row twice in a group"
    told = {"width": repr(width), "seed": drawn}
    draw_contexts(subject, title, groups, width, note, f"{subject.stem}-{kind.lower()}", told=told)


def single_list(subject: Subject, kind: str, width: int | None) -> None:
    """Draw contexts in one order, page by page, after a search."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = st.segmented_control(
            "Sort by",
            list(feature_examples.ORDERS),
            default="activation",
            required=True,
            key="fe_order",
            bind="query-params",
        )
        pattern = st.text_input(
            "Search the contexts",
            max_chars=1_000,
            key="fe_search",
            bind="query-params",
            placeholder="regular expression",
            help="Python's syntax. It is searched in the whole context that is shown.",
        )
        drawn, how = pool(subject, kind)
    acts = feature_examples.ordered(drawn, by)
    note = {STRONGEST: f"{len(acts.act):,} rows with an active token"}.get(kind, f"{len(acts.act):,} random tokens")
    if pattern:
        acts, said = searched(subject, acts, pattern, width)
        note = f"{said} · {note}"
    if not len(acts.act):
        st.info(plain(f"No context matches /{pattern}/: {note}."), icon=":material/search_off:")
        return
    pages = -(-len(acts.act) // A_PAGE)
    if st.session_state.get("fe_page", 1) > pages:
        st.session_state["fe_page"] = 1  # from a longer list
    page = st.pagination(pages, key="fe_page") if pages > 1 else 1
    shown = feature_examples.taken(acts, np.arange((page - 1) * A_PAGE, min(page * A_PAGE, len(acts.act))))
    name = f"{subject.stem}-contexts"
    note = f"page {page} of {pages} · {note}"
    how |= {} if by == "activation" else {"by": by}
    chosen = "".join(f", {key}={value!r}" for key, value in how.items())
    told = {"whole": not pattern, "width": repr(width), "how": chosen}
    draw_contexts(subject, f"{kind} contexts", [("", shown)], width, note, name, acts, told)


def pool(subject: Subject, kind: str) -> tuple[FeatureActivations, dict[str, str | int]]:
    """Return what a list is made from, and how, where that is not as usual."""
    how = {} if kind == STRONGEST else {"kind": kind.lower(), "seed": seed()}
    drawn = how.get("seed", 0)
    return feature_examples.listed(kind.lower(), subject.acts, subject.passed.counted, seed=drawn), how


def searched(
    subject: Subject, acts: FeatureActivations, pattern: str, width: int | None
) -> tuple[FeatureActivations, str]:
    """Return the contexts that contain a pattern, and a sentence on how many they are."""
    tried = feature_examples.taken(acts, np.arange(min(MOST_SEARCHED, len(acts.act))))
    hits = feature_examples.matching(pattern, texts_of(subject, tried, width))
    what = f"first {len(tried.act):,} of {len(acts.act):,}" if len(tried.act) < len(acts.act) else f"{len(acts.act):,}"
    return feature_examples.taken(tried, hits), f"{len(hits):,} of {what} contexts match"


def texts_of(subject: Subject, shown: FeatureActivations, width: int | None) -> list[str]:
    return context_texts(subject.passed.model.decoder, subject.passed.sample.rows, shown, width=width)


def draw_contexts(
    subject: Subject,
    title: str,
    groups: Sequence[tuple[str, FeatureActivations]],
    width: int | None,
    note: str,
    name: str,
    whole: FeatureActivations | None = None,
    told: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """Draw groups of contexts, each under its head. The download holds `whole`, by default what is drawn."""
    passed, acts = subject.passed, subject.acts
    largest = float(np.abs(acts.act).max()) if len(acts.act) else 0.0

    def draw() -> None:
        for said, shown in groups:
            if said:
                st.markdown(f"**{plain(said)}**")
            made = contexts(passed.model.decoder, passed.sample.rows, acts, shown, width=width)
            passages = [passage(subject, one) for one in made]
            token_text.draw_passages(passages, largest=largest, one_line=width is not None)

    def table() -> pd.DataFrame:
        parts = [("", whole)] if whole is not None else groups
        tables = [
            context_table(
                passed.sample.rows,
                shown,
                texts_of(subject, shown, width),
                passed.model.token_strings,
                [said] * len(shown.act) if said else None,
            )
            for said, shown in parts
        ]
        return pd.concat(tables, ignore_index=True)

    figure(
        title,
        draw,
        table,
        explains=["text_activation", "activation_level" if len(groups) > 1 else "context_text"],
        note=subject.note(
            note, "shade: share of the largest activation · outline: the token that the context was chosen for"
        ),
        name=name,
        provenance=passed.provenance(feature=subject.feature),
        told=passed.told | told,
    )


def passage(subject: Subject, context: Context) -> Passage:
    """Turn a context into a passage: its activation in front, the facts of each token in a tooltip."""
    strings, left_out = subject.passed.model.token_strings, set(subject.passed.sample.left_out)
    titles = [
        f"{label(strings[token])}  id {token}\n{'not counted' if token in left_out else f'activation {act:.4g}'}"
        f"\nposition {position}, row {context.row}"
        for position, (token, act) in enumerate(zip(context.ids, context.acts, strict=True), context.start)
    ]
    head = f"{context.acts[context.center]:.3g}"
    return Passage(context.pieces, context.acts, titles, head, context.center)


def tokens(subject: Subject) -> None:
    """List the tokens on which it fires, and the share of their occurrences on which it does."""
    passed = subject.passed
    key = f"token counts {passed.name} {subject.feature}"
    table = compute.loaded().get(key, lambda: feature_examples.token_counts(subject.acts, passed.sample.rows))
    strings = passed.model.token_strings
    table = table.assign(token_label=[label(strings[token]) for token in table["token"].tolist()])
    order = ["token_label", "active_count", "share_of_token", "share_of_active", "mean_active", "largest_activation"]
    shown = table[order].head(MOST_LISTED)
    figure(
        "Tokens on which it fires",
        listing(shown, "fe-tokens", height=420),
        table,
        explains=["active_count", "share_of_token", "share_of_active", "strongest_token_share"],
        note=subject.note(f"{len(table):,} different tokens", f"{len(shown):,} shown", "not counted: context"),
        name=f"{subject.stem}-tokens",
        provenance=passed.provenance(feature=subject.feature),
        told=passed.told,
    )
    title = catalogue.statistic("share_of_token").title
    st.caption(plain(f"{title} 1: the token alone is enough. Lower: the feature also depends on the context."))
