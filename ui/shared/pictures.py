"""A figure as files for a paper: Vega-Lite JSON, SVG and PNG, with its title, note and provenance inside.

A picture has the colours of the page, light or dark, and is drawn on this machine: nothing is fetched.
"""

import importlib.util
import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from core.characters import whole
from core.errors import LoupeError
from ui.shared.chart_parts import PARTS
from ui.shared.escape import signs

_WIDTH, _HEIGHT = 640, 300
"""Pixels of a chart that names no size, because the page stretches it."""
_COLOURS = {False: ("#ffffff", "#1f2328", "#e6e7ea"), True: ("#0f1216", "#e6e8eb", "#2c333d")}
"""By whether the page is dark: background, text and grid."""
MISSING = "Pictures need vl-convert, which is not installed: `pip install vl-convert-python`, then start the app again."
_PIXELS = 3
"""Pixels of a PNG for each pixel on the page: 1,920 across, enough for a column of print."""


class NoPicturesError(LoupeError):
    """What draws pictures is not installed. Of all that the app needs, it alone is an extra of the package."""


def can_draw() -> bool:
    """Whether pictures can be drawn here."""
    return importlib.util.find_spec("vl_convert") is not None


def specification(
    charts: Sequence[Any], *, title: str, note: str, provenance: Mapping[str, object], dark: bool, text_scale: float = 1
) -> dict[str, Any]:
    """Return one Vega-Lite specification of all charts of a figure, below each other, with their data inside.

    `text_scale` multiplies the size of letters, for talks. What only a page can do, such as selecting, is left out.
    """
    specs = [_without_params(_inline(chart).to_dict()) for chart in charts]
    config = specs[0].pop("config", {})
    for spec in specs[1:]:
        spec.pop("config", None)
    whole = specs[0] if len(specs) == 1 and "title" not in specs[0] else {"vconcat": specs}
    if "mark" in whole or "layer" in whole:
        whole.setdefault("width", _WIDTH)
    # Vega-Lite looks for tables at the top only.
    datasets = {name: rows for spec in specs for name, rows in spec.pop("datasets", {}).items()}
    for spec in specs:
        spec.pop("$schema", None)
    note = without_advice(note)
    title, note = signs(title), signs(note)
    said = {"text": title, "subtitle": textwrap.wrap(note, 110), "anchor": "start", "offset": 12}
    return {
        "$schema": alt.SCHEMA_URL,
        **whole,
        "title": said,
        "description": f"{title}. {note}",
        "datasets": datasets,
        "usermeta": {"title": title, "provenance": dict(provenance)},
        "config": _merged(_look(dark, text_scale), config),
    }


def without_advice(note: str) -> str:
    """Return a figure's note without what only a page can do."""
    return " · ".join(part for part in note.split(" · ") if not part.startswith(("click ", "drag ")))


def _converter():
    """Import what turns a specification into a picture. Raises NoPicturesError if it is not installed."""
    if not can_draw():
        raise NoPicturesError(MISSING)
    import vl_convert

    return vl_convert


def to_json(spec: dict[str, Any]) -> bytes:
    """Return a specification as UTF-8 text."""
    return whole(json.dumps(spec, ensure_ascii=False, indent=1, default=str)).encode("utf-8")


def to_svg(spec: dict[str, Any]) -> bytes:
    """Return a picture of lines and letters; title, note and provenance stand in its title and metadata."""
    text = _converter().vegalite_to_svg(to_json(spec).decode(), vl_version=_version(), allowed_base_urls=[])
    head, close, rest = text.partition(">")
    said = f"<title>{escape(_plain(spec['description']))}</title><metadata>{escape(_provenance(spec))}</metadata>"
    return f"{head}{close}{said}{rest}".encode("utf-8", "replace")


def to_png(spec: dict[str, Any]) -> bytes:
    """Return a picture of pixels, three for each on the page; title, note and provenance stand in its text chunks."""
    from PIL import Image, PngImagePlugin

    drawn = _converter().vegalite_to_png(
        to_json(spec).decode(), vl_version=_version(), scale=_PIXELS, allowed_base_urls=[]
    )
    said = PngImagePlugin.PngInfo()
    said.add_itxt("Title", _plain(spec["usermeta"]["title"]))
    said.add_itxt("Description", _plain(spec["description"]))
    said.add_itxt("Comment", _provenance(spec))
    target = io.BytesIO()
    Image.open(io.BytesIO(drawn)).save(target, "PNG", pnginfo=said)
    return target.getvalue()


def _version() -> str:
    """Return Vega-Lite's version as vl-convert names it: that of Altair's schema."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


def _provenance(spec: dict[str, Any]) -> str:
    return _plain(json.dumps(spec["usermeta"]["provenance"], sort_keys=True, ensure_ascii=False, default=str))


def _plain(text: str) -> str:
    """Return a text without half characters and control characters, which neither XML nor PNG can hold."""
    return "".join(c if c.isprintable() else " " for c in text.encode("utf-8", "replace").decode())


def _inline(chart: Any) -> Any:
    """Return a copy whose tables stand in the specification itself, however many rows they have."""
    chart = chart.copy(deep=[*PARTS, "spec"])
    for name in PARTS:
        parts = chart._get(name)
        if isinstance(parts, list):
            chart[name] = [_inline(part) for part in parts]
    if isinstance(chart.data, pd.DataFrame):
        # pandas writes NaN and infinity as null, which a chart leaves out.
        rows = json.loads(chart.data.to_json(orient="records", double_precision=15, date_format="iso"))
        chart.data = alt.InlineData(values=rows)
    return chart


def _without_params(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {name: _without_params(held) for name, held in spec.items() if name != "params"}
    return [_without_params(held) for held in spec] if isinstance(spec, list) else spec


def _look(dark: bool, text_scale: float) -> dict[str, Any]:
    background, text, grid = _COLOURS[dark]
    label, heading = round(11 * text_scale, 1), round(12 * text_scale, 1)
    letters = {"labelFontSize": label, "titleFontSize": heading, "labelColor": text, "titleColor": text}
    return {
        "background": background,
        "font": "Helvetica, Arial, sans-serif",
        "view": {"stroke": None, "continuousWidth": _WIDTH, "continuousHeight": _HEIGHT},
        "title": {
            "fontSize": round(14 * text_scale, 1),
            "subtitleFontSize": round(10 * text_scale, 1),
            "color": text,
            "subtitleColor": text,
        },
        "axis": {**letters, "gridColor": grid, "domainColor": grid, "tickColor": grid, "titleFontWeight": "normal"},
        "legend": {**letters, "titleFontWeight": "normal"},
        "text": {"color": text},
    }


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return both, the chart's own settings above ours."""
    both = {
        name: _merged(held, own[name]) if isinstance(held, dict) and isinstance(own.get(name), dict) else held
        for name, held in base.items()
    }
    return both | {name: held for name, held in own.items() if not isinstance(both.get(name), dict)}
