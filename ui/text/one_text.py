"""The tab One text: its tokens, and the features that are active on them."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.corpus.unread import READ_WHOLE
from core.dictionaries.dictionary import Dictionary
from core.errors import LoupeError
from core.models.language_model import LanguageModel
from core.models.tokens import label
from core.text import features as text_features
from ui.shared.charts import MAX_CELLS
from ui.shared.errors import NotStored
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, is_dark, listing
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.shared.selection import choose_feature_from
from ui.sidebar import pickers
from ui.studies import compute, token_pass
from ui.text import charts, input
from ui.text import examples as text_examples
from ui.text.input import Read, Reading

SHARES = ("largest_share", "share_weighted")
SHADES = {"Picked feature": "text_activation", "Features on the token": "token_l0", "Error": "token_error_share"}
MOST_FEATURES = 40


def one_text(dictionary: Dictionary, model: LanguageModel, how: Reading) -> None:
    """Draw everything about one text. Raises LoupeError, and StillRunning while the text is read."""
    texts = _input(model)
    read = input.read(dictionary, model, texts, how, "Your text")
    warn_of_unread(read)
    token, by, over = _choices(read)
    largest, sample = _largest(needed=by in SHARES or over in SHARES)
    features = text_features.ranked(text_features.feature_table(read.features, largest), over)
    tokens = text_features.token_table(read.features, read.labels(np.arange(read.features.n_tokens)))
    _facts(read)
    if not features.empty:
        suggest_feature(int(features["feature"].iloc[0]), f"it comes first by “{catalogue.statistic(over).title}”")
    _strip(read, tokens, token)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        _on_token(read, token, by, largest, sample)
    with right:
        _over_text(read, features, over, sample)
    _cells(read, features["feature"].tolist(), token, over)
    left, right = st.columns(2, gap="medium")
    with left:
        _line(read, tokens, "token_l0", token)
    with right:
        _line(read, tokens, "token_error_share", token)


def _input(model: LanguageModel) -> tuple[str, ...]:
    suited = input.suited_examples(model, {name: (text,) for name, text in text_examples.ONE.items()})
    examples = {name: text for name, (text,) in suited.items()}

    def take() -> None:
        if chosen := st.session_state["own_example"]:
            input.take({"own": examples[chosen]})

    left, right = st.columns([4, 1], gap="medium")
    right.selectbox("Examples", list(examples), index=None, key="own_example", on_change=take, placeholder="Choose one")
    with left:
        return input.offer("own", "Your text", next(iter(examples.values())))


def warn_of_unread(*reads: Read) -> None:
    """Say what the tokenizer does not know, and what it drops or changes."""
    if said := sum((read.text.unread for read in reads), READ_WHOLE).sentence:
        st.warning(plain(said), icon=":material/warning:")


def _choices(read: Read) -> tuple[int, str, str]:
    """Pick a token, and what features are ranked by: on the token, and over the text."""
    place, on_token, over_text = st.columns([1, 2, 3], gap="medium", vertical_alignment="bottom")
    with place:
        token = pickers.number("Token", "own_token", read.features.n_tokens, help="Or click one below.")
    with on_token:
        by = _ranking("Rank features of the token by", "own_by", ["text_activation", *SHARES])
    with over_text:
        options = ["text_max", "text_sum", "text_mean", "text_tokens", *SHARES]
        over = _ranking("Rank features of the text by", "own_over", options)
    return token, by, over


def _ranking(title: str, key: str, options: list[str]) -> str:
    return st.selectbox(
        title,
        options,
        format_func=lambda name: catalogue.statistic(name).title,
        key=key,
        bind="query-params",
        help="A share compares an activation with the feature's largest activation on the text of the token pass. That "
        "pass runs when a share is first chosen.",
    )


def _largest(*, needed: bool) -> tuple[np.ndarray | None, str]:
    """Return the largest activation of every feature in the token pass, and its text; None if it is not stored."""
    try:
        with nullcontext() if needed else compute.only_stored():
            passed = token_pass.token_pass()
    except (LoupeError, NotStored):
        if needed:
            raise
        return None, ""
    return np.fmax.reduce(passed.statistics.largest), f"shares of the largest on {passed.note}"


def _facts(read: Read) -> None:
    features = read.features
    active, square = int((features.acts.count > 0).sum()), features.square.sum()
    facts = {
        "Tokens": f"{features.n_tokens:,}",
        "Rows": f"{features.row[-1] + 1:,}",
        "Features active": f"{active:,} of {read.dictionary.d_sae:,}",
        "Features on a token": f"{len(features.acts.acts) / features.n_tokens:,.1f}",
        catalogue.statistic("token_error_share").title: f"{features.error.sum() / square:.1%}" if square > 0 else "n/a",
    }
    cards = st.container(horizontal=True)
    for title, value in facts.items():
        cards.metric(title, value, border=True)


def _strip(read: Read, tokens: pd.DataFrame, token: int) -> None:
    shade = st.segmented_control(
        "Shade by", list(SHADES), default="Picked feature", required=True, key="own_shade", bind="query-params"
    )
    feature, name = picked_feature(), SHADES[shade]
    picked = shade == "Picked feature"
    table = tokens.assign(text_activation=read.features.of_feature(feature))
    silent = f" · feature {feature} is silent on this text" if picked and not table[name].any() else ""
    part = around(token, len(table), charts.STRIP_TOKENS)
    shown = table.iloc[part.start : part.stop]
    chart = charts.token_strip(
        read.pieces(part),
        shown[name],
        first=part.start,
        chosen=token,
        value_title=f"Activation of feature {feature}" if picked else catalogue.statistic(name).title,
        select="token",
        titles=[label(text) for text in shown["token_text"]],
        dark=is_dark(),
    )
    figure(
        f"The text, shaded by {f'feature {feature}' if picked else shade.lower()}",
        drawn_as_is(chart, "own-strip", choose_token("own-strip", "token")),
        table,
        explains=[name],
        note=f"{read.note} · click a token{silent}{stretch(part, len(table))}",
        name="own-text-tokens",
        provenance=read.provenance("features of one text", feature=feature),
    )


def drawn_as_is(chart, key: str, on_select: Callable | None = None) -> Callable:
    """Return a `draw` for a chart that keeps its width, because its letters keep theirs."""
    return altair(chart, key, on_select=on_select, selection="token", width="content")


def choose_token(chart_key: str, selection: str, state_key: str = "own_token") -> Callable:
    """Return a callback that picks the token of a clicked mark, in the field and in the URL."""

    def callback() -> None:
        points = st.session_state[chart_key]["selection"].get(selection) or []
        if points and "token_number" in points[0]:
            st.session_state[state_key] = int(points[0]["token_number"])

    return callback


def around(token: int, n_tokens: int, most: int) -> range:
    """Return the stretch of at most `most` tokens that holds a token. Stretches lie end to end."""
    first = token // most * most
    return range(first, min(first + most, n_tokens))


def stretch(part: range, n_tokens: int) -> str:
    """Say which tokens are drawn, if not all are."""
    if len(part) == n_tokens:
        return ""
    return f" · tokens {part.start:,} to {part.stop - 1:,} of {n_tokens:,}, around the chosen token"


def _on_token(read: Read, token: int, by: str, largest: np.ndarray | None, sample: str) -> None:
    table = text_features.ranked(text_features.token_features(read.features, token, largest), by)
    table = table[["feature", by, *(name for name in table.columns if name not in ("feature", by))]]
    text = label(read.labels(np.array([token]))[0])
    if not len(table):
        st.info(plain(f"No feature is active on token {token}, {text}."))
        return
    figure(
        f"Features on token {token}, {text}",
        listing(table, "own-on-token", height=330, picks="feature"),
        table,
        explains=[name for name in table.columns if name != "feature"],
        note=" · ".join(filter(None, [f"{len(table)} features, click one to pick it", read.note, sample])),
        name=f"own-text-token-{token}",
        provenance=read.provenance("features of one token", token=token),
    )


def _over_text(read: Read, table: pd.DataFrame, over: str, sample: str) -> None:
    table = table[["feature", over, *(name for name in table.columns if name not in ("feature", over))]]
    figure(
        "Features over the text",
        listing(table, "own-over-text", height=330, picks="feature"),
        table,
        explains=[name for name in table.columns if name != "feature"],
        note=" · ".join(filter(None, [f"{len(table):,} active features, click one to pick it", read.note, sample])),
        name="own-text-features",
        provenance=read.provenance("features of one text", ranked_by=over),
    )


def _cells(read: Read, order: list[int], token: int, over: str) -> None:
    count = st.slider("Features in the heatmap", 5, MOST_FEATURES, 20, key="own_count", bind="query-params", width=320)
    order = order[:count]
    # The number of rows that fit if every feature fires on every token.
    part = around(token, read.features.n_tokens, MAX_CELLS // max(1, len(order)))
    cells = text_features.cells(read.features, order, part)
    if not len(cells):
        st.info("None of the top features is active on these tokens.")
        return
    cells = cells.assign(token_text=read.labels(cells["token_number"].to_numpy()))
    item = catalogue.statistic("text_activation")
    chart = charts.token_heatmap(
        cells.assign(what=cells["token_text"].map(label)),
        order,
        tokens=part,
        value="text_activation",
        value_title=item.title,
        select="cell",
        texts=[label(text) for text in read.labels(np.arange(part.start, part.stop))],
    )
    figure(
        f"The top {len(order)} features on the tokens",
        altair(chart, "own-cells", on_select=choose_feature_from("own-cells", "cell"), selection="cell"),
        cells,
        explains=["text_activation", over],
        note=f"ranked by {catalogue.statistic(over).title.lower()}, click to pick · {read.note}"
        f"{stretch(part, read.features.n_tokens)}",
        name="own-text-cells",
        provenance=read.provenance("activations on one text", ranked_by=over),
    )


def _line(read: Read, tokens: pd.DataFrame, column: str, token: int) -> None:
    item = catalogue.statistic(column)
    part = around(token, len(tokens), MAX_CELLS // 2)
    shown = tokens.iloc[part.start : part.stop]
    shown = shown.assign(token_text=shown["token_text"].map(label))
    chart = charts.token_line(shown, column, title=item.title, chosen=token, select="token")
    key = f"own-line-{column}"
    figure(
        item.title,
        altair(chart, key, on_select=choose_token(key, "token"), selection="token"),
        tokens,
        explains=[column],
        note=f"{read.note}, click one to choose it{stretch(part, len(tokens))}",
        name=f"own-text-{column}",
        provenance=read.provenance("tokens of one text"),
    )
