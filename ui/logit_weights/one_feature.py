"""The tabs Weights of one feature and Moments by layer of the logit-weight page."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.logit_weights.classes import ClassThresholds, token_table
from core.logit_weights.series import box_table, percentile_table
from core.logit_weights.study import LogitStudy
from core.maths.summaries import box
from core.tables import with_settings
from ui.logit_weights import charts
from ui.shared import audit, distributions, errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.selection import choose_feature_from
from ui.sidebar import token_set_picker
from ui.studies import feature_map, logit_weights, token_sets

CARDS = ["logit_class", "logit_std", "skewness", "kurtosis", "logit_max", "logit_min"]


@dataclass(frozen=True)
class TokenSplit:
    """Tokens to colour in a histogram: a mask by token id, and the name of the set."""

    mask: np.ndarray
    title: str


def one_feature_by_set(study: LogitStudy, feature: int) -> None:
    """Draw the feature's logit weights, split by a token set."""
    chosen = token_set_picker.choose(study.model, "Split by token set", "lw_split")
    one_feature(study, feature, split_by(study, chosen.name))


def split_by(study: LogitStudy, name: str) -> TokenSplit | None:
    """Return the token set of this name as a mask over the vocabulary, None if there is no such set."""
    known = token_sets.sets(study.model)
    if name not in known.names:
        return None
    mask = np.zeros(study.model.d_vocab, bool)
    mask[known.named(name).tokens] = True
    return TokenSplit(mask, name)


def one_feature(study: LogitStudy, feature: int, split: TokenSplit | None = None) -> None:
    """Draw numbers, histogram and extreme tokens of one feature's logit weights."""
    row = study.table.iloc[feature]
    cards = st.container(horizontal=True)
    for name in CARDS:
        value = row[name] if isinstance(row[name], str) else "n/a" if pd.isna(row[name]) else f"{row[name]:.4g}"
        cards.metric(catalogue.statistic(name).title, value, border=True, help=plain(catalogue.help_text(name)))
    about = with_settings(study.provenance, feature=feature)
    audit.beside_cards(cards, row[CARDS].to_dict(), f"logit-feature-{feature}-numbers", about)
    if study.stats.constant[feature]:
        st.info(
            f"Feature {feature} gives every token the same logit weight ({row['logit_mean']:.4g}): its decoder row is "
            "zero, or the final norm removes all that it writes. There is nothing to sort. Choose another feature.",
            icon=":material/block:",
        )
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        weight_histogram(study, feature, split)
    with right:
        for end, words in (("top", "promoted"), ("bottom", "suppressed")):
            extreme_tokens(study, feature, end, words, split)


def weight_histogram(study: LogitStudy, feature: int, split: TokenSplit | None) -> None:
    """Draw all logit weights of one feature, inside and outside a token set, with a box for each."""
    weights, tokens = logit_weights.full_weights(study, feature), logit_weights.processed_unembedding(study).tokens
    inside = split.mask[tokens] if split is not None else np.ones(len(tokens), bool)
    groups = {split.title if split is not None else "all tokens": weights[inside]}
    if split is not None:
        groups["other tokens"] = weights[~inside]
    groups = {name: values for name, values in groups.items() if len(values)}
    table = charts.binned(groups, 120)
    names = ["low", "q1", "median", "q3", "high", "n", "n_outside"]
    boxes = pd.DataFrame(
        [(name, *box(values.astype(float))) for name, values in groups.items()], columns=["series", *names]
    )
    domain = [float(table["low"].min()), float(table["high"].max())]
    width = charts.AXIS_WIDTH

    def draw() -> None:
        strip = charts.marginal_boxes(boxes, domain=domain, axis_width=width)
        altair(strip, "lw-feature-boxes")()
        chart = charts.overlaid(
            table, title="Logit weight", y_title="Tokens", axis_width=width, height=300, legend="bottom", domain=domain
        )
        altair(chart, "lw-feature")()

    said = [f"{name}: {len(values):,}" for name, values in groups.items()] if split is not None else []
    figure(
        f"Logit weights of feature {feature}",
        draw,
        table,
        explains=["logit_weight"],
        note=study.note(
            *said,
            "120 bins, log counts, linear near 0",
            "box: quartiles; whiskers: to the last value within 1.5 interquartile ranges",
        ),
        name=f"logit-feature-{feature}",
        provenance=with_settings(study.provenance, feature=feature),
        finding="; ".join(
            f"{name}: median {median:.3g}, half between {q1:.3g} and {q3:.3g}"
            for name, q1, median, q3 in boxes[["series", "q1", "median", "q3"]].itertuples(index=False)
        ),
    )


