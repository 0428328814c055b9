"""The tab Attribution: which features make the model say what it says, and whether ablation agrees."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from core import catalogue
from core.devices.device import Device
from core.interventions.attribution import (
    MOST_TOKENS,
    Asked,
    Attribution,
    Checked,
    attribute,
    check_guess,
    chosen,
    likeliest,
)
from core.models.batches import model_device
from core.models.tokens import label
from core.models.typed_tokens import typed_token
from core.work.calls import call, silent_call
from ui.interventions import attribution_charts as charts
from ui.interventions.subject import PROMPT, Subject
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, is_dark, listing
from ui.shared.picked_feature import picked_feature, suggest_feature
from ui.shared.selection import choose_feature_from
from ui.studies import compute
from ui.text.charts import token_strip

NUMBERS = {"Loss": "loss", "Logit": "logit", "Logit difference": "difference"}
ZERO, MEAN = "0", "Mean"
LOSS = "loss, summed over tokens"
RANKED = ("feature", "attribution", "token_text", "attribution_there", "attribution_size", "text_tokens", "text_max")
MOST_STRIPS, SEED = 3, 0


@dataclass(frozen=True, eq=False)
class View:
    """A text, the number asked about, and the attributions."""

    subject: Subject
    n_rows: int
    """So many of the subject's rows are looked at."""
    asked: Asked
    words: str
    """What the number is."""
    baseline: str
    found: Attribution
    key: str
    device: Device
    """What ran forward and back."""

    @property
    def note(self) -> str:
        """n and settings, for the notes under figures."""
        n = int(self.found.keep.sum())
        cut = f", the first {self.n_rows} rows of them" if self.n_rows < len(self.subject.rows) else ""
        against = "0" if self.baseline == ZERO else "the mean over the text of the token pass"
        parts = self.words, f"baseline {against}", f"{self.subject.said}: {n:,} tokens{cut}"
        return " · ".join([*parts, *self.device.inputs.values()])

    def provenance(self, method: str, **more: str | int | float | bool | None) -> dict:
        asked = {"number": self.words, "baseline": self.baseline, "rows": self.n_rows}
        return self.subject.provenance(method, **asked, **self.device.inputs, **more)


def _device(subject: Subject, rows: np.ndarray) -> Device:
    """Return where a run forward and back, which costs twice as much, is best made."""
    return model_device(subject.model, 3 * rows.size, compute.device())


def attribution(subject: Subject) -> None:
    """Draw the tab. Raises LoupeError, and StillRunning while something runs."""
    view = _view(subject)
    st.caption(
        plain(
            "One run forward and one back gives the gradient of the number with respect to what passes at the "
            "dictionary's hook. A feature's attribution is that gradient along its decoder row, times its activation "
            "less the baseline: to first order, the number as it is minus the number with the feature at its baseline. "
            f"The number is {view.found.value:.4g}."
        )
    )
    if view.found.table.empty:
        st.info("No feature is active on this text, so nothing can be attributed to one. Choose other text.")
        return
    if st.session_state.get("iv_text") == PROMPT:
        suggest_feature(int(view.found.table["feature"].iloc[0]), "it has the largest attribution on this prompt")
    left, right = st.columns(2, gap="medium")
    below = st.container()
    with left:
        _ranked(view)
    with below:
        _strips(view)
    with right:  # last, as it may still run
        _compared(view)


