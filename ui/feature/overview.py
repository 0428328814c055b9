"""The head of the feature page, and the tab Summary."""

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core.feature.examples import commonest_strongest
from core.feature.profile import position_profile, strongest_position
from core.feature.report import report as as_json
from core.logit_weights.unembedding import LogitSettings
from core.models.tokens import label
from ui.feature import charts as feature_charts
from ui.feature import examples, logits
from ui.feature import notes as feature_notes
from ui.interventions import own_contexts
from ui.shared import audit, charts, errors, report
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.studies.feature import Subject

TOP = 16
"""The number of examples in the overview."""


def head(subject: Subject, settings: LogitSettings) -> None:
    """Draw the feature's numbers and kind, and offer everything as one file."""
    acts, n_tokens = subject.acts.act, subject.passed.statistics.n_tokens()
    peak = strongest_position(profile_table(subject))
    token, share, n = commonest_strongest(subject.acts, subject.passed.sample.rows)
    cards = {
        "density": f"{len(acts) / n_tokens:.4g}" if n_tokens else "n/a",
        "active_tokens": f"{len(acts):,}",
        "mean_active": f"{acts.mean(dtype=np.float64):.4g}" if len(acts) else "n/a",
        "largest_activation": f"{acts.max():.4g}" if len(acts) else "n/a",
        "strongest_token_share": f"{share:.0%}" if n else "n/a",
        "peak_active": "n/a" if peak is None else str(peak),
    }
    about = subject.passed.provenance(feature=subject.feature)
    titles = {catalogue.statistic(name).title: value for name, value in cards.items()}
    report.note_numbers(titles, list(cards), about)
    row = st.container(horizontal=True)
    for name, value in cards.items():
        row.metric(catalogue.statistic(name).title, value, border=True, help=plain(catalogue.help_text(name)))
    exact = {"density": len(acts) / n_tokens if n_tokens else np.nan, "active_tokens": len(acts)}
    if len(acts):
        exact |= {"mean_active": acts.mean(dtype=np.float64), "largest_activation": acts.max()}
    audit.beside_cards(row, exact, f"{subject.stem}-numbers", about)
    if not n:
        st.info(
            f"{plain(subject.title)} is active on none of the {n_tokens:,} tokens of this text. The tabs still show "
            "what needs no text: logit weights, related features, and notes. The feature may fire on a longer or "
            "another text.",
            icon=":material/bedtime:",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        if n:
            text = plain(label(subject.passed.model.token_strings[token]))
            if share == 1 and n == 20:
                st.badge(f"Single-token feature: all 20 strongest rows peak at {text}", color="orange")
            else:
                st.badge(f"{share:.0%} of the {n} strongest rows peak at {text}", color="gray")
        st.download_button(
            "Everything as JSON",
            lambda: whole_report(subject, settings),
            f"{subject.stem}.json",
            "application/json",
            key="fe_json",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )


def profile_table(subject: Subject) -> pd.DataFrame:
    return position_profile(subject.acts, subject.passed.statistics.position_rows)


def whole_report(subject: Subject, settings: LogitSettings) -> bytes:
    """Return what the page shows of this feature, as JSON."""
    passed = subject.passed
    tokens = logits.extremes(subject, settings)
    about = passed.provenance(feature=subject.feature) | {"title": subject.title}
    return as_json(
        passed.model.decoder,
        passed.model.token_strings,
        passed.sample.rows,
        subject.acts,
        passed.statistics.position_rows,
        tables=tokens,
        provenance=about,
    )


def overview(subject: Subject, settings: LogitSettings) -> None:
    """Draw examples, histogram, positions, tokens and token sets."""
    with errors.shown():
        _on_text(subject)
    place = st.container()
    with errors.shown():
        logits.brief(subject, settings)
    with place, errors.shown():  # late, as it runs the model
        if not subject.own and len(subject.acts.act):
            own_contexts.line(subject)


def _on_text(subject: Subject) -> None:
    if not len(subject.acts.act):
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        examples.strongest(subject, n=TOP)
    with right:
        histogram(subject)
        positions(subject)


def histogram(subject: Subject) -> None:
    """Draw the histogram of its activations, at all positions or at one."""
    acts, n_pos = subject.acts, subject.passed.statistics.n_pos
    with st.container(horizontal=True, vertical_alignment="bottom"):
        at = st.number_input(
            "At position",
            0,
            n_pos - 1,
            value=None,
            placeholder="all",
            key="fe_at",
            width=130,
            help="Count only tokens at this position. Empty: all positions.",
        )
        log = st.toggle("Counts on a log axis", value=True, key="fe_log", bind="query-params")
    values = acts.act if at is None else acts.act[acts.position == at]
    where = "all positions" if at is None else f"position {at}"
    table = pd.DataFrame({"text_activation": values.astype(float)})

    def draw() -> None:
        if len(table):
            title = catalogue.statistic("text_activation").title
            chart = charts.histogram(table, "text_activation", title, bins=50, log=log, y_title="Tokens")
            altair(chart.properties(height=190), "fe-histogram")()
        else:
            st.info(f"{plain(subject.title)} is never active at {where}.", icon=":material/bedtime:")

    figure(
        f"{subject.title}: activations",
        draw,
        table,
        explains=["text_activation", "density"],
        note=subject.note(f"{len(values):,} active tokens", where, "50 bins"),
        name=f"{subject.stem}-activations",
        provenance=subject.passed.provenance(feature=subject.feature),
        told=subject.passed.told | ({} if at is None else {"one_position": True, "position": at}),
        finding=f"{subject.title} is active on {len(acts.act):,} of {subject.passed.statistics.n_tokens():,} tokens.",
    )


def positions(subject: Subject) -> None:
    """Draw the share of rows in which it is active and its mean, by position."""
    table = profile_table(subject)
    context = subject.dictionary.config.context_size

    def draw() -> None:
        altair(feature_charts.share_by_position(table, context_size=context), "fe-share")()
        altair(feature_charts.mean_by_position(table, context_size=context), "fe-mean")()

    figure(
        f"{subject.title}: by position",
        draw,
        table,
        explains=["fires_share", "share_low", "mean_active", "std_active"],
        note=subject.note("bands: 95 % interval of the density; one standard deviation around the mean"),
        name=f"{subject.stem}-positions",
        provenance=subject.passed.provenance(feature=subject.feature),
        told=subject.passed.told,
    )


def notes(subject: Subject) -> None:
    """Draw notes on the feature; your own direction has none."""
    if subject.own:
        st.info(
            "Notes belong to features of a dictionary. Go back to a feature to write one.", icon=":material/edit_note:"
        )
        return
    feature_notes.notes(subject.dictionary, subject.feature)
