"""The tabs By position and Deciles of the activations page, and what all its tabs share.

A view takes what was chosen for the page (the token pass, whether position 0 counts), gets tables from core and draws
figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
import streamlit as st

from core import catalogue
from core.activations import tables
from core.errors import CorpusError
from core.models.embeddings import SHUFFLED, TRAINED, ZERO
from core.models.language_model import LanguageModel
from ui.activations import charts
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import choose_feature_from
from ui.studies import first_text, token_pass
from ui.studies.token_pass import TokenPass

EMBEDDINGS = {"As trained": TRAINED, "Zero": ZERO, "Shuffled": SHUFFLED}
MOST_ROWS = 25_000
"""The most rows that a browser shows without a pause; the download has all."""
LEAST_ACTIVE = [1, 3, 10, 30, 100, 300]


@dataclass(frozen=True, eq=False)
class Chosen:
    """One token pass, and which of its tokens count."""

    passed: TokenPass
    with_first: bool

    @property
    def statistics(self):
        return self.passed.statistics

    @property
    def first(self) -> str:
        """The token at position 0."""
        return first_title(self.passed.sample.bos)

    @property
    def context_size(self) -> int | None:
        return self.passed.dictionary.config.context_size

    @cached_property
    def features(self) -> pd.DataFrame:
        return self.statistics.feature_table(with_first=self.with_first)

    @cached_property
    def deciles(self) -> pd.DataFrame:
        """Deciles of all features that are active on some token."""
        quantiles = token_pass.quantiles(self.passed, with_first=self.with_first)
        return tables.decile_table(self.features, quantiles)

    def note(self, *more: str) -> str:
        """Return the note of a figure: n, text, what is left out, and the state of the position embedding."""
        counted = f"{self.statistics.n_tokens(with_first=self.with_first):,} tokens"
        parts = [f"{counted}, {'with' if self.with_first else 'without'} {self.first}", self.passed.text]
        parts.append(f"d_sae {self.passed.dictionary.d_sae:,}")
        return " · ".join([*parts, *embedding_note(self.passed.model.wpe), *more])

    @property
    def provenance(self) -> dict:
        return self.passed.provenance(with_first=self.with_first)


def first_title(bos: bool) -> str:
    return "BOS (position 0)" if bos else "position 0"


def embedding_note(wpe: str) -> list[str]:
    """Return the state of the position embedding, if it is not as trained."""
    return {
        ZERO: ["position embedding set to zero"],
        SHUFFLED: ["rows of the position embedding shuffled, seed 0"],
    }.get(wpe, [])


def embedding(model: LanguageModel) -> str:
    """Pick the state of the position embedding, if the model has one."""
    if model.positions != "absolute":
        return TRAINED
    title = st.sidebar.selectbox(
        "Position embedding",
        list(EMBEDDINGS),
        key="act_wpe",
        bind="query-params",
        help="Zero: the model runs without its position embedding. Shuffled: the rows of the embedding are in a random "
        "order (seed 0). Each is another model and needs a token pass of its own.",
    )
    return EMBEDDINGS[title]


def count_first() -> bool:
    """Pick whether tokens at position 0 count."""
    return st.sidebar.toggle(
        "Count position 0",
        key="act_first",
        bind="query-params",
        help="Position 0 holds the first token of a row; that is BOS if rows begin with it. In deep layers its "
        "activations are tens of times larger than all others and hide them.",
    )


def chosen(wpe: str, with_first: bool) -> Chosen:
    """Return the pass of what was picked. Raises CorpusError if no token is left to count, and StillRunning."""
    passed = first_text.growing_pass(wpe=wpe)
    if not passed.statistics.n_tokens(with_first=with_first):
        raise CorpusError(
            f"No token counts: {passed.sample.note}, {'with' if with_first else 'without'} position 0. Expected at "
            "least one. Switch on Count position 0 in the sidebar, or choose longer rows."
        )
    return Chosen(passed, with_first)


def positions(view: Chosen) -> None:
    """Draw mean, spread and density of activations by position, and these numbers against each other."""
    log = st.toggle(
        "Log axis",
        key="act_log",
        bind="query-params",
        help="Makes the axes of means and standard deviations logarithmic.",
    )
    table = tables.position_curves(view.statistics, with_first=view.with_first)
    smoothed = table["smoothed_mean"].notna().any()
    said = f"orange: mean of {tables.WINDOW} positions" if smoothed else f"too short to smooth over {tables.WINDOW}"
    by_position(view, table, "mean_active", log=log, smooth="smoothed_mean", more=[said], height=300)
    left, right = st.columns(2, gap="medium")
    with left:
        by_position(view, table, "std_active", log=log)
        path(view, table, "mean_active", "std_active")
    with right:
        by_position(view, table, "active_share")
        path(view, table, "mean_active", "active_share")


def by_position(
    view: Chosen,
    table: pd.DataFrame,
    column: str,
    *,
    log: bool = False,
    smooth: str | None = None,
    more: list[str] | None = None,
    height: int = 220,
) -> None:
    """Draw one statistic of all non-zero activations against position."""
    title, n_pos = catalogue.statistic(column).title, view.statistics.n_pos
    chart = charts.by_position(
        table, column, n_pos=n_pos, title=title, log=log, smooth=smooth, context_size=view.context_size, height=height
    )
    hidden = int((table[column] <= 0).sum()) if log else 0
    figure(
        f"{title} by position",
        altair(chart, f"act-{column}"),
        table,
        explains=[column, *([smooth] if smooth else [])],
        note=view.note(
            "colour: position", *(more or []), *([f"{hidden} of 0 or less are not on the log axis"] if hidden else [])
        ),
        name=f"activations-{column.replace('_', '-')}-by-position",
        provenance=view.provenance,
        told=view.passed.told,
    )


def path(view: Chosen, table: pd.DataFrame, x: str, y: str) -> None:
    """Draw two statistics against each other, with positions in order."""
    titles = [catalogue.statistic(name).title for name in (x, y)]
    figure(
        f"{titles[1]} against {titles[0].lower()}",
        altair(charts.path(table, x, y, x_title=titles[0], y_title=titles[1]), f"act-path-{y}"),
        table,
        explains=[x, y],
        note=view.note("a dot for each position, a line from each to the next"),
        name=f"activations-path-{y.replace('_', '-')}",
        provenance=view.provenance,
        told=view.passed.told,
    )


def title_of(name: str) -> str:
    """Return the title of a column; deciles are named by their share."""
    share = name.removeprefix("decile_")
    if share == name:
        return catalogue.statistic(name).title
    return {"5": "Median", "10": "Largest"}.get(share, f"{share}0 %")


SORTS = {
    title_of(name): name
    for name in ("decile_5", "mean_active", "decile_10", "density", "active_tokens", "std_active", "feature")
}


def deciles(view: Chosen) -> None:
    """Draw the deciles of every feature's non-zero activations, as dots and as a table."""
    left, right = st.columns(2)
    sort = SORTS[left.selectbox("Sort features by", list(SORTS), key="act_sort", bind="query-params")]
    least = right.select_slider(
        "Active on at least",
        LEAST_ACTIVE,
        value=10,
        key="act_least",
        bind="query-params",
        help="The least number of tokens. Deciles of a few activations say little.",
    )
    table = view.deciles
    table = table[table["active_tokens"] >= least].sort_values([sort, "feature"], ignore_index=True)
    if table.empty:
        st.info(f"No feature is active on {least} tokens or more. Choose a smaller number, or more text.")
        return
    decile_plot(view, table, sort, least)
    below(table)
    decile_list(view, table, sort, least)


