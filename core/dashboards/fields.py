"""Read untrusted JSON: files of bounded size, and only values of the expected type."""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

from core.amounts import of_bytes
from core.characters import whole
from core.dashboards import BadDashboardError, Example, Histogram, readable

MOST_BYTES = 512 * 2**20
"""Largest size of one file, unpacked."""
MOST_RATIO, HARMLESS_BYTES = 100, 16 * 2**20
"""A gzip file may unpack to HARMLESS_BYTES, or to MOST_RATIO times its size; real dashboards unpack to 30 times."""
LONGEST_LINE = 32 * 2**20
"""Longest line in a file with one object on each line. Python needs up to 30 times its size in memory."""
MOST_LINES = 2**20
"""Lines of such a file; real batches hold thousands. Millions of empty objects would take minutes to read."""
MOST_EXAMPLES, MOST_TOKENS, LONGEST_TEXT = 200, 2048, 500


def inside(folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the files among `paths`, sorted, without links that lead out of the folder."""
    root = folder.resolve()
    return sorted(path for path in paths if path.resolve().is_relative_to(root) and path.is_file())


FeaturesOf = Callable[[Path, int], frozenset[int] | BadDashboardError]
"""Gives the features of a file with its time of change, or says why the file cannot be read."""


def places_in(paths: Iterable[Path], features_of: FeaturesOf, skipped: list[BadDashboardError]) -> dict[int, Path]:
    """Map features to the file that holds them. Damaged files are passed over; `skipped` receives an error for each."""
    places: dict[int, Path] = {}
    for path in paths:
        known = features_at(path, features_of)
        if isinstance(known, BadDashboardError):
            skipped.append(known)
        else:
            places |= dict.fromkeys(known, path)
    return places


def features_at(path: Path, features_of: FeaturesOf) -> frozenset[int] | BadDashboardError:
    """Return the features of a file as it is now, or why it cannot be read."""
    try:
        with readable(str(path)):
            return features_of(path, path.stat().st_mtime_ns)
    except BadDashboardError as error:
        return error


def features_or_why(read: Callable[[], Iterable[int]]) -> frozenset[int] | BadDashboardError:
    """Return the features that `read` finds, or its error, to be remembered; without what the error held in memory.

    Raises BadDashboardError where the system refused the file: that may end without a change of the file.
    """
    try:
        return frozenset(read())
    except BadDashboardError as error:
        if getattr(error.__cause__, "errno", None) is not None:
            raise
        return BadDashboardError(str(error))


def content(path: Path) -> bytes:
    """Read a file, unpacked if it is gzip. Raises BadDashboardError if it is broken or too large."""
    with _opened(path) as (file, most):
        data = file.read(most + 1)
    if len(data) > most:
        raise _too_large(path, most)
    return data


def head(path: Path, n: int) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(n)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Open a file, unpacked if it is gzip; yield it and the largest number of bytes that may be read from it."""
    try:
        packed = path.suffix == ".gz"
        most = min(MOST_BYTES, max(HARMLESS_BYTES, MOST_RATIO * path.stat().st_size)) if packed else MOST_BYTES
        with gzip.open(path) if packed else path.open("rb") as file:
            yield file, most
    except (OSError, EOFError, zlib.error) as error:
        raise BadDashboardError(
            f"{path} cannot be read ({type(error).__name__}: {str(error)[:200]}). Expected a whole file; copy it again."
        ) from error


def _too_large(path: Path, most: int, what: str = "it") -> BadDashboardError:
    return BadDashboardError(
        f"{path} is not read: {what} holds more than {of_bytes(most)}, expected a batch of dashboards. Split it up."
    )


def parse(text: bytes | str, path: Path) -> Any:
    """Parse JSON. Raises BadDashboardError, which names the file."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDashboardError(
            f"{path} is not valid JSON ({str(error)[:200]}). Expected a file as its tool wrote it; save it again."
        ) from error


def lines(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a file with one JSON object on each line. Raises BadDashboardError, as `content` does."""
    done, n = 0, 0
    with _opened(path) as (file, most):
        while line := file.readline(LONGEST_LINE + 1):
            done, n = done + len(line), n + 1
            if len(line) > LONGEST_LINE:
                raise _too_large(path, LONGEST_LINE, "a line of it")
            if done > most:
                raise _too_large(path, most)
            if n > MOST_LINES:
                raise BadDashboardError(
                    f"{path} is not read: it holds more than {MOST_LINES:,} lines, expected a batch of dashboards. "
                    "Split it up."
                )
            if line.strip():
                item = parse(line, path)
                if isinstance(item, dict):
                    yield item


def index(value: Any) -> int | None:
    """Return a feature number that is given as a number or as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if type(value) is int and 0 <= value < 10**9 else None


def number(value: Any) -> float | None:
    """Return a finite number as float; None for anything else, and for whole numbers too large for a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def numbers(values: Any, most: int = MOST_TOKENS) -> tuple[float, ...]:
    """Return the items of a list as finite numbers, others as 0; empty for anything but a list."""
    return tuple(number(value) or 0.0 for value in values[:most]) if isinstance(values, list) else ()


def strings(values: Any, most: int = MOST_TOKENS) -> tuple[str, ...]:
    """Return the items of a list as text, each cut to LONGEST_TEXT; empty for anything but a list."""
    return tuple(short(str(value)) for value in values[:most]) if isinstance(values, list) else ()


def short(text: str) -> str:
    """Cut a text to LONGEST_TEXT; half characters, which cannot be shown, become U+FFFD."""
    return whole(text[:LONGEST_TEXT])


def weighted(tokens: Any, values: Any) -> tuple[tuple[str, float], ...]:
    """Pair tokens with their numbers, up to the end of the shorter list."""
    return tuple(zip(strings(tokens, 100), numbers(values, 100), strict=False))


def histogram(values: Any, heights: Any) -> Histogram | None:
    """Return bars, None if either list is empty. Edges (one value more than heights) become middles."""
    at, high = numbers(values), numbers(heights)
    if len(at) == len(high) + 1:
        at = tuple(left / 2 + right / 2 for left, right in pairwise(at))
    n = min(len(at), len(high))
    return Histogram(at[:n], high[:n]) if n else None


def example(tokens: Any, values: Any, group: str) -> Example | None:
    """Return an example, None if tokens or values are missing."""
    texts, acts = strings(tokens), numbers(values)
    n = min(len(texts), len(acts))
    return Example(group, texts[:n], acts[:n]) if n else None
