"""The tabs of the positions page on one feature and on one token."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.errors import LoupeError
from core.models.encoding import encode
from core.models.tokens import label
from core.positions import tables
from core.positions.study import Study
from core.tables import with_settings
from ui.positions import charts
from ui.shared import audit, errors
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.shared.picked_feature import picked_feature
from ui.sidebar import pickers
from ui.studies import positions

TOKENS_SHOWN = 32
CARDS = ["position_score", "peak", "peak_width", "token_score", "mutual_information", "positional_r2"]


def one_feature(study: Study) -> None:
    """Show scores, curve and heatmap of tokens by positions of the picked feature."""
    feature = picked_feature()
    row = study.scores.set_index("feature").loc[feature]
    cards = st.container(horizontal=True)
    for name in CARDS:
        item = catalogue.statistic(name)
        value = "n/a" if pd.isna(row[name]) else f"{row[name]:.4g}"
        cards.metric(item.title, value, border=True, help=plain(catalogue.help_text(name)))
    about = with_settings(study.provenance, feature=feature)
    audit.beside_cards(cards, row[CARDS].to_dict(), f"feature-{feature}-scores", about)
    left, right = st.columns([2, 3], gap="medium")
    with left:
        table = pd.concat(
            [
                tables.curves(study.stats, [feature], stage=stage).assign(stage=title)
                for stage, title in (("acts", "activation"), ("pre_acts", "pre-activation"))
            ]
        )
        chart = charts.curves(
            table,
            n_pos=study.n_pos,
            context_size=study.context_size,
            y_title="Mean over tokens",
            legend=True,
            by="stage",
        )
        figure(
            f"Feature {feature} by position",
            altair(chart, "feature-curve"),
            table,
            explains=["mean_activation", "std_activation", "mean_pre_activation", "std_pre_activation"],
            note=study.note("band: one standard deviation over tokens either side"),
            name=f"feature-{feature}-curve",
            provenance=study.provenance,
            told=positions.told(study),
        )
    with right, errors.shown():
        token_heatmap(study, feature)


def token_heatmap(study: Study, feature: int) -> None:
    """Draw the activation of one feature on some tokens at every position (layer 0 only)."""
    if study.stats.method == "corpus":
        st.info(
            "The heatmap of tokens by positions needs a layer-0 dictionary of a model with absolute positions. Only "
            "there does an activation depend on token and position alone.",
            icon=":material/grid_off:",
        )
        return
    which = st.segmented_control(
        "Tokens",
        ["Strongest", "Spread evenly", "Random"],
        default="Strongest",
        required=True,
        key="rows",
        bind="query-params",
        help="Strongest: the tokens with the largest mean over positions. Spread evenly: every n-th token of that "
        "ranking. Random: tokens drawn with seed 0.",
    )
    grid = positions.feature_grid(feature, study.n_pos)
    score = grid[:, : study.context_size].mean(axis=1)
    chosen = pick_tokens(score, which)
    labels = [f"{label(study.model.token_strings[t])} {t}" for t in chosen]
    cells = tables.matrix_cells(grid[chosen], labels, np.arange(study.n_pos), names=("token", "position", "activation"))
    if not len(cells):
        st.info(f"Feature {feature} is silent on these {len(chosen)} tokens at every position shown.")
        return
    chart = charts.token_heatmap(cells, labels, n_pos=study.n_pos, context_size=study.context_size)
    figure(
        f"Feature {feature} on tokens and positions",
        altair(chart, "token-heatmap"),
        cells,
        explains=["activation", "token_score_of_token"],
        note=study.note(f"{len(chosen)} tokens, {which.lower()}", f"fires on {int((score > 0).sum()):,} tokens"),
        name=f"feature-{feature}-tokens",
        provenance=study.provenance,
    )


def pick_tokens(score: np.ndarray, which: str) -> list[int]:
    """Choose the tokens for the rows of the heatmap by their score s_i(tok)."""
    ranking = np.argsort(-score, kind="stable")
    if which == "Strongest":
        return ranking[:TOKENS_SHOWN].tolist()
    if which == "Spread evenly":
        return ranking[np.linspace(0, len(ranking) - 1, TOKENS_SHOWN).astype(int)].tolist()
    drawn = np.random.default_rng(0).choice(len(score), size=min(TOKENS_SHOWN, len(score)), replace=False)
    return sorted(drawn.tolist(), key=lambda t: -score[t])


def token_picker(study: Study) -> int:
    """Pick a token by its text or its id. The URL holds the id."""

    def find() -> None:
        text = st.session_state["token_text"]
        exact = [i for i, token in enumerate(study.model.token_strings) if token == text]
        # Without tokenizer the texts are the ids, and there is nothing else to find.
        readable = study.model.has_tokenizer and not exact
        try:
            ids = encode(study.model.tokenizer, [text])[0].ids if readable else exact
        except LoupeError as error:
            st.session_state["_token_text_error"], ids = str(error), []
        if ids:
            st.session_state["token"] = int(ids[0])

    left, right, rest = st.columns([2, 1, 3], vertical_alignment="bottom")
    left.text_input(
        "Find a token",
        max_chars=1_024,
        key="token_text",
        on_change=find,
        placeholder="Type the token, with its leading space",
        help="The app picks this exact token if there is one, else the first token of your text.",
    )
    if error := st.session_state.pop("_token_text_error", ""):
        st.error(plain(error), icon=":material/error:")
    with right:
        token = pickers.number("Token id", "token", study.model.d_vocab, default=min(300, study.model.d_vocab - 1))
    rest.markdown(f"Token {token}: {plain(label(study.model.token_strings[token]))}")
    return token


def one_token(study: Study) -> None:
    """Draw the features that respond most to one token, by position."""
    if study.stats.method == "corpus":
        st.info(
            "This tab needs a layer-0 dictionary of a model with absolute positions.",
            icon=":material/grid_off:",
        )
        return
    token = token_picker(study)
    acts = positions.token_curves(token, study.n_pos)
    score = acts[: study.context_size].mean(axis=0)
    top = [int(i) for i in np.argsort(-score, kind="stable")[:10] if score[i] > 0]
    if not top:
        st.info(f"No feature fires on token {token} at any position below {study.context_size}.")
        return
    ranking = pd.DataFrame({"feature": top, "token_score_of_token": score[top]}).merge(
        study.scores[["feature", "position_score", "share_token", "share_position"]], on="feature"
    )
    table = pd.concat(
        [pd.DataFrame({"feature": i, "position": np.arange(study.n_pos), "mean": acts[:, i]}) for i in top]
    )
    left, right = st.columns(2, gap="medium")
    with left:
        chart = charts.curves(
            table, n_pos=study.n_pos, context_size=study.context_size, y_title="Activation", band=False, legend=True
        )
        figure(
            f"The {len(top)} strongest features of token {label(study.model.token_strings[token])}",
            altair(chart, "token-curves"),
            table.rename(columns={"mean": "activation"}),
            explains=["activation"],
            note=study.note(f"token {token}", f"ranked by mean over positions below {study.context_size}"),
            name=f"token-{token}-features",
            provenance=with_settings(study.provenance, token=token),
        )
    with right:
        token_ranking(study, token, ranking)


def token_ranking(study: Study, token: int, ranking: pd.DataFrame) -> None:
    """Draw whether the features of one token are token features in general."""
    figure(
        "Are they token features?",
        listing(ranking, "token-ranking", picks="feature"),
        ranking,
        explains=["token_score_of_token", "share_token", "share_position"],
        note=study.note(f"token {token}", "click a row to pick its feature"),
        name=f"token-{token}-ranking",
        provenance=with_settings(study.provenance, token=token),
    )
