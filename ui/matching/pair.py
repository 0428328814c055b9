"""The tab Pair: two features side by side, and how similar they are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue, tables
from core.corpus.streams import rows_sha256
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError, LoupeError, OutOfRangeError
from core.logit_weights.classes import token_table
from core.logit_weights.study import LogitStudy
from core.logit_weights.unembedding import LogitSettings, source_key
from core.matching.two_features import PairActivations, correlation, drawn, logit_weight_table, pair_cosine
from core.models.search import check_same_tokens
from core.models.tokens import label
from ui.matching.pair_charts import pair_scatter
from ui.shared import errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.sidebar import token_set_picker
from ui.studies import compute, geometry, logit_weights, matching_pair, opened
from ui.studies.feature_columns import COLUMNS

SHAPE = ("logit_std", "skewness", "kurtosis", "nearest_cosine")
ON_TEXT = ("density", "position_score", "peak")
N_TOKENS = 10
"""The number of tokens at each end of a feature's logit weights."""


@dataclass(frozen=True)
class Half:
    """One of the two features."""

    name: str
    """A or B."""
    dictionary: Dictionary
    feature: int
    study: LogitStudy | None
    """None if the model of the dictionary is missing."""

    @property
    def title(self) -> str:
        return f"feature {self.feature} of {self.dictionary.title}"

    def weights(self) -> np.ndarray:
        """Return its logit weight on every token of the vocabulary, kept in memory."""
        study = self.study
        assert study is not None
        source = source_key(study.model, study.settings), sorted(study.settings.as_inputs().items())
        key = f"logit weights of {self.feature} {self.dictionary.sha256} {source}"
        return compute.loaded().get(key, lambda: logit_weights.full_weights(study, self.feature))


def pair(a: Dictionary, b: Dictionary, feature_a: int, feature_b: int) -> None:
    """Draw two features side by side.

    Raises OutOfRangeError for a feature that does not exist, and StillRunning while jobs run.
    """
    more = st.toggle(
        "Density and position",
        key="match_pair_more",
        bind="query-params",
        help="Counts on text how often each feature fires, and where in a row. The first time takes a while; the "
        "result is kept.",
    )
    halves = half("A", a, feature_a), half("B", b, feature_b)
    for column, one in zip(st.columns(2, gap="medium"), halves, strict=True):
        with column:
            card(one, (*SHAPE, *(ON_TEXT if more else ())))
    left, right = st.columns(2, gap="medium")
    with left, errors.shown():
        by_weights(*halves)
    with right, errors.shown():
        by_activations(*halves)


def half(name: str, dictionary: Dictionary, feature: int) -> Half:
    """Open one of the two. A warning says why it has no logit weights."""
    if not 0 <= feature < dictionary.d_sae:
        raise OutOfRangeError(f"Feature of {name}", feature, dictionary.d_sae)
    try:
        return Half(name, dictionary, feature, logit_weights.logit_study(LogitSettings(), dictionary.id))
    except LoupeError as error:
        st.warning(plain(f"No logit weights of {dictionary.title}: {error}"), icon=":material/warning:")
        return Half(name, dictionary, feature, None)


def card(half: Half, names: tuple[str, ...]) -> None:
    """Draw one feature: its numbers, its nearest in its own dictionary, the tokens at each end."""
    with st.container(border=True):
        st.markdown(f"**{half.name}: {plain(half.title)}**")
        with st.container(horizontal=True):
            for name in names:
                value, reason = number(half, name)
                text = f"{catalogue.help_text(name)} {reason}".strip()
                st.metric(catalogue.statistic(name).title, value, help=plain(text), width="content")
        if half.dictionary.d_sae > 1:
            nearest = int(geometry.neighbors(half.dictionary.id).idx[half.feature, 0])
            st.caption("" if nearest < 0 else f"Nearest in its own dictionary: feature {nearest}")
    if half.study is not None:
        tokens(half, half.study)