def _view(subject: Subject) -> View:
    asked_for, against = st.columns([3, 2], gap="medium", vertical_alignment="bottom")
    kind = NUMBERS[
        asked_for.segmented_control(
            "Number", list(NUMBERS), default="Loss", required=True, key="attr_number", bind="query-params",
            help="Loss: summed over all tokens of the text. Logit: of one token, after the strongest token of each "
            "context, or at the end of the prompt. Logit difference: of two tokens at the same places.",
        )
    ]  # fmt: skip
    baselines = [ZERO, MEAN] if subject.passed is not None else [ZERO]
    if st.session_state.get("attr_baseline", ZERO) not in baselines:
        st.session_state.pop("attr_baseline")
    baseline = against.segmented_control(
        "Baseline", baselines, default=ZERO, required=True, key="attr_baseline", bind="query-params",
        help="What a feature is compared with: silence, or its mean over the text of the token pass, which must have "
        "run. Against the mean, silent features count too.",
    )  # fmt: skip
    n_rows = max(1, MOST_TOKENS // subject.rows.shape[1])
    rows, keep = subject.rows[:n_rows], subject.may_change[:n_rows]
    asked, words = _asked(subject, kind, rows)
    means = _means(subject) if baseline == MEAN else None
    device, against = _device(subject, rows), subject.passed.name if means is not None else ""
    key = " ".join([f"{subject.key} {len(rows)} {asked} {baseline} {against}", *device.inputs.values()])
    work = call(attribute, subject.dictionary, subject.model, rows, asked, keep=keep, means=means, device=device)
    found = compute.transient(f"attribution {key}", "Running forward and back", work)
    return View(subject, len(rows), asked, words, baseline, found, key, device)


def loss_of(subject: Subject) -> View:
    """Return the attribution of the loss on all rows of a subject. Raises LoupeError, and StillRunning meanwhile."""
    device = _device(subject, subject.rows)
    how = {"keep": subject.may_change, "device": device}
    work = call(attribute, subject.dictionary, subject.model, subject.rows, Asked(), **how)
    key = " ".join([f"{subject.key} {len(subject.rows)} {Asked()} {ZERO} ", *device.inputs.values()])
    found = compute.transient(f"attribution {key}", "Running forward and back", work)
    return View(subject, len(subject.rows), Asked(), LOSS, ZERO, found, key, device)


def _means(subject: Subject) -> np.ndarray:
    statistics = subject.passed.statistics
    return statistics.total.sum(axis=0) / statistics.n_tokens()


def _asked(subject: Subject, kind: str, rows: np.ndarray) -> tuple[Asked, str]:
    """Draw the fields for tokens, if the number is of some; return what is asked about, and it in words."""
    if kind == "loss":
        return Asked(), LOSS
    model, places = subject.model, tuple(subject.centres[: len(rows)])
    device = model_device(model, rows.size, compute.device())
    key = f"likeliest {subject.key} {places} {device.setting}"
    work = silent_call(likeliest, model, rows, places, n=2, device=device)
    best = compute.transient(key, "Reading what comes next", work)[0]
    fields = {"attr_plus": "Token"} | ({"attr_minus": "Less the token"} if kind == "difference" else {})
    ids = []
    for place, (name, title), likely in zip(st.columns(2, gap="medium"), fields.items(), best, strict=False):
        typed = place.text_input(
            title,
            key=name,
            bind="query-params",
            max_chars=100,
            placeholder=f"likeliest in the first row: {label(model.token_strings[likely])}",
            help="The text of one token, with its leading space, or its id as #262. Empty: what the model finds "
            "likeliest there, in the first row.",
        )
        ids.append(typed_token(model, typed) if typed else int(likely))
    named = " − ".join(f"logit of {label(model.token_strings[i])}" for i in ids)
    where = f"after {'one token of each row' if len(rows) > 1 else f'position {places[0]}'}"
    return Asked(kind, places, *ids), f"{named}, {where}"


def _ranked(view: View) -> None:
    table = view.found.table
    tokens = view.found.rows.ravel()[table["token_number"].to_numpy()]
    table = table.assign(token_text=[label(view.subject.model.token_strings[token]) for token in tokens])
    table = table[list(RANKED)]
    figure(
        f"Features ranked by attribution: {len(table):,}",
        listing(table, "iv-attribution-table", height=560, picks="feature"),
        table,
        explains=["attribution", "attribution_there", "attribution_size"],
        note=f"largest absolute attribution first · click a row to pick its feature · {view.note}",
        name="attribution-features",
        provenance=view.provenance("attribution"),
    )


def _strips(view: View) -> None:
    """Draw where in the text the picked feature's attribution lies."""
    feature, subject = picked_feature(), view.subject
    each = view.found.of_feature(feature).reshape(view.found.rows.shape)
    if not each.any():
        st.info(f"Feature {feature} has no attribution here: it is silent on these tokens. Pick one from the table.")
        return
    title = catalogue.statistic("attribution_at").title
    rows = range(min(view.n_rows, MOST_STRIPS))

    def strip(row: int) -> None:
        part = subject.shown[row]
        chart = token_strip(
            subject.pieces(row)[part.start : part.stop],
            each[row, part.start : part.stop],
            first=part.start,
            chosen=subject.centres[row],
            value_title=title,
            select="token",
            titles=[label(subject.model.token_strings[i]) for i in view.found.rows[row, part.start : part.stop]],
            dark=is_dark(),
        )
        altair(chart, f"iv-attribution-strip-{row}", width="content")()

    table = view.found.token_table(feature)
    figure(
        f"Where feature {feature} does it",
        lambda: [strip(row) for row in rows],
        table,
        explains=["attribution_at"],
        note=f"{len(rows)} of {view.n_rows} rows drawn, around the token with a frame · {view.note}",
        name=f"attribution-feature-{feature}",
        provenance=view.provenance("attribution of one feature", feature=feature),
    )


def _compared(view: View) -> None:
    n = st.slider(
        "Features to ablate", 5, 50, 20, step=5, key="attr_n", bind="query-params", width=320,
        help="So many of the strongest, and as many from equal strata of all others. For each of them a random "
        "direction runs too.",
    )  # fmt: skip
    compared(view, n)


def compared(view: View, n: int) -> None:
    """Ablate the n strongest features and n of the others, and draw what that does against the guess."""
    features, strongest = chosen(view.found.table, strongest=n, sampled=n, seed=SEED)
    subject = view.subject
    of = subject.dictionary, subject.model, view.found, view.asked
    work = call(check_guess, *of, features, strongest, seed=SEED)
    checked = compute.transient(f"ablation {view.key} {n}", "Ablating features one at a time", work)
    table = checked.to_frame()
    _fits(checked)
    slope, rank = checked.fits().loc["features"]
    lost = int(table["ablation_effect"].isna().sum())
    chart = charts.guess_scatter(
        table,
        x_title=catalogue.statistic("attribution").title,
        y_title=catalogue.statistic("ablation_effect").title,
        picked=picked_feature(),
    )
    key = "iv-attribution-scatter"
    figure(
        "The linear guess against true ablation",
        altair(chart, key, on_select=choose_feature_from(key, "point"), selection="point"),
        table,
        explains=["attribution", "ablation_effect", "linear_error", "attribution_series"],
        note=f"{int(strongest.sum())} strongest features, {int((~strongest).sum())} sampled from equal strata of the "
        f"others (seed {SEED}), {len(features)} random directions as long · dashed: where both agree · ring: the "
        f"picked feature{f' · {lost} runs overflowed and are not drawn' if lost else ''} · click to pick · {view.note}",
        name="attribution-ablation",
        provenance=view.provenance("attribution and ablation", seed=SEED, ablated=len(features)),
        finding=f"Slope {slope:.2f}, rank correlation {rank:.2f} over {len(features)} features.",
    )


def _fits(checked: Checked) -> None:
    """Draw slope and rank correlation of the features, and of the random directions."""
    for who, values in checked.fits().iterrows():
        cards = st.container(horizontal=True)
        for name, value in values.items():
            title = f"{catalogue.statistic(name).title}, {who}"
            text = f"{value:.2f}" if np.isfinite(value) else "n/a"
            cards.metric(title, text, border=True, help=catalogue.help_text(name))
