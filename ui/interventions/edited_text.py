"""The tab Edited text: what an edit changes, token by token and at one place, beside its controls."""

import numpy as np
import streamlit as st

from core.errors import BadSettingError
from core.interventions.controls import EDITED, FEATURE, RANDOM, band
from core.interventions.impact import LEAST_P, Impact, impact
from core.interventions.runs import with_edited_runs
from core.models.tokens import label
from core.models.typed_tokens import typed_token
from core.work.calls import call
from ui.interventions import charts, edit_picker
from ui.interventions.edit_picker import Picked
from ui.interventions.subject import Subject
from ui.shared import token_text
from ui.shared.escape import plain
from ui.shared.figure import altair, figure, listing
from ui.sidebar import pickers
from ui.studies import compute

_ENDS = [f"next_log_p_change{kind}_{end}" for kind in ("", "_feature") for end in ("low", "high")]
_ORDER = ["token_text", "next_log_p_change", *_ENDS, "next_log_p_opposite", "next_p", "next_p_edited", "token"]


def edited_text(subject: Subject) -> None:
    """Draw the tab. Raises LoupeError, and StillRunning meanwhile."""
    picked = edit_picker.pick(subject)
    place, pair = choose_place(subject), choose_pair(subject)
    of = impact, subject.dictionary, subject.model, subject.rows, subject.may_change
    how = {"place": place, "tokens": pair or (), "error": picked.error, "device": picked.device}
    work = call(with_edited_runs, *of, picked.edit, picked.controls, **how)
    key = f"impact {subject.key} {picked.key} {place} {pair}"
    found = compute.transient(key, "Running the text with the edit and its controls", work)
    st.caption(f"No edit gives identical logits: {'yes' if found.same_without_edit else 'no'}.")
    refuse_overflow(bool(found.effects.overflows[0]))
    _text(subject, picked, found)
    left, right = st.columns(2, gap="medium")
    with left:
        _whole(subject, picked, found)
    with right:
        _difference(subject, picked, found, pair)
    _next(subject, picked, found)


def refuse_overflow(overflows: bool) -> None:
    if overflows:
        raise BadSettingError(
            "This edit is so large that the model gives no finite numbers. Expected an amount whose square float32 can "
            "hold; type a smaller one."
        )


def choose_place(subject: Subject) -> tuple[int, int]:
    """Pick the token after which the next one is looked at; the first choice is the strongest, or a prompt's last."""
    n_rows, n_pos = subject.rows.shape
    left, right, _ = st.columns([1, 1, 3], vertical_alignment="bottom")
    with left:
        row = pickers.number("Row", "iv_row", n_rows, default=None) if n_rows > 1 else 0
    with right:
        typed = st.session_state.get("iv_position")
        centre = subject.centres[row]
        help = f"The next token after this position is looked at. Empty: {centre}, where the feature is strongest."
        position = pickers.number("After position", "iv_position", n_pos, default=None, help=help)
    return row, centre if typed is None and not st.query_params.get("iv_position") else position


