"""The tab Two prompts: how two prompts with the same number of tokens differ, token by token."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.dictionaries.dictionary import Dictionary
from core.errors import DoesNotFitError
from core.models.language_model import LanguageModel
from core.models.tokens import label
from core.text.aligned_prompts import aligned_differences, differing_features
from ui.shared.charts import MAX_CELLS
from ui.shared.figure import altair, figure, is_dark, listing
from ui.shared.selection import choose_feature_from
from ui.sidebar import pickers
from ui.text import charts, examples
from ui.text.input import Read, Reading
from ui.text.one_text import around, choose_token, drawn_as_is, stretch
from ui.text.two_texts import read_pair

FEATURES = 30
TOKEN = "own_prompt_token"


def two_prompts(dictionary: Dictionary, model: LanguageModel, how: Reading) -> None:
    """Draw two prompts side by side. Raises LoupeError, and StillRunning meanwhile."""
    titles = ("Prompt A", "Prompt B")
    boxes = "own_pa", "own_pb"
    a, b = read_pair(dictionary, model, how, *boxes, examples.PROMPTS, titles=titles, height=100, aligned=True)
    try:
        cells = aligned_differences(a.features, b.features)
    except DoesNotFitError:
        # The tokens show where the prompts stop being alike.
        for name, read in zip("AB", (a, b), strict=True):
            _strip(name, read, np.zeros(read.features.n_tokens), None)
        raise
    total = np.bincount(cells["token_number"], cells["prompt_difference"].abs(), minlength=a.features.n_tokens)
    with st.columns([1, 4])[0]:
        most, help = int(total.argmax()), "Or click one below. The first choice is the token that differs most."
        token = pickers.number("Token", TOKEN, a.features.n_tokens, default=most, help=help)
    for name, read in zip("AB", (a, b), strict=True):
        _strip(name, read, total, token)
    table = differing_features(cells)
    if not len(table):
        st.info("The prompts give the same activations on every token.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _token(a, b, cells, token)
    with right:
        _features(a, b, table)
    _heatmap(a, b, cells, table["feature"].head(FEATURES).tolist(), token)


def _provenance(a: Read, b: Read) -> dict:
    return a.provenance("two aligned prompts", text_b_sha256=b.text.sha256)


def _strip(name: str, read: Read, values: np.ndarray, token: int | None) -> None:
    part = around(token or 0, read.features.n_tokens, charts.STRIP_TOKENS)
    key, texts = f"own-strip-{name}", read.labels(np.arange(read.features.n_tokens))
    title = catalogue.statistic("difference_sum").title
    chart = charts.token_strip(
        read.pieces(part),
        values[part.start : part.stop],
        first=part.start,
        chosen=-1 if token is None else token,
        value_title=title,
        select="token",
        titles=[label(text) for text in texts[part.start : part.stop]],
        dark=is_dark(),
    )
    table = pd.DataFrame({"token_number": np.arange(len(texts)), "token_text": texts, "difference_sum": values})
    figure(
        f"Prompt {name}",
        drawn_as_is(chart, key, choose_token(key, "token", TOKEN) if token is not None else None),
        table,
        explains=["difference_sum"],
        note=f"{read.note}{stretch(part, len(texts))}"
        + (", shaded by the sum over features of the size of differences, click a token" if token is not None else ""),
        name=f"two-prompts-{name}",
        provenance=read.provenance("tokens of a prompt"),
    )


def _token(a: Read, b: Read, cells: pd.DataFrame, token: int) -> None:
    table = cells[cells["token_number"] == token].drop(columns="token_number")
    table = table.sort_values("prompt_difference", key=np.abs, ascending=False, kind="stable")
    here = np.array([token])
    first, second = (label(read.labels(here)[0]) for read in (a, b))
    figure(
        f"Token {token}: {first} and {second}" if first != second else f"Token {token}: {first} in both",
        listing(table, "own-prompt-token", height=330, picks="feature"),
        table,
        explains=["prompt_activation_a", "prompt_activation_b", "prompt_difference"],
        note=f"{len(table)} features active in either, click one to pick it",
        name=f"two-prompts-token-{token}",
        provenance=_provenance(a, b),
    )


def _features(a: Read, b: Read, table: pd.DataFrame) -> None:
    figure(
        "Features that differ",
        listing(table, "own-prompt-features", height=330, picks="feature"),
        table,
        explains=["difference_sum", "difference_max", "prompt_difference_sum", "differing_tokens"],
        note=f"{len(table):,} features, click one to pick it; no test is made, because two prompts are no sample",
        name="two-prompts-features",
        provenance=_provenance(a, b),
    )


def _heatmap(a: Read, b: Read, cells: pd.DataFrame, order: list[int], token: int) -> None:
    part = around(token, a.features.n_tokens, MAX_CELLS // len(order))
    token_number = cells["token_number"]
    inside = (token_number >= part.start) & (token_number < part.stop) & cells["feature"].isin(order)
    shown = cells[inside & (cells["prompt_difference"] != 0)]
    here = shown["token_number"].to_numpy()
    shown = shown.assign(token_text=a.labels(here), token_text_b=b.labels(here))
    pairs = zip(shown["token_text"], shown["token_text_b"], strict=True)
    item = catalogue.statistic("prompt_difference")
    tokens = np.arange(part.start, part.stop)
    both = zip(a.labels(tokens), b.labels(tokens), strict=True)
    chart = charts.token_heatmap(
        shown.assign(what=[f"{label(x)} / {label(y)}" if x != y else label(x) for x, y in pairs]),
        order,
        tokens=part,
        value="prompt_difference",
        value_title=item.title,
        select="cell",
        texts=[f"{label(x)} / {label(y)}" if x != y else label(x) for x, y in both],
        diverging=True,
    )
    figure(
        "Where they differ",
        altair(chart, "own-prompt-cells", on_select=choose_feature_from("own-prompt-cells", "cell"), selection="cell"),
        shown,
        explains=["prompt_difference", "difference_sum"],
        note=f"the {len(order)} features with the largest sum of differences, click to pick; orange: stronger in A, "
        f"blue: stronger in B{stretch(part, a.features.n_tokens)}",
        name="two-prompts-cells",
        provenance=_provenance(a, b),
    )