def decile_plot(view: Chosen, table: pd.DataFrame, sort: str, least: int) -> None:
    """Draw a column of ten dots for each feature. A click picks it."""
    marks = tables.decile_marks(table, sort)
    drawn = marks["feature"].nunique()
    hidden = int((marks["activation"] <= 0).sum())
    thinned = f"{drawn:,} of {len(table):,} features drawn" + (", evenly by rank" if drawn < len(table) else "")
    chart = charts.deciles(marks, sorted_by=title_of(sort), picked=picked_feature())
    figure(
        "Deciles of every feature's activations",
        altair(chart, "act-deciles", on_select=choose_feature_from("act-deciles", "point"), selection="point"),
        table,
        explains=["active_quantile"],
        note=view.note(
            f"features active on {least} tokens or more",
            thinned,
            *([f"{hidden:,} deciles of 0 or less are not on the log axis"] if hidden else []),
            "click a dot to pick its feature",
        ),
        name="activation-deciles",
        provenance=view.provenance,
        told=view.passed.told | {"least": least, "sort": sort},
    )


def below(table: pd.DataFrame) -> None:
    """Say how many features have a mean below their median."""
    count, n = tables.mean_below_median(table)
    share = f" ({count / n:.1%})" if n else ""
    st.metric(
        catalogue.statistic("mean_below_median").title,
        f"{count:,} of {n:,} features{share}",
        help=catalogue.help_text("mean_below_median"),
    )


def decile_list(view: Chosen, table: pd.DataFrame, sort: str, least: int) -> None:
    """List all deciles. A click on a row picks its feature."""
    shown = table.head(MOST_ROWS)
    cut = [f"the first {len(shown):,}; the download has all"] if len(shown) < len(table) else []
    figure(
        f"Deciles of {len(table):,} features",
        feature_rows(shown, "act-decile-table"),
        table,
        explains=["active_tokens", "density", "mean_active", "std_active", "active_quantile"],
        note=view.note(
            f"features active on {least} tokens or more, by {title_of(sort).lower()}",
            *cut,
            "click a row to pick its feature",
        ),
        name="activation-decile-table",
        provenance=view.provenance,
        told=view.passed.told | {"least": least, "sort": sort},
    )


def feature_rows(table: pd.DataFrame, key: str, *, height: int = 420) -> Callable:
    """Return a `draw` for a table of features. A click on a row picks one."""
    shares = [name for name in table if name.startswith("decile_")]
    config = {}
    for name in shares:
        config[name] = st.column_config.NumberColumn(
            title_of(name), help=catalogue.help_text("active_quantile"), format="%.4g"
        )
    return listing(table, key, config=config, height=height, picks="feature")
