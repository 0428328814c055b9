"""How many marks and bytes a chart sends to the browser, read from Streamlit's message."""

import json
from collections.abc import Iterator

import pyarrow as pa

LINES = ("line", "area", "trail")
"""One such mark joins many rows."""


def marks_and_bytes(chart) -> tuple[int, int]:
    """Count the marks of a chart's message (VegaLiteChart) and its bytes.

    Every row is a mark, once for each layer that draws it. Lines and areas are not counted: a row is a corner of one.
    """
    rows = {item.name: _rows(item.data.data) for item in chart.datasets}
    rows[""] = _rows(chart.data.data) if chart.data.data else 0
    spec = json.loads(chart.spec)
    return sum(_units(spec, rows, rows[""])), chart.ByteSize()


def _rows(data: bytes) -> int:
    return pa.ipc.open_stream(data).read_all().num_rows


def _units(part: dict, rows: dict[str, int], above: int) -> Iterator[int]:
    """Yield the marks of each unit; a unit without data has those of the part around it."""
    data = part.get("data")
    if isinstance(data, dict):
        above = rows.get(data["name"], 0) if "name" in data else len(data.get("values", []))
    inner = [other for name in ("layer", "hconcat", "vconcat", "concat") for other in part.get(name, [])]
    inner += [part["spec"]] if "spec" in part else []
    for other in inner:
        yield from _units(other, rows, above)
    mark = part.get("mark")
    kind = mark.get("type") if isinstance(mark, dict) else mark
    if kind and kind not in LINES:
        yield above