def choose_pair(subject: Subject) -> tuple[int, int] | None:
    """Pick the two tokens of a logit difference; None until both are there."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        help = "One token as text, spaces and all, or its id as #123. Fill in both for a logit difference."
        typed = [
            st.text_input(f"Token {name}", key=f"iv_{name}", bind="query-params", width=180, max_chars=100, help=help)
            for name in "AB"
        ]
    if not all(typed):
        return None
    return typed_token(subject.model, typed[0]), typed_token(subject.model, typed[1])


def _provenance(subject: Subject, picked: Picked, **more: str | int | float | bool | None) -> dict:
    said = {"edit": str(picked.edit), "error_kept": picked.error, "controls": picked.note, **picked.device.inputs}
    return subject.provenance("edited run", **said | more)


def _text(subject: Subject, picked: Picked, found: Impact) -> None:
    table = found.token_table(subject.rows, subject.model.token_strings)
    # A token's change is that of the model's guess of it, which stands one position before.
    change = np.full(subject.rows.shape, np.nan)
    change[:, 1:] = found.effects.log_p_change[0, :, :-1]
    windows = [np.array(part) for part in subject.shown]
    most = max((float(np.nanmax(np.abs(change[i, part]), initial=0)) for i, part in enumerate(windows)), default=0.0)
    rows = []
    for i, part in enumerate(windows):
        pieces = subject.pieces(i)
        place = found.place[1] - int(part[0]) if found.place[0] == i and found.place[1] in part else None
        head = f"{np.nansum(change[i, part]):+.3g}"
        rows.append((head, [pieces[p] for p in part], found.acts[i, part].tolist(), change[i, part].tolist(), place))
    largest = float(np.abs(found.acts).max())
    outside = int((table["outside_band"]).sum())

    figure(
        "The text: activation as shading, change of log-likelihood as underline",
        lambda: token_text.show(charts.underlined(rows, largest=largest, most=most), charts.LINES),
        table,
        explains=["edited_activation", "next_log_p_change", "token_kl", "outside_band"],
        note=f"orange underline: the edit makes the token likelier, blue: less likely; full at {most:.3g} nats; before "
        f"each row the sum over what is drawn · {outside:,} of {len(table):,} next tokens lie outside the band of "
        f"random directions · {subject.note} · {picked.note}",
        name="edited-text",
        provenance=_provenance(subject, picked),
    )


def _inside(found: Impact, effect: float, values: np.ndarray) -> str:
    said = []
    for kind in (RANDOM, FEATURE):
        part = values[[each == kind for each in found.kinds]]
        if len(part) > 1:
            lies = band(part)
            where = "outside" if lies.outside(np.array(effect)) else "inside"
            said.append(
                f"{where} the band of {lies.n} {kind}s, {float(lies.low):.3g} to {float(lies.high):.3g} "
                f"(holds one more with probability {lies.rate:.0%})"
            )
    return ", ".join(said)


def _whole(subject: Subject, picked: Picked, found: Impact) -> None:
    if not found.reached.any():
        st.info("The edit changes no activation of this text, so it has no effect.", icon=":material/bedtime:")
        return
    table = found.effect_table()
    values = table["effect"].to_numpy()
    figure(
        "Effect on the whole text",
        altair(
            charts.strip(table, "effect", title="Change of log-likelihood per token, nats", edit=EDITED), "iv-whole"
        ),
        table,
        explains=["effect", "next_log_p_change"],
        note=f"{values[0]:+.3g} nats per token over {int(found.reached.sum()):,} tokens from the first edited one on: "
        f"{_inside(found, values[0], values[1:])} · {subject.note} · {picked.note}",
        name="edit-effect",
        provenance=_provenance(subject, picked),
    )


def _difference(subject: Subject, picked: Picked, found: Impact, pair: tuple[int, int] | None) -> None:
    if pair is None:
        st.info("Name two tokens above to see what the edit does to their logit difference.")
        return
    base, change, controls = found.difference(*pair)
    table = found.difference_table(*pair)
    a, b = (label(subject.model.token_strings[i]) for i in pair)
    figure(
        f"Logit of {a} minus logit of {b}",
        altair(
            charts.strip(table, "difference_change", title="Change of the difference, nats", edit=EDITED),
            "iv-difference",
        ),
        table,
        explains=["difference_change"],
        note=f"{base:.3g} without the edit, {base + change:.3g} with it, after position {found.place[1]} of row "
        f"{found.place[0]}: {_inside(found, change, controls)} · {picked.note}",
        name="logit-difference",
        provenance=_provenance(subject, picked, token_a=pair[0], token_b=pair[1], position=found.place[1]),
    )


def _next(subject: Subject, picked: Picked, found: Impact) -> None:
    table = found.next_table(subject.model.token_strings)
    row, position = found.place
    here = label(subject.model.token_strings[int(subject.rows[row, position])])
    kl, control_kl = found.effects.kl[0, row, position], found.effects.kl[1:-1, row, position]
    gains = table[table["next_log_p_change"] > 0]
    losses = table[table["next_log_p_change"] < 0][::-1].reset_index(drop=True)
    note = (
        f"after position {position} of row {row}, {here}; tokens with a probability of at least {LEAST_P:g} before or "
        f"after; divergence {kl:.3g} nats, {_inside(found, kl, control_kl)} "
        f"· {picked.note}"
    )
    for column, (title, part) in zip(
        st.columns(2, gap="medium"), {"What gains": gains, "What loses": losses}.items(), strict=True
    ):
        with column:
            if part.empty:
                st.info(plain(f"{title} as the next token: nothing."))
                continue
            figure(
                f"{title} as the next token",
                listing(part, f"iv-{title}", height=330, order=_ORDER),
                part,
                explains=["next_log_p_change", "next_p", "token_kl"],
                note=note,
                name=title.lower().replace(" ", "-"),
                provenance=_provenance(subject, picked, position=position, row=row),
            )
