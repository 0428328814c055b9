"""The widgets that say what is edited, where, and beside which controls. The URL holds them all."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.devices.device import Device
from core.errors import BadSettingError, OutOfRangeError
from core.interventions.controls import Controls, ControlSettings, draw_controls
from core.interventions.edits import Edit
from core.interventions.runs import acts_of, with_edited_runs
from core.models.batches import model_device
from core.work.calls import silent_call
from ui.interventions.subject import Subject
from ui.sidebar import pickers
from ui.studies import compute

KINDS = {
    "Ablate": "ablate",
    "Set to mean": "mean",
    "Clamp": "clamp",
    "Scale": "scale",
    "Add": "add",
}
ALL, POSITIONS, WHERE = "all tokens", "chosen positions", "where a feature fires"
HELP = (
    "Ablate sets the activations to 0, Set to mean to their mean over all tokens of the token pass. Clamp sets them to "
    "the amount, Scale multiplies them by it, Add adds it, also where the feature is silent: that is steering."
)


@dataclass(frozen=True, eq=False)
class Picked:
    """An edit, whether the dictionary's error stays, and the controls beside it."""

    edit: Edit
    error: bool
    controls: Controls
    settings: ControlSettings
    unit: float
    """The activation that amounts of 1 stand for."""
    device: Device
    """What runs the model."""

    @property
    def key(self) -> str:
        said = f"{self.edit} {self.error} {self.settings} {self.controls.features.tolist()}"
        return " ".join([said, *self.device.inputs.values()])

    @property
    def note(self) -> str:
        """Say how the controls were made, and on which device, for the notes under figures."""
        others = f", {len(self.controls.features)} other features of like density and activation" * bool(
            len(self.controls.features)
        )
        kept = "the dictionary's error stays" if self.error else "the reconstruction stands in, without the error"
        made = (
            f"controls as long as the edit at each token: {len(self.controls.random)} random directions{others}, and "
            f"the opposite sign; seed {self.settings.seed} · {kept}"
        )
        return " · ".join([made, *self.device.inputs.values()])


def pick(subject: Subject, *, amount: bool = True, kinds: tuple[str, ...] = tuple(KINDS)) -> Picked:
    """Draw the widgets and return what they say. Without `amount`, none is asked for. Raises LoupeError."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if st.session_state.get("iv_kind", kinds[0]) not in kinds:
            st.session_state["iv_kind"] = kinds[-1]
        kind = st.segmented_control(
            "Edit", kinds, default=kinds[0], required=True, key="iv_kind", bind="query-params", help=HELP
        )
        unit = unit_of(subject)
        value = _amount(KINDS[kind], unit) if amount else 0.0
        where = st.segmented_control(
            "At", [ALL, POSITIONS, WHERE], default=ALL, required=True, key="iv_at", bind="query-params"
        )
        positions, only = None, None
        if where == POSITIONS:
            typed = st.text_input(
                "Positions", key="iv_positions", bind="query-params", placeholder="3, 5-8", width=140, max_chars=200
            )
            positions = numbers(typed, subject.rows.shape[1], "Position")
        if where == WHERE:
            only = pickers.number("Feature that must fire", "iv_where", subject.dictionary.d_sae, default=None)
        error, features, settings = _more(subject)
    means = _means(subject, features) if KINDS[kind] == "mean" else ()
    edit = Edit(features, KINDS[kind], value, means, positions, only)
    edit.check(subject.dictionary.d_sae)
    controls = draw_controls(subject.dictionary.W_dec, features, settings, like=_like(subject))
    runs = 1 + len(controls.kinds)
    device = model_device(subject.model, runs * subject.rows.size, compute.device())
    return Picked(edit, error, controls, settings, unit, device)


def _more(subject: Subject) -> tuple[bool, tuple[int, ...], ControlSettings]:
    with st.popover("More", icon=":material/tune:", type="tertiary"):
        error = st.toggle(
            "Keep the dictionary's error",
            value=True,
            key="iv_error",
            bind="query-params",
            help="On: the edit adds decode(new activations) − decode(activations) to what passes at the hook, so what "
            "the dictionary does not reconstruct stays. Off: the reconstruction stands in for what passes.",
        )
        typed = st.text_input(
            "More features, edited alike", key="iv_also", bind="query-params", placeholder="12, 40", max_chars=200
        )
        n = st.number_input("Controls of a kind", 2, 200, 20, key="iv_n", bind="query-params")
        seed = st.number_input("Seed of the controls", 0, 10**6, 0, key="iv_seed", bind="query-params")
    also = numbers(typed, subject.dictionary.d_sae, "Feature") or ()
    features = tuple(dict.fromkeys((subject.feature, *also)))
    return error, features, ControlSettings(int(n), int(seed))


def _amount(kind: str, unit: float) -> float:
    if kind in ("ablate", "mean"):
        return 0.0
    if kind == "scale":
        return float(st.number_input("Factor", value=2.0, key="iv_factor", bind="query-params", width=130))
    times = st.number_input(
        "Amount, × largest",
        value=2.0,
        step=0.5,
        key="iv_amount",
        bind="query-params",
        width=150,
        help=f"In units of the feature's largest activation, {unit:.4g}.",
    )
    return float(times) * unit


def unit_of(subject: Subject) -> float:
    """Return the feature's largest activation in the token pass, else on these rows; 1 where it is silent."""
    if subject.passed is not None:
        largest = float(np.fmax.reduce(subject.passed.statistics.largest)[subject.feature])
    else:
        largest = float(acts(subject).max())
    return largest if np.isfinite(largest) and largest > 0 else 1.0


def acts(subject: Subject) -> np.ndarray:
    """Return the feature's activations on the rows, which takes a run of the model."""
    of = acts_of, subject.dictionary, subject.model, subject.rows, subject.may_change
    work = silent_call(with_edited_runs, *of, subject.feature)
    return compute.transient(f"acts {subject.key} {subject.feature}", "Running the text", work)


def _means(subject: Subject, features: tuple[int, ...]) -> tuple[float, ...]:
    if subject.passed is None:
        raise BadSettingError(
            "The mean of an activation needs the token pass, which was not run on this text. Choose “Strongest "
            "contexts” once, which runs it, or another edit."
        )
    statistics = subject.passed.statistics
    return tuple((statistics.total.sum(axis=0) / statistics.n_tokens())[list(features)].tolist())


def _like(subject: Subject) -> pd.DataFrame | None:
    return None if subject.passed is None else subject.passed.statistics.feature_table()


def numbers(typed: str | None, size: int, what: str) -> tuple[int, ...] | None:
    """Read '3, 5-8' as whole numbers below `size`; None for nothing. Raises LoupeError, naming what is wrong."""
    parts = [part.strip() for part in (typed or "").split(",") if part.strip()]
    found: list[int] = []
    for part in parts:
        match = re.fullmatch(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?", part)
        if not match:
            raise BadSettingError(
                f"{part[:40]!r} is no {what.lower()}: expected whole numbers such as 3, 5-8. Correct it."
            )
        first, last = int(match[1]), int(match[2] or match[1])
        for value in (first, last):
            if value >= size:
                raise OutOfRangeError(what, value, size)
        found += range(first, last + 1)
    return tuple(dict.fromkeys(found)) or None
