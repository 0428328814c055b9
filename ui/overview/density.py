"""The tab Density: how often features fire on the picked text, and what distinguishes rarely active features."""

import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.overview import tables
from ui.overview import charts
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.picked_feature import picked_feature
from ui.shared.selection import choose_feature_from
from ui.sidebar import text_picker
from ui.studies import opened, token_pass
from ui.studies.token_pass import TokenPass

THRESHOLDS = [f"{digit}e{exponent}" for exponent in range(-8, -1) for digit in (1, 3)]
PAIRS = {
    "Density and bias": ("log_density", "encoder_bias", "encoder_decoder_cosine"),
    "Density and alignment": ("log_density", "encoder_decoder_cosine", "encoder_bias"),
    "Bias and alignment": ("encoder_bias", "encoder_decoder_cosine", "log_density"),
}
"""Which two of the three numbers are the axes of the chart; the third is the colour."""


def density(dictionary: Dictionary) -> None:
    """Show how often features fire on the picked text, and what distinguishes rarely active features."""
    text_picker.draw(dictionary, opened.model_of(dictionary))
    passed = token_pass.token_pass()
    left, middle, right = st.columns([4, 2, 2], vertical_alignment="bottom", gap="medium")
    chosen = left.select_slider(
        "Ultralow below",
        THRESHOLDS,
        "1e-6",  # as tables.ULTRALOW
        key="ultralow",
        bind="query-params",
        help=catalogue.help_text("ultralow"),
    )
    threshold = float(chosen)
    with_first = middle.toggle("Count position 0", True, key="density_first", bind="query-params")
    log = right.toggle("Logarithmic heights", key="density_log", bind="query-params")
    table = tables.density_table(passed.statistics, with_first=with_first)
    n_tokens = passed.statistics.n_tokens(with_first=with_first)
    counts(table, threshold, n_tokens)
    histogram(table, passed, threshold, n_tokens, log=log)
    separation(dictionary, table, passed)


def counts(table: pd.DataFrame, threshold: float, n_tokens: int) -> None:
    """Count features that are dead, ultralow and neither, and say what this many tokens can tell."""
    counts, unseen = tables.density_counts(table, threshold), tables.unseen_below(n_tokens)
    readings = {
        "Features that fire": (f"{counts['other'] + counts['ultralow']:,}", catalogue.help_text("active_tokens")),
        "Dead": (f"{counts['dead']:,}", catalogue.help_text("dead_share")),
        f"Ultralow, below {threshold:.0e}": (f"{counts['ultralow']:,}", catalogue.help_text("ultralow")),
        "Smallest density seen": (f"{unseen:.1e}", catalogue.help_text("unseen_below")),
    }
    cards = st.container(horizontal=True)
    for title, (value, text) in readings.items():
        cards.metric(title, value, border=True, help=text)
    if threshold < 1 / n_tokens:
        st.caption(
            plain(
                f"One token of {n_tokens:,} is a density of {1 / n_tokens:.1e}, so no feature that fires can be below "
                f"the threshold. A dead feature may have any density below {unseen:.1e}. More text tells more."
            )
        )


def histogram(table: pd.DataFrame, passed: TokenPass, threshold: float, n_tokens: int, *, log: bool) -> None:
    """Draw features by log10 density, with the threshold and the smallest density that this text can show."""
    unseen = tables.unseen_below(n_tokens)
    lines = {f"smallest density seen {unseen:.1e} (95 %)": unseen, f"ultralow below {threshold:.0e}": threshold}
    dead = int((table["density"] == 0).sum())
    chart = charts.density_histogram(table, lines, x_title=catalogue.statistic("log_density").title, log=log)
    figure(
        "How often features fire",
        altair(chart, "density-histogram"),
        table,
        explains=["density", "log_density", "dead_share", "ultralow", "unseen_below"],
        note=f"{passed.note} · {dead:,} of {len(table):,} features fire on no token and are not drawn · bins of 0.1",
        name="density",
        provenance=passed.provenance(),
        told=passed.told if n_tokens == passed.statistics.n_tokens() else {},
        finding=f"{dead:,} of {len(table):,} features fire on no token.",
    )


def separation(dictionary: Dictionary, densities: pd.DataFrame, passed: TokenPass) -> None:
    """Draw density, encoder bias and encoder-decoder cosine: two as axes and one as colour."""
    table = densities.merge(tables.weight_table(dictionary), on="feature")
    known = {name: pair for name, pair in PAIRS.items() if set(pair[:2]) <= set(table.columns)}
    if st.session_state.get("separation") not in known:
        st.session_state.pop("separation", None)  # from a dictionary that has all three
    chosen = st.segmented_control(
        "Axes", list(known), default=next(iter(known)), required=True, key="separation", bind="query-params"
    )
    x, y, colour = known[chosen]
    names = [name for name in ("log_density", "encoder_bias", "encoder_decoder_cosine") if name in table.columns]
    drawn = table.dropna(subset=[x, y])
    chart = charts.separation(
        drawn,
        x,
        y,
        colour if colour in table.columns else None,
        titles={name: catalogue.statistic(name).title for name in names},
        picked=picked_feature(),
    )
    key = "density-separation"
    figure(
        "What distinguishes rarely active features",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        table,
        explains=names,
        note=f"{len(drawn):,} features with both values · {passed.note} · ring: the picked feature · click a "
        "point to pick another",
        name="separation",
        provenance=passed.provenance(),
    )
