"""Tokens in their text, shaded by activation. Tokens come from outside, so all of them are escaped."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from ui.shared import report
from ui.shared.escape import signs

_SHOWN = {"\n": "⏎\n", "\r": "␍", "\t": "⇥   "}
_IN_ONE_LINE = _SHOWN | {"\n": "⏎"}
_PART = '<i title="{title}"{shade}>‥</i>'
"""Stands for a token that completes no character. It is no part of the text and is not copied with it."""
STYLE = """<style>
.loupe-text{font:13px/1.75 'Source Code Pro',monospace;white-space:pre-wrap;overflow-wrap:anywhere;
  padding:.35rem .2rem;border-bottom:1px solid rgba(128,128,128,.18)}
.loupe-text span{border-radius:3px}
.loupe-text i{font-style:normal;opacity:.55;user-select:none;border-radius:3px}
.loupe-text .strongest{outline:1.5px solid #ea580c}
.loupe-text b{font-weight:600;opacity:.7;margin-right:.6rem;font-variant-numeric:tabular-nums}
</style>"""


@dataclass(frozen=True)
class Passage:
    """A piece of text: for each token the text it adds, its value and its tooltip."""

    pieces: Sequence[str]
    values: Sequence[float]
    titles: Sequence[str]
    head: str = ""
    """Stands before the text; by default the largest value."""
    marked: int | None = None
    """Index of the piece with an outline."""


def visible(token: str, *, one_line: bool = False) -> str:
    """Make line breaks, tabs and unprintable characters of a token visible, and escape it for HTML."""
    shown = _IN_ONE_LINE if one_line else _SHOWN
    parts = (shown.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in token)
    return html.escape("".join(parts), quote=True)


def shaded(
    tokens: Sequence[str],
    values: Sequence[float],
    largest: float,
    *,
    titles: Sequence[str] | None = None,
    marked: int | None = None,
    one_line: bool = False,
) -> str:
    """HTML of one text, each token shaded by |value| / largest; the tooltip is its title, or token and value.

    One hue with varying opacity can be read on light and on dark pages; negative values are blue.
    """
    named = titles or [f"{token!r}  {value:.4g}" for token, value in zip(tokens, values, strict=True)]
    spans = []
    for place, (token, value, title) in enumerate(zip(tokens, values, named, strict=True)):
        share = min(1.0, abs(value) / largest) if largest > 0 else 0.0
        hue = "234,88,12" if value >= 0 else "37,99,235"
        shade = f' style="background:rgba({hue},{0.85 * share:.2f})"' if share > 0 else ""
        if place == marked:
            shade += ' class="strongest"'
        title = html.escape(signs(title), quote=True)
        spans.append(
            f'<span title="{title}"{shade}>{visible(token, one_line=one_line)}</span>'
            if token
            else _PART.format(title=title, shade=shade)
        )
    return "".join(spans)


def draw(texts: Sequence[tuple[Sequence[str], Sequence[float]]]) -> None:
    """Draw texts (tokens and values) on one scale. Each text begins with its largest value."""
    largest = max((max(values) for _, values in texts), default=0.0)
    rows = [f'<div class="loupe-text"><b>{max(v):.3g}</b>{shaded(t, v, largest)}</div>' for t, v in texts]
    show("".join(rows))


def draw_passages(passages: Sequence[Passage], *, largest: float | None = None, one_line: bool = False) -> None:
    """Draw passages on one scale: that of `largest`, or of the largest value among them.

    With `one_line`, line breaks are shown as a mark and do not break the line.
    """
    if largest is None:
        largest = max((abs(value) for one in passages for value in one.values), default=0.0)
    rows = []
    for one in passages:
        head = one.head or f"{max(one.values, key=abs, default=0.0):.3g}"
        text = shaded(one.pieces, one.values, largest, titles=one.titles, marked=one.marked, one_line=one_line)
        rows.append(f'<div class="loupe-text"><b>{html.escape(signs(head))}</b>{text}</div>')
    show("".join(rows))


def show(rows: str, style: str = "") -> None:
    """Draw texts that are HTML already, escaped, with what style they need beside that of all texts."""
    st.html(STYLE + style + rows)
    report.note_text(style + rows)
