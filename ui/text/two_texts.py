"""The tab Two texts: which features differ between two texts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.text.difference import token_differences
from core.text.texts import units
from core.text.unit_difference import DRAWS, LEAST_UNITS, lowest_p, unit_differences
from core.work.artifacts import artifact_key
from ui.shared import token_text
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.shared.selection import choose_feature_from
from ui.studies import compute
from ui.text import charts as text_charts
from ui.text import examples as text_examples
from ui.text import input
from ui.text.input import Read, Reading
from ui.text.one_text import warn_of_unread

AUTOMATIC, TOKENS = "Automatic", "Tokens"
KINDS = {"Lines": "line", "Sentences": "sentence", "Documents": "document"}
LEVELS = {"q ≤ 0.01": 0.01, "q ≤ 0.05": 0.05, "q ≤ 0.2": 0.2, "All": 1.0}
ROWS_SHOWN = 6
NEAREST_SHOWN = 20
"""Features listed where none differs."""
BY_TOKENS = ["feature", "higher_in", "rank_biserial", "text_q", "mean_a", "mean_b", "rate_a", "rate_b"]
BY_UNITS = ["feature", "unit_higher_in", "unit_z", "unit_q", "family_p", "unit_mean_a", "unit_mean_b"]
BY_UNITS += ["units_a", "units_b", "rank_biserial"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """All features that are active in either text, the smallest p first."""

    table: pd.DataFrame
    q: str
    """The column of q, which decides whether a feature differs."""
    higher: str
    """The column that says in which text the feature is higher."""
    note: str

    @property
    def nbytes(self) -> int:
        return int(self.table.memory_usage(deep=True).sum())


def two_texts(dictionary: Dictionary, model: LanguageModel, how: Reading) -> None:
    """Draw which features differ between two texts. Raises LoupeError, and StillRunning meanwhile."""
    a, b = read_pair(dictionary, model, how, "own_a", "own_b", text_examples.TWO, titles=("Text A", "Text B"))
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    chosen = left.selectbox(
        "Units of the test",
        [AUTOMATIC, *KINDS, TOKENS],
        key="own_units",
        bind="query-params",
        help=f"The test compares units that should be independent of each other. Automatic: lines, if both texts have "
        f"at least {LEAST_UNITS} of them, else tokens.",
    )
    unit = _unit(a, b, chosen)
    level = right.segmented_control(
        "Show", list(LEVELS), default="q ≤ 0.05", required=True, key="own_level", bind="query-params"
    )
    comparison = _compare(a, b, unit)
    st.caption(plain(comparison.note))
    if len(comparison.table):
        suggest_feature(int(comparison.table["feature"].iloc[0]), "it differs most between the texts")
    called = _called(comparison, a, b, LEVELS[level])
    _table(comparison, called, level, a, b)
    _scatters(comparison, unit, a, b)
    _in_their_texts(a, b)


def read_pair(
    dictionary: Dictionary,
    model: LanguageModel,
    how: Reading,
    name_a: str,
    name_b: str,
    examples: Mapping[str, tuple[str, str]],
    *,
    titles: tuple[str, str],
    height: int = 200,
    aligned: bool = False,
) -> tuple[Read, Read]:
    """Draw two boxes with the examples that suit the tokenizer, and read their texts."""
    key, examples = f"{name_a}_example", input.suited_examples(model, examples, aligned=aligned)

    def take() -> None:
        if chosen := st.session_state[key]:
            input.take(dict(zip((name_a, name_b), examples[chosen], strict=True)))

    st.selectbox("Examples", list(examples), index=None, key=key, on_change=take, placeholder="Choose one", width=280)
    texts = []
    for column, name, title, default in zip(
        st.columns(2, gap="medium"), (name_a, name_b), titles, next(iter(examples.values())), strict=True
    ):
        with column:
            texts.append(input.offer(name, title, default, height=height))
    a, b = (input.read(dictionary, model, text, how, title) for text, title in zip(texts, titles, strict=True))
    warn_of_unread(a, b)
    return a, b


def _unit(a: Read, b: Read, chosen: str) -> str | None:
    """Return the unit of the test; None: tokens."""
    if chosen != AUTOMATIC:
        return KINDS.get(chosen)
    enough = all(units(read.text, "line").max() + 1 >= LEAST_UNITS for read in (a, b))
    return "line" if enough else None


def _compare(a: Read, b: Read, unit: str | None) -> Comparison:
    """Return the comparison by tokens, and by units if there are any, from memory or from a job."""
    split = [units(read.text, unit) for read in (a, b)] if unit else []
    parted = hashlib.sha256(b" ".join(part.astype("<i8").tobytes() for part in split)).hexdigest()
    key = artifact_key("text-difference", 1, a=a.key, b=b.key, unit=unit, units=parted)

    def work(progress) -> Comparison:
        table = token_differences(a.features.acts, b.features.acts, progress)
        if unit is None:
            table = _sorted(table, "text_p", "rank_biserial", BY_TOKENS)
            return Comparison(table, "text_q", "higher_in", _assumes_tokens(a, b))
        more = unit_differences(a.features, b.features, *split, progress=progress)
        table = _sorted(more.merge(table, on="feature", validate="1:1"), "unit_p", "unit_z", BY_UNITS)
        sizes = (int(part.max()) + 1 for part in split)
        return Comparison(table, "unit_q", "unit_higher_in", _assumes_units(unit, *sizes))

    return compute.transient(key, "Comparing two texts", work)


def _sorted(table: pd.DataFrame, p: str, effect: str, first: list[str]) -> pd.DataFrame:
    """Sort by p, then by the size of the effect, and put the most important columns first."""
    order = np.lexsort((table["feature"], -table[effect].abs(), table[p]))
    others = [name for name in table.columns if name not in first]
    return table.iloc[order].reset_index(drop=True)[[*first, *others]]


def _assumes_tokens(a: Read, b: Read) -> str:
    return (
        f"Mann-Whitney U over {a.features.n_tokens:,} tokens of A and {b.features.n_tokens:,} of B. The test assumes "
        f"that all tokens are independent. Neighbours in a text are not, so p and q are too small. Read the effect "
        f"sizes, or compare by lines if both texts have at least {LEAST_UNITS}."
    )


def _assumes_units(unit: str, n_a: int, n_b: int) -> str:
    return (
        f"Permutation test over {n_a:,} {unit}s of A and {n_b:,} of B. The test assumes that the {unit}s are "
        f"independent of each other, and counts each of them once. With so many {unit}s, p is at least "
        f"{lowest_p(n_a, n_b):.2g} (up to {DRAWS:,} draws, seed 0). Texts by one author or on one subject are not "
        "fully independent."
    )


def _called(comparison: Comparison, a: Read, b: Read, level: float) -> pd.DataFrame:
    called = comparison.table[comparison.table[comparison.q] <= level]
    counts = called[comparison.higher].value_counts()
    facts = {
        "Tokens in A": a.features.n_tokens,
        "Tokens in B": b.features.n_tokens,
        "Features tested": len(comparison.table),
        "Higher in A": int(counts.get("A", 0)),
        "Higher in B": int(counts.get("B", 0)),
    }
    cards = st.container(horizontal=True)
    for title, value in facts.items():
        cards.metric(title, f"{value:,}", border=True)
    return called


def _provenance(a: Read, b: Read, comparison: Comparison) -> dict:
    return a.provenance("two texts", text_b_sha256=b.text.sha256, reading_b=b.note, test=comparison.note)


def _table(comparison: Comparison, called: pd.DataFrame, level: str, a: Read, b: Read) -> None:
    table, counted = called, f"{len(called):,} of {len(comparison.table):,} features at {level}"
    if not len(called):
        lowest = comparison.table[comparison.q].min() if len(comparison.table) else float("nan")
        st.info(f"No feature differs at {level}; the smallest q is {lowest:.3g}.")
        if comparison.table.empty:
            return
        table = comparison.table.head(NEAREST_SHOWN)
        counted = f"none at {level}; the {len(table):,} features that come nearest to it"
    figure(
        "Features that differ" if len(called) else "Features that come nearest to differing",
        listing(table, "own-differ", height=380, picks="feature"),
        comparison.table,
        explains=[
            comparison.q,
            "rank_biserial",
            "text_auc",
            *(["unit_z", "family_p"] if comparison.q == "unit_q" else []),
        ],
        note=f"{counted}, click one to pick it, click a column to sort by it; the download holds all",
        name="two-texts-features",
        provenance=_provenance(a, b, comparison),
    )


def _scatters(comparison: Comparison, unit: str | None, a: Read, b: Read) -> None:
    called = np.where(
        comparison.table[comparison.q] <= 0.05,
        comparison.table[comparison.higher].map("q ≤ 0.05, higher in {}".format),
        "",
    )
    table = comparison.table.assign(called=np.where(called == "", "q > 0.05", called))
    means = ("unit_mean_a", "unit_mean_b") if unit else ("mean_a", "mean_b")
    effects = ("rank_biserial", "unit_z") if unit else ("rank_biserial", "minus_log10_p")
    titles = ("Mean in A against mean in B", "Effect size against p")
    for column, title, (x, y) in zip(st.columns(2, gap="medium"), titles, (means, effects), strict=True):
        key = f"own-scatter-{x}"
        chart = text_charts.grouped_scatter(
            table,
            x,
            y,
            x_title=catalogue.statistic(x).title,
            y_title=catalogue.statistic(y).title,
            group="called",
            select="point",
        )
        with column:
            figure(
                title,
                altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
                comparison.table,
                explains=[x, y],
                note=f"{len(table):,} features · click one to pick it",
                name=f"two-texts-{x}",
                provenance=_provenance(a, b, comparison),
            )


def _in_their_texts(a: Read, b: Read) -> None:
    """Draw both texts, shaded by the picked feature."""
    feature = picked_feature()
    shown, tables = [], []
    for name, read in (("A", a), ("B", b)):
        values = read.features.of_feature(feature)
        ends = np.flatnonzero(np.diff(read.features.row, append=-1)) + 1
        parts = [range(start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
        parts.sort(key=lambda part: -np.abs(values[part.start : part.stop]).max())
        shown.append([(read.pieces(part), values[part.start : part.stop].tolist()) for part in parts[:ROWS_SHOWN]])
        labels = read.labels(np.arange(len(values)))
        tables.append(pd.DataFrame({"example_group": name, "token_text": labels, "text_activation": values}))

    def draw() -> None:
        for column, name, texts in zip(st.columns(2, gap="medium"), "AB", shown, strict=True):
            with column:
                st.markdown(f"**{name}**")
                token_text.draw(texts)

    figure(
        f"Feature {feature} in both texts",
        draw,
        pd.concat(tables, ignore_index=True),
        explains=["text_activation"],
        note=f"up to {ROWS_SHOWN} rows of each text, strongest first; full colour is the largest activation of each "
        "text",
        name=f"two-texts-feature-{feature}",
        provenance=a.provenance("one feature in two texts", text_b_sha256=b.text.sha256, feature=feature),
    )