def extreme_tokens(study: LogitStudy, feature: int, end: str, words: str, split: TokenSplit | None) -> None:
    """List the tokens at one end, the most extreme first."""
    table = token_table(study.stats, feature, study.model.token_strings, end=end)
    if split is not None:
        table = table.assign(in_set=split.mask[table["token"].to_numpy()])
    figure(
        f"Most {words} tokens",
        listing(table, f"lw-{end}-tokens", height=212),
        table,
        explains=[f"{end}_token", "logit_weight"],
        note=study.note(f"feature {feature}"),
        name=f"logit-feature-{feature}-{end}",
        provenance=with_settings(study.provenance, feature=feature),
    )


def layers(study: LogitStudy) -> None:
    """Draw how shapes change from layer to layer, if there is a series of dictionaries."""
    listed = feature_map.series(study.dictionary.id)
    if len(listed) < 2:
        feature_map.say_no_series()
        return
    studies: dict[str, LogitStudy] = {}
    for name, entry in listed.items():
        with errors.shown():
            other = logit_weights.logit_study(study.settings, entry.id)
            if other.model.sha256 == study.model.sha256:
                studies[name] = other
    if not studies:
        return
    note = f"{len(studies)} dictionaries: {', '.join(s.dictionary.title for s in studies.values())}"
    percentiles(study, studies, note)
    boxes(study, studies, note)
    layer_scatter(study, studies, note)


def percentiles(study: LogitStudy, studies: dict[str, LogitStudy], note: str) -> None:
    """Draw percentiles of skewness and kurtosis over features, by layer."""
    table = percentile_table({name: other.stats for name, other in studies.items()})
    for column, name in zip(st.columns(2, gap="medium"), ("skewness", "kurtosis"), strict=True):
        part, title = table[table["statistic"] == name], catalogue.statistic(name).title
        with column:
            figure(
                f"{title} by layer",
                altair(charts.percentile_areas(part, title=title, log=name == "kurtosis"), f"lw-areas-{name}"),
                part,
                explains=[name],
                note=study.note(note, "line: median; bands: 25–75, 10–90, 5–95 and 1–99 % of features"),
                name=f"logit-{name}-by-layer",
                provenance=study.provenance,
            )


def boxes(study: LogitStudy, studies: dict[str, LogitStudy], note: str) -> None:
    """Draw box plots of skewness and kurtosis by layer."""
    table = box_table({name: other.stats for name, other in studies.items()})
    for column, name in zip(st.columns(2, gap="medium"), ("skewness", "kurtosis"), strict=True):
        part, title = table[table["statistic"] == name], catalogue.statistic(name).title
        with column:
            figure(
                f"{title} by layer, quartiles",
                altair(distributions.layer_boxes(part, title=title, log=name == "kurtosis"), f"lw-boxes-{name}"),
                part,
                explains=[name],
                note=study.note(note, "whiskers: to the last value within 1.5 interquartile ranges"),
                name=f"logit-{name}-boxes",
                provenance=study.provenance,
            )


def layer_scatter(picked: LogitStudy, studies: dict[str, LogitStudy], note: str) -> None:
    """Draw the scatter of one layer at a time, on axes that all layers share."""
    names = list(studies)
    own = next((name for name in names if studies[name].dictionary.id == picked.dictionary.id), names[0])
    if st.session_state.get("lw_layer", own) not in names:
        del st.session_state["lw_layer"]  # from a series of other layers
    name = st.select_slider("Layer", names, own, key="lw_layer", bind="query-params") if len(names) > 1 else own
    shown = studies[name]
    thresholds = ClassThresholds()
    shapes = pd.concat([other.table[["skewness", "kurtosis"]] for other in studies.values()]).dropna()
    domains = {column: (shapes[column].min(), shapes[column].max()) for column in shapes} if len(shapes) else {}
    drawn = shown.table[~shown.stats.constant]
    chart = charts.shape_scatter(
        drawn,
        y="kurtosis",
        y_title="Kurtosis",
        colour="logit_class",
        colour_title=catalogue.statistic("logit_class").title,
        borders={"kurtosis": (thresholds.flat, thresholds.peaked)},
        domains=domains,
        brush=False,
    )
    # A click picks nothing here, because a feature of another layer is no feature of the picked dictionary.
    click = {"on_select": choose_feature_from("lw-layer-scatter", "point"), "selection": "point"}
    click = click if name == own else {}
    figure(
        f"Skewness and kurtosis in layer {name}",
        altair(chart, "lw-layer-scatter", **click),
        shown.table,
        explains=["skewness", "kurtosis", "logit_class"],
        note=shown.note(
            note, f"{len(drawn):,} features with a shape", "all layers share these axes", "default borders"
        ),
        name=f"logit-shapes-layer-{name.replace(' ', '-')}",
        provenance=shown.provenance,
    )
