"""The tab Loss by position: the model's loss as it is, with reconstructions in place, and without positions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from core import catalogue
from core import tables as core_tables
from core.activations import tables
from core.activations.spliced_loss import (
    REPLACED,
    RUNS_SPLICED,
    LossByPosition,
    SplicedLoss,
    loss_by_position,
    seconds_for_a_row,
    spliced_loss,
)
from core.corpus.samples import TextSample
from core.corpus.streams import rows_sha256
from core.devices.device import Device
from core.dictionaries.dictionary import Dictionary
from core.models.batches import model_device
from core.models.embeddings import SHUFFLED, TRAINED, ZERO
from core.models.language_model import LanguageModel
from core.work.calls import call, silent_call
from ui.activations import charts as activations_charts
from ui.activations.error import lengths
from ui.activations.positions import Chosen, embedding_note, first_title
from ui.shared import charts
from ui.shared.errors import NotStored
from ui.shared.escape import plain
from ui.shared.figure import altair, figure
from ui.shared.later import Later
from ui.studies import compute, corpus, opened

LOSSES = {TRAINED: "ce_wpe_trained", ZERO: "ce_wpe_zero", SHUFFLED: "ce_wpe_shuffled"}
"""The statistic of a model's loss, by the state of its position embedding."""
COLOURS = {
    "ce_wpe_trained": charts.MUTED,
    "ce_with_x_hat": charts.ACCENT,
    "ce_wpe_zero": charts.COLOURS[1],
    "ce_wpe_shuffled": charts.COLOURS[2],
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A dictionary, its model as picked, and the rows that both read."""

    dictionary: Dictionary
    model: LanguageModel
    sample: TextSample
    with_first: bool

    @property
    def conditions(self) -> list[str]:
        """Return the states that the position embedding can have."""
        return list(LOSSES) if self.model.positions == "absolute" else [TRAINED]

    @property
    def others(self) -> list[str]:
        """Return the states that it does not have."""
        return [wpe for wpe in self.conditions if wpe != self.model.wpe]

    @property
    def names(self) -> tuple[str, str]:
        return self.model.sha256, rows_sha256(self.sample.rows)

    @property
    def device(self) -> Device:
        """What all runs of the model are worth taking to."""
        return model_device(self.model, RUNS_SPLICED * self.sample.rows.size, compute.device())

    def note(self, n: int, *more: str) -> str:
        """n, text and settings, for the notes under figures."""
        first = f"{'with' if self.with_first else 'without'} {first_title(self.sample.bos)}"
        parts = [f"{n:,} guesses of the next token, {first}", self.sample.note]
        parts += [self.dictionary.config.hook_name, *embedding_note(self.model.wpe), *self.device.inputs.values()]
        return " · ".join([*parts, *more])


class Losses(NamedTuple):
    """Losses by position and over all tokens, and the number of guesses."""

    table: pd.DataFrame
    means: dict[str, float]
    n: int


def losses(view: Chosen) -> None:
    """Draw next-token loss by position, when a person asks for it."""
    settings = lengths(view)
    dictionary, model = view.passed.dictionary, view.passed.model
    sample = view.passed.sample if settings is None else corpus.sample(dictionary, model, settings)
    subject = Subject(dictionary, model, sample, view.with_first)
    try:
        with compute.only_stored():
            of_dictionary(subject)
            for wpe in subject.others:
                of_model(subject, wpe)
    except NotStored:
        agreed = f"_act_losses {dictionary.sha256} {subject.names}"
        if not st.session_state.get(agreed):
            offer(subject, agreed)
            return
    spliced = of_dictionary(subject)
    others = {
        wpe: Later(partial(of_model, subject, wpe), missing=f"not yet with the position embedding {wpe}")
        for wpe in subject.others
    }
    losses = curves(subject, spliced, {wpe: other.value for wpe, other in others.items() if other.value})
    numbers(losses.means)
    guess = math.log(model.d_vocab)
    st.caption(plain(f"A guess among all {model.d_vocab:,} tokens has a loss of ln({model.d_vocab:,}) = {guess:.3f}."))
    curve(subject, losses, [said for other in others.values() for said in other.said])
    for other in others.values():
        other.draw()


def curves(subject: Subject, spliced: SplicedLoss, others: Mapping[str, LossByPosition]) -> Losses:
    """Put the losses together: with the dictionary, and with those states of the position embedding that are there."""
    totals = spliced.totals(with_first=subject.with_first)
    own = LOSSES[subject.model.wpe]
    columns = {own: spliced.ce, "ce_with_x_hat": spliced.ce_replaced[REPLACED.index("spliced")]}
    means = {own: totals["ce"], "ce_with_x_hat": totals["ce_spliced"], "ce_recovered": totals["ce_score"]}
    for wpe, other in others.items():
        columns[LOSSES[wpe]] = np.append(other.ce, np.nan)
        means[LOSSES[wpe]] = tables.mean_loss(other, with_first=subject.with_first)
    table = pd.DataFrame({"position": np.arange(len(spliced.ce))} | columns)
    part = slice(0 if subject.with_first else 1, -1)  # the last position has no next token
    return Losses(table.iloc[part].reset_index(drop=True), means, int(spliced.position_rows[part].sum()))


def of_dictionary(subject: Subject) -> SplicedLoss:
    """Return the losses with the dictionary's reconstruction in place."""
    rows, how = subject.sample.rows, {"left_out": subject.sample.left_out, "device": subject.device}
    work = call(spliced_loss, subject.dictionary, subject.model, rows, **how)
    key = SplicedLoss.key(subject.dictionary.sha256, *subject.names, **how)
    return compute.result(SplicedLoss, key, "Loss with the reconstruction in place", work)


def of_model(subject: Subject, wpe: str) -> LossByPosition:
    """Return the losses of the model alone, with another state of its position embedding."""
    model, sample = opened.model_of(subject.dictionary, wpe=wpe), subject.sample
    how = {"left_out": sample.left_out, "device": subject.device}
    work = call(loss_by_position, model, sample.rows, **how)
    key = LossByPosition.key(model.sha256, subject.names[1], **how)
    label = f"Loss, position embedding {'as trained' if wpe == TRAINED else wpe}"
    return compute.result(LossByPosition, key, label, work)


def offer(subject: Subject, agreed: str) -> None:
    """Say how long the runs take, and wait for a button."""
    model, rows, device = subject.model, subject.sample.rows, subject.device
    probe = silent_call(seconds_for_a_row, model, rows, device=device)
    runs = RUNS_SPLICED + len(subject.conditions) - 1
    key = f"cost losses {subject.names} {device}"
    seconds = runs * len(rows) * compute.transient(key, "Looking at a few tokens", probe)
    st.info(
        plain(
            f"This runs the whole model {runs} times over {rows.size:,} tokens: as it is, with the dictionary's "
            f"reconstruction in place, and without its position embedding if it has one. It takes about "
            f"{max(1, seconds):,.0f} s on this machine."
        ),
        icon=":material/timer:",
    )
    st.button(
        "Compute the losses",
        key="act_run_losses",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lambda: st.session_state.update({agreed: True}),
    )


def numbers(means: Mapping[str, float]) -> None:
    """Draw the losses over all tokens."""
    names = [name for name in (*COLOURS, "ce_recovered") if name in means]
    cards = st.container(horizontal=True)
    for name in names:
        item = catalogue.statistic(name)
        cards.metric(item.title, f"{means[name]:.3f}", border=True, help=catalogue.help_text(name))


def curve(subject: Subject, losses: Losses, missing: Sequence[str]) -> None:
    """Draw all losses by position, smoothed if wanted and if rows are long enough. The note says what is missing."""
    table = losses.table
    wanted = st.toggle("Smoothed", value=True, key="act_loss_smooth", bind="query-params")
    names = [name for name in COLOURS if name in table]
    shown = tables.smoothed(table, names) if wanted else table
    smooth = wanted and bool(shown[names].notna().any(axis=None))
    titles = {name: catalogue.statistic(name).title for name in names}
    long = (shown if smooth else table).rename(columns=titles)
    long = long.melt(["position"], list(titles.values()), "series", "loss")
    n_pos, context = subject.sample.rows.shape[1], subject.dictionary.config.context_size
    chart = activations_charts.lines(
        long,
        "loss",
        order=list(titles.values()),
        colours=[COLOURS[name] for name in names],
        x=charts.position_axis(n_pos),
        y_title="Loss, nats",
    )
    if smooth:
        said = f"mean of {tables.WINDOW} positions; the download has each"
    else:
        said = "each position" if not wanted else f"rows too short to smooth over {tables.WINDOW} positions"
    figure(
        "Loss of the next token by position",
        altair(activations_charts.with_context(chart, context, n_pos), "act-losses"),
        table,
        explains=names,
        note=subject.note(losses.n, said, *missing),
        name="losses-by-position",
        provenance=core_tables.provenance(
            dictionary=subject.dictionary,
            model=subject.model,
            method="next-token loss",
            settings={
                "text": subject.sample.note,
                "rows_sha256": subject.names[1],
                "wpe": subject.model.wpe,
                "with_first": subject.with_first,
            }
            | subject.device.inputs,
        ),
    )
