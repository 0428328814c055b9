"""The tab Proxies: is this the Base64 feature, the Arabic feature, or the feature of your own pattern?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.activations.store import FeatureActivations
from core.feature.contexts import context_table, context_texts, contexts
from core.proxies import tables
from core.proxies.disagreements import active_without, silent_hits
from core.proxies.library import Proxy
from core.proxies.tables import FeatureProxy, feature_proxy
from ui.feature import proxy_charts
from ui.feature.examples import passage
from ui.shared import errors, token_text
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.studies import proxies as proxies_studies
from ui.studies.feature import Subject

EXAMPLES, EITHER_SIDE, RANKED = 8, 12, 100
CARDS = ["proxy_base_rate", "proxy_specificity", "proxy_sensitivity", "proxy_weight", "proxy_correlation"]
PERCENT = 4
"""This many of the cards are shares."""
HITS, RATIOS = "Hits", "Log-likelihood ratio"


@dataclass(frozen=True, eq=False)
class _View:
    """What all figures of the tab need."""

    subject: Subject
    proxy: Proxy
    pair: FeatureProxy

    def figure(self, title: str, draw: Callable, table, explains: Sequence[str], name: str, *notes: str) -> None:
        rule = self.proxy.rule
        said = f"{self.proxy.title}: {rule}, over {self.pair.threshold:g} nats" if self.proxy.is_ratio else rule
        provenance = {"proxy": self.proxy.name, "rule": rule, "threshold": self.pair.threshold}
        figure(
            title,
            draw,
            table,
            explains=explains,
            note=self.subject.note(said, *notes),
            name=f"{self.subject.stem}-proxy-{name}",
            provenance=self.subject.passed.provenance(feature=self.subject.feature, **provenance),
        )


def proxies(subject: Subject) -> None:
    """Draw the tab: a picker of proxies, how the feature agrees with the proxy, and which features agree best."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        proxy = proxies_studies.choose()
        threshold = proxies_studies.choose_threshold(proxy) if proxy is not None else 0.0
    if proxy is None:
        st.info("Type a regular expression, such as a word or a class of characters.", icon=":material/search:")
        return
    value = proxies_studies.values(subject.passed, proxy)
    pair = feature_proxy(subject.acts, value, subject.passed.counted, threshold=threshold)
    view = _View(subject, proxy, pair)
    if not pair.hits.any():
        _no_hits(view)
        return
    cards(view)
    if proxy.is_ratio:
        left, right = st.columns([3, 2], gap="medium")
        with right:
            sensitivity(view)
    else:
        left = st.container()
    with left, errors.shown():
        ranked(view)
    if pair.active.any():
        by_activation(view)
        disagreements(view)
    else:
        st.info(plain(f"{subject.title} is active on no token of this text, so there is nothing to compare."))


def _no_hits(view: _View) -> None:
    """Say that the text has no hit, and how large the largest ratio is."""
    largest = float(view.pair.values.max()) if len(view.pair.values) else -np.inf
    near = f" The largest ratio is {largest:.2f} nats. Lower the threshold, or" if np.isfinite(largest) else ""
    near = f"{near or ' Choose another proxy, or'} choose another text." if view.proxy.is_ratio else ""
    said = f"over {view.pair.threshold:g} nats" if view.proxy.is_ratio else "found"
    st.info(
        plain(f"{view.proxy.title} is {said} on none of the {len(view.pair.f):,} tokens of this text.{near}"),
        icon=":material/search_off:",
    )


def cards(view: _View) -> None:
    """Draw how feature and proxy agree, in numbers."""
    numbers = view.pair.numbers()
    names = [*CARDS, *(["proxy_excess_correlation"] if view.proxy.is_ratio else [])]
    row = st.container(horizontal=True)
    for place, name in enumerate(names):
        number = numbers[name]
        said = "n/a" if np.isnan(number) else f"{number:.3g}" if place >= PERCENT else f"{100 * number:.3g} %"
        title = plain(catalogue.statistic(name).title)
        row.metric(title, said, border=True, help=plain(catalogue.help_text(name)))


def by_activation(view: _View) -> None:
    """Draw what the feature's tokens are at each level of activation."""
    names, number, measure = _split(view)
    table = tables.class_table(view.pair, names, number)
    n = f"{int(view.pair.active.sum()):,} active tokens"
    left, right = st.columns(2, gap="medium")
    with left:
        draw = altair(proxy_charts.by_class(table, names, measure), "fe-proxy-classes")
        counts = ["proxy_class_tokens", "proxy_class_share", "proxy_class", "proxy_value"]
        view.figure("Activations by what the proxy says", draw, table, counts, "classes", n)
        bins = tables.bin_table(view.pair)
        draw = altair(proxy_charts.specificity(bins, float(view.pair.hits.mean())), "fe-proxy-specificity")
        explains = ["proxy_specificity", "proxy_specificity_low", "proxy_base_rate"]
        view.figure("Specificity by activation", draw, bins, explains, "specificity", n, "bars: 95 % intervals")
    with right:
        draw = altair(proxy_charts.expected_value(table, names), "fe-proxy-expected")
        explains = ["proxy_class_activation", "proxy_weight"]
        view.figure("Summed activation by what the proxy says", draw, table, explains, "expected", n)
        steps = tables.threshold_table(view.pair)
        draw = altair(proxy_charts.cutoffs(steps), "fe-proxy-cutoffs")
        explains = ["proxy_specificity", "proxy_sensitivity", "proxy_cutoff"]
        view.figure("If only activations from x on count", draw, steps, explains, "cutoffs", n)


