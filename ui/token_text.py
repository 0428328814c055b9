"""Tokens in their text, shaded by activation. Tokens come from anywhere: all of them are escaped."""

import html
from collections.abc import Sequence

import streamlit as st

_SHOWN = {"\n": "⏎\n", "\r": "␍", "\t": "⇥   "}
STYLE = """<style>
.loupe-text{font:13px/1.75 'Source Code Pro',monospace;white-space:pre-wrap;overflow-wrap:anywhere;
  padding:.35rem .2rem;border-bottom:1px solid rgba(128,128,128,.18)}
.loupe-text span{border-radius:3px}
.loupe-text b{font-weight:600;opacity:.6;margin-right:.6rem;font-variant-numeric:tabular-nums}
</style>"""


def visible(token: str) -> str:
    """A token with line breaks, tabs and unprintable characters made visible, escaped for HTML."""
    parts = (_SHOWN.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in token)
    return html.escape("".join(parts), quote=True)


def shaded(tokens: Sequence[str], values: Sequence[float], largest: float) -> str:
    """HTML of one text, each token shaded by value / largest and with both in its tooltip.

    One hue at varying opacity, which reads on light and dark pages.
    """
    spans = []
    for token, value in zip(tokens, values, strict=True):
        share = min(1.0, max(0.0, value / largest)) if largest > 0 else 0.0
        title = html.escape(f"{token!r}  {value:.4g}", quote=True)
        spans.append(
            f'<span title="{title}" style="background:rgba(234,88,12,{0.85 * share:.2f})">{visible(token)}</span>'
        )
    return "".join(spans)


def draw(texts: Sequence[tuple[Sequence[str], Sequence[float]]]) -> None:
    """Draw texts (tokens and values), each with its largest value in front, all on one scale."""
    largest = max((max(values) for _, values in texts), default=0.0)
    rows = [f'<div class="loupe-text"><b>{max(v):.3g}</b>{shaded(t, v, largest)}</div>' for t, v in texts]
    st.html(STYLE + "".join(rows))
