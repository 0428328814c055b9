"""Write a report as one HTML file for paper and for colleagues: it opens anywhere and fetches nothing."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import quote

from core import catalogue, tables
from core.characters import whole
from core.installation import APP_VERSION
from core.work.progress import SILENT, Progress
from ui.shared import pictures, token_text
from ui.shared.audit import held_by
from ui.shared.escape import signs, signs_in_table
from ui.shared.report import Entry, Section

_ROWS = 50
"""Rows of a table that a report shows."""
_MOST_CSV = 2_000_000
"""Bytes of a table that a report carries as CSV."""
_MOST_MARKS = 5_000
"""Rows of a chart up to which it is drawn by lines and letters; with more, it is a picture of pixels."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the file may load: nothing but what it holds. Scripts do not run."""


def write(title: str, about: str, sections: Sequence[Section], *, dark: bool, progress: Progress = SILENT) -> bytes:
    """Return the report as UTF-8. `about` says in a line what the page asks; progress counts figures.

    Charts have the colours of the page that drew them, so the file is `dark` where that was.
    """
    total, done, parts = sum(len(section.entries) for section in sections), 0, []
    for section in sections:
        if not (section.entries or section.numbers):
            continue
        parts.append(f"<h2>{_text(section.title)}</h2>" if section.title else "")
        parts.append(_numbers(section))
        for entry in section.entries:
            progress.update(done, total)
            parts.append("\n".join(_figure(entry, dark)))
            done += 1
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<style>:root{{color-scheme:{'dark' if dark else 'light'}}}{_style()}</style>{token_text.STYLE}</head>"
    )
    body = f"<body><h1>{_text(title)}</h1><p>{_text(about)}</p><p>{_text(_sources(sections))}</p>"
    return whole("\n".join([head, body, *parts, "</body></html>"])).encode("utf-8")


@cache
def _style() -> str:
    return (Path(__file__).parent / "report.css").read_text(encoding="utf-8")


def _sources(sections: Sequence[Section]) -> str:
    """Say which dictionaries the figures are of, and what wrote them."""
    said = [
        held for section in sections for entry in section.entries for held in entry.provenance.get("dictionaries") or ()
    ]
    shown = {f"{held['id']} (sha256 {held['sha256'][:16]})": None for held in said}
    return f"Of {', '.join(shown)}. Written by SAE Loupe {APP_VERSION}." if shown else ""


def _text(text: object) -> str:
    return escape(signs(str(text)))


def _numbers(section: Section) -> str:
    pairs = (f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in section.numbers.items())
    if not section.numbers:
        return ""
    return f"<dl>{''.join(pairs)}</dl>{_computed(section.explains)}{_said(section.provenance)}"


def _figure(entry: Entry, dark: bool) -> Iterator[str]:
    yield f"<section><h3>{_text(entry.title)}</h3>"
    if entry.charts:
        yield _picture(entry, dark)
    yield from entry.texts
    if not entry.texts:  # a table beside texts lists their tokens, thousands of rows
        yield _table(entry)
    yield f"<p>{_text(pictures.without_advice(entry.note))}</p>"
    yield _computed(entry.explains)
    yield _said(entry.provenance)
    yield f"<p>{_download(entry)}</p></section>"


def _picture(entry: Entry, dark: bool) -> str:
    """Return the charts as an image of their own: ids in one SVG would meet those of the next."""
    spec = pictures.specification(entry.charts, title=entry.title, note="", provenance=entry.provenance, dark=dark)
    del spec["title"]
    many = sum(len(rows) for rows in spec["datasets"].values()) > _MOST_MARKS
    drawn, kind = (pictures.to_png(spec), "png") if many else (pictures.to_svg(spec), "svg+xml")
    data = base64.b64encode(drawn).decode("ascii")
    return f'<img alt="{_text(spec["description"])}" src="data:image/{kind};base64,{data}">'


def _table(entry: Entry) -> str:
    shown = signs_in_table(entry.table.head(_ROWS))
    titles = [_title(str(name)) for name in shown.columns]
    rows = shown.set_axis(titles, axis=1).to_html(index=False, border=0, float_format=lambda value: f"{value:.4g}")
    if len(entry.table) <= _ROWS:
        return rows if len(entry.table) else ""
    opened = "" if entry.charts else " open"
    return f"<details{opened}><summary>The first {_ROWS} of {len(entry.table):,} rows</summary>{rows}</details>"


def _title(column: str) -> str:
    name = catalogue.ALIASES.get(column, column)
    return catalogue.STATISTICS[name].title if name in catalogue.STATISTICS else column


def _computed(explains: Sequence[str]) -> str:
    return f"<details><summary>How it is computed</summary>{''.join(map(_definition, explains))}</details>"


def _said(provenance: Mapping[str, object]) -> str:
    said = json.dumps(dict(provenance), indent=1, ensure_ascii=False, default=str)
    return f"<details><summary>Provenance</summary><pre>{_text(said)}</pre></details>"


def _definition(name: str) -> str:
    title, rule, meaning = map(_text, catalogue.definition(name))
    return f"<p><b>{title}</b>{rule}<br>{meaning} {_text(f'It is {held_by(name)}.')}</p>"


def _download(entry: Entry) -> str:
    """Return a link to the whole table inside the file."""
    csv = tables.to_csv(entry.table)
    if len(csv) > _MOST_CSV:
        return f"The table has {len(entry.table):,} rows; save it from the page."
    name = quote(f"{entry.name}.csv")
    return f'<a download="{name}" href="data:text/csv;base64,{base64.b64encode(csv).decode("ascii")}">{_text(name)}</a>'