def _split(view: _View) -> tuple[list[str], np.ndarray, str]:
    """Pick the colours of the histogram, and its y axis."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = HITS
        if view.proxy.is_ratio:
            by = st.segmented_control(
                "Coloured by", [HITS, RATIOS], default=HITS, required=True, key="fe_proxy_by", bind="query-params"
            )
        measure = st.segmented_control(
            "Height",
            [proxy_charts.TOKENS, proxy_charts.LOG, proxy_charts.SHARE],
            default=proxy_charts.TOKENS,
            required=True,
            key="fe_proxy_height",
            bind="query-params",
            help="Log draws one line for each class, because stacked heights cannot be read on a log axis.",
        )
    names, number = (tables.hit_classes if by == HITS else tables.ratio_classes)(view.pair)
    return names, number, measure


def sensitivity(view: _View) -> None:
    """Draw on which share of tokens the feature is active, by ratio."""
    table = tables.sensitivity_table(view.pair)
    draw = altair(proxy_charts.by_ratio(table, view.pair.threshold), "fe-proxy-sensitivity")
    explains = ["proxy_active_share", "proxy_active_share_low", "proxy_value"]
    n = f"{int(table['proxy_value_tokens'].sum()):,} tokens with a ratio"
    view.figure("Sensitivity by ratio", draw, table, explains, "sensitivity", n, "bars: 95 % intervals")


def ranked(view: _View) -> None:
    """List the features that agree best with the proxy. A row picks its feature."""
    if view.subject.own:
        st.caption("Your own direction stands in for a feature. Go back to the dictionary to rank its features.")
        return
    table = proxies_studies.ranking(view.subject.passed, view.proxy, view.pair.threshold)
    shown = table.head(RANKED)
    place = np.flatnonzero(table["feature"] == view.subject.feature)
    mine = f"feature {view.subject.feature} is number {place[0] + 1:,}" if len(place) else "this one is never active"
    key = f"fe-proxy-ranked-{view.proxy.name}"
    view.figure(
        f"Features that agree with {view.proxy.title}",
        listing(shown, key, height=290, picks="feature"),
        table,
        ["proxy_correlation", "proxy_specificity", "proxy_sensitivity", "proxy_lift"],
        "features",
        f"first {len(shown):,} of {len(table):,} active features, by correlation",
        mine,
        "click a row to pick its feature",
    )


def disagreements(view: _View) -> None:
    """Draw tokens on which feature and proxy disagree, either way."""
    left, right = st.columns(2, gap="medium")
    with left:
        places = active_without(view.pair, n=EXAMPLES)
        _examples(view, "Active, but no hit of the proxy", places, "active-no-hit", "the strongest, one for each row")
    with right:
        places = silent_hits(view.pair, n=EXAMPLES)
        _examples(
            view,
            "A hit of the proxy, but silent",
            places,
            "hit-silent",
            "the hits with the largest ratios, one for each row; ties at random",
        )


def _examples(view: _View, title: str, places: tuple[np.ndarray, np.ndarray], name: str, note: str) -> None:
    (row, position), passed = places, view.subject.passed
    if not len(row):
        st.info(f"{title}: no such token.", icon=":material/check:")
        return
    shown = FeatureActivations(row, position, view.pair.act[row, position])
    values, model, rows = view.pair.value[row, position], passed.model, passed.sample.rows

    def draw() -> None:
        made = contexts(model.decoder, rows, view.subject.acts, shown, width=EITHER_SIDE)
        drawn = [passage(view.subject, one) for one in made]
        if view.proxy.is_ratio:
            said = zip(shown.act, values, strict=True)
            heads = [f"{act:.3g} · {value:.3g} nats" for act, value in said]
            drawn = [replace(one, head=head) for one, head in zip(drawn, heads, strict=True)]
        token_text.draw_passages(drawn, largest=float(np.abs(view.pair.act).max()))

    def table() -> pd.DataFrame:
        texts = context_texts(model.decoder, rows, shown, width=EITHER_SIDE)
        return context_table(rows, shown, texts, model.token_strings).assign(proxy_value=values.astype(float))

    shade = "shade: activation · outline: the token that this context is about"
    view.figure(title, draw, table, ["text_activation", "proxy_value"], name, note, shade)