def number(half: Half, name: str) -> tuple[str, str]:
    """Return one number of a feature as text (n/a if the dictionary has none) and the reason if it is missing."""
    try:
        if name in COLUMNS:
            value = COLUMNS[name].values(half.dictionary.id)[half.feature]
        else:
            value = np.nan if half.study is None else half.study.table[name].iloc[half.feature]
    except LoupeError as error:
        return "n/a", str(error)
    return ("n/a" if np.isnan(value) else f"{value:.4g}"), ""


def tokens(half: Half, study: LogitStudy) -> None:
    """List the tokens that a feature promotes and suppresses most."""
    ends = {"promoted": "top", "suppressed": "bottom"}
    parts = [
        token_table(study.stats, half.feature, study.model.token_strings, end=end).assign(direction=words)[:N_TOKENS]
        for words, end in ends.items()
    ]
    table = pd.concat(parts, ignore_index=True)[["direction", "token_label", "logit_weight"]]
    if study.stats.constant[half.feature]:
        st.info(plain(f"{half.title} gives every token the same logit weight, so there is nothing to sort."))
        return
    figure(
        f"Tokens of feature {half.feature} of {half.name}",
        listing(table, f"match-pair-tokens-{half.name}", height=300),
        table,
        explains=["direction", "logit_weight"],
        note=study.note(f"the {N_TOKENS} tokens at each end"),
        name=f"pair-{half.name}-{half.feature}-tokens",
        provenance=study.provenance,
    )


def by_weights(a: Half, b: Half) -> None:
    """Draw cosines of the two, and their logit weights against each other."""
    readings = {"decoder_cosine": cosine(a, b, "decoder"), "encoder_cosine": cosine(a, b, "encoder")}
    if a.study is None or b.study is None:
        metrics(readings)
        return
    check_same_tokens(a.study.model, b.study.model)
    table = logit_weight_table(a.weights(), b.weights())
    both = table["logit_weight_a"].to_numpy(), table["logit_weight_b"].to_numpy()
    metrics(readings | {"pair_logit_correlation": correlation(*both)})
    weights_scatter(a, b, table, a.study)


def weights_scatter(a: Half, b: Half, table: pd.DataFrame, study: LogitStudy) -> None:
    """Draw one point for each token, by its logit weights in the two features."""
    texts = study.model.token_strings
    chosen = token_set_picker.choose(study.model, "Colour by token set", "match_tokens")
    table.insert(1, "in_set", np.isin(table["token"], chosen.tokens))
    shown = drawn(table, "logit_weight_a", "logit_weight_b")
    shown = shown.assign(
        group=np.where(shown["in_set"], chosen.name, "other tokens"),
        text=[label(texts[token]) for token in shown["token"]],
    )
    names = ["logit_weight_a", "logit_weight_b"]
    titles = axis_titles(names, (a, b))
    chart = pair_scatter(shown, *names, titles=titles, groups=[chosen.name, "other tokens"], text="text")
    figure(
        "Logit weights against each other",
        altair(chart, "match-pair-weights"),
        lambda: table.assign(token_label=[label(texts[token]) for token in table["token"]]),
        explains=["pair_logit_correlation", *names],
        note=" · ".join(
            [*drawn_note(shown, table), study.settings.describe(study.model), "ticks on the axes: one for each point"]
        ),
        name=f"pair-{a.feature}-{b.feature}-logit-weights",
        provenance=provenance(a, b, study),
    )


def by_activations(a: Half, b: Half) -> None:
    """Draw the activations of the two features on one text against each other."""
    if not st.toggle(
        "Compare on text",
        key="match_pair_text",
        bind="query-params",
        help="Runs both dictionaries over the same text, once for all pairs. The first time takes a while; the result "
        "is kept.",
    ):
        st.info(
            "The two features can also be compared by the tokens on which they fire.", icon=":material/text_fields:"
        )
        return
    acts, text = matching_pair.activations(a.dictionary, b.dictionary, a.feature, b.feature)
    readings = {"activation_correlation": acts.correlation, "pair_masked_cosine": acts.masked_cosine}
    if a.study is not None and b.study is not None:
        readings["pair_attribution_correlation"] = acts.attribution_correlation(a.weights(), b.weights())
    metrics(readings)
    if not len(acts.row):
        st.info(f"Neither feature fires on any of {acts.rows.size:,} tokens.", icon=":material/do_not_disturb_on:")
        return
    activation_scatter(a, b, acts, text)


