"""Read untrusted JSON: files of bounded size, and only values of the expected type."""

import gzip
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from core.amounts import of_bytes
from core.dashboards import BadDashboardError, Example, Histogram

MOST_BYTES = 512 * 2**20
"""Of one file, unpacked."""
MOST_EXAMPLES, MOST_TOKENS, LONGEST_TEXT = 200, 2048, 500


def inside(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Sort files, passing over links that lead out of the folder."""
    root = folder.resolve()
    return sorted(path for path in paths if path.resolve().is_relative_to(root) and path.is_file())


def content(path: Path) -> bytes:
    """Read a file, unpacked if it is gzip. Raises BadDashboardError if it is broken or larger than MOST_BYTES."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadDashboardError(
            f"{path} cannot be read ({type(error).__name__}: {str(error)[:200]}). Expected a whole file; copy it again."
        ) from error
    if len(data) > MOST_BYTES:
        raise BadDashboardError(
            f"{path} holds more than {of_bytes(MOST_BYTES)}, expected a batch of dashboards. Split it up."
        )
    return data


def parse(text: bytes | str, path: Path) -> Any:
    """Parse JSON. Raises BadDashboardError naming the file."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDashboardError(
            f"{path} is not valid JSON ({str(error)[:200]}). Expected a file as its tool wrote it; save it again."
        ) from error


def lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file with one JSON object in each line."""
    for line in content(path).splitlines():
        if line.strip():
            item = parse(line, path)
            if isinstance(item, dict):
                yield item


def index(value: Any) -> int | None:
    """A feature number, given as a number or as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**9 else None


def number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and math.isfinite(value) else None


def numbers(values: Any, most: int = MOST_TOKENS) -> tuple[float, ...]:
    """Finite numbers of a list, others as 0; empty for anything but a list."""
    return tuple(number(value) or 0.0 for value in values[:most]) if isinstance(values, list) else ()


def strings(values: Any, most: int = MOST_TOKENS) -> tuple[str, ...]:
    """The items of a list as text, each cut to LONGEST_TEXT; empty for anything but a list."""
    return tuple(str(value)[:LONGEST_TEXT] for value in values[:most]) if isinstance(values, list) else ()


def weighted(tokens: Any, values: Any) -> tuple[tuple[str, float], ...]:
    """Pair tokens with their numbers, as far as both go."""
    return tuple(zip(strings(tokens, 100), numbers(values, 100), strict=False))


def histogram(values: Any, heights: Any) -> Histogram | None:
    """Bars, None where either list is empty; edges (one value more than bars) become middles."""
    at, high = numbers(values), numbers(heights)
    if len(at) == len(high) + 1:
        at = tuple((left + right) / 2 for left, right in pairwise(at))
    n = min(len(at), len(high))
    return Histogram(at[:n], high[:n]) if n else None


def example(tokens: Any, values: Any, group: str) -> Example | None:
    """One example, None where tokens or values are missing."""
    texts, acts = strings(tokens), numbers(values)
    n = min(len(texts), len(acts))
    return Example(group, texts[:n], acts[:n]) if n else None