def activation_scatter(a: Half, b: Half, acts: PairActivations, text: str) -> None:
    """Draw one point for each token on which at least one of the two is active."""
    model = opened.model_of(a.dictionary)
    names = ["activation_a", "activation_b"]
    columns_of = {"position": acts.position, "token": acts.token, "activation_a": acts.a, "activation_b": acts.b}
    table = pd.DataFrame(columns_of)
    shown = drawn(table, *names)
    shown = shown.assign(text=[context(acts, place, model.token_strings) for place in shown.index])
    titles = axis_titles(names, (a, b))
    both = int(((acts.a != 0) & (acts.b != 0)).sum())
    figure(
        "Activations against each other",
        altair(pair_scatter(shown, *names, titles=titles, text="text"), "match-pair-activations"),
        lambda: table.assign(token_label=[label(model.token_strings[token]) for token in table["token"]]),
        explains=["activation_correlation", "pair_masked_cosine", "pair_attribution_correlation", *names],
        note=" · ".join(
            [
                f"{acts.rows.size:,} tokens: {text}",
                f"A fires on {int((acts.a != 0).sum()):,}, B on {int((acts.b != 0).sum()):,}, both on {both:,}",
                *drawn_note(shown, table),
                "tokens on which neither fires are not drawn, but the correlations count them",
            ]
        ),
        name=f"pair-{a.feature}-{b.feature}-activations",
        provenance=tables.provenance(
            dictionary=[a.dictionary, b.dictionary],
            model=model,
            method="activations of a pair on text",
            settings={"feature_a": a.feature, "feature_b": b.feature, "n_tokens": acts.rows.size}
            | {"text": text, "rows_sha256": rows_sha256(acts.rows)},
        ),
    )


def context(acts: PairActivations, place: int, texts: list[str], *, before: int = 8) -> str:
    """Return the token at a point, after the tokens before it in the row."""
    row, position = acts.rows[acts.row[place]], int(acts.position[place])
    words = [texts[token] for token in row[max(0, position - before) : position]]
    return f"{label(texts[row[position]])} after {label(''.join(words))}" if words else label(texts[row[position]])


def cosine(a: Half, b: Half, side: str) -> float | None:
    """Return the cosine of the two on one side, or None if their spaces differ."""
    try:
        return pair_cosine(a.dictionary, b.dictionary, a.feature, b.feature, side)
    except DoesNotFitError:
        return None


def metrics(readings: dict[str, float | None]) -> None:
    """Draw numbers of the pair in a row."""
    with st.container(horizontal=True):
        for name, value in readings.items():
            shown = "n/a" if value is None else f"{value:.3f}"
            help = plain(catalogue.help_text(name))
            st.metric(catalogue.statistic(name).title, shown, border=True, help=help, width="content")


def axis_titles(names: list[str], halves: tuple[Half, Half]) -> list[str]:
    return [
        f"{catalogue.statistic(name).title}, feature {half.feature}" for name, half in zip(names, halves, strict=True)
    ]


def drawn_note(shown: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    if len(shown) == len(table):
        return [f"{len(table):,} tokens"]
    return [f"{len(shown):,} of {len(table):,} tokens drawn: those farthest out and a random sample (seed 0)"]


def provenance(a: Half, b: Half, study: LogitStudy) -> dict:
    return tables.provenance(
        dictionary=[a.dictionary, b.dictionary],
        model=study.model,
        method="logit weights of a pair",
        settings=study.settings.done_to(study.model).as_inputs() | {"feature_a": a.feature, "feature_b": b.feature},
    )
