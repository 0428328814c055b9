"""The search behind core/geometry/neighbors.py: it multiplies all rows with all rows in tiles and uses each tile twice.

A tile A_i B_j' has candidates for the rows of A and, transposed, for those of B. If A and B are the same, only half of
the product is needed. No torch is imported.
"""

import threading

import numpy as np
from jaxtyping import Float, Int

from core.maths.unit_rows import inverse_lengths
from core.work.progress import SILENT, Progress, Stage
from core.work.threads import available_cpus, run_all

_BLOCK = 512
_NOTHING, _SELF = np.float32(-1.5), np.float32(-2)
"""Both are below every cosine."""


class Side:
    """Finite rows and, for each, its k nearest rows on the other side, which a search writes to `cos` and `idx`."""

    def __init__(self, rows: Float[np.ndarray, "n d"], k: int):
        self.rows = np.ascontiguousarray(rows, np.float32)
        self.k = k
        self.cos = np.empty((len(rows), k), np.float32)
        self.idx = np.empty((len(rows), k), np.int32)

    def begin(self) -> None:
        """Make the arrays that the search on the CPU works with."""
        self.scale = inverse_lengths(self.rows)
        self.unit = np.empty_like(self.rows)
        np.multiply(self.rows, self.scale[:, None], out=self.unit, casting="same_kind")
        # Room for candidates between two selections. With much more, a row's candidates would not fit the cache.
        n, room = len(self.rows), 2 * self.k + 192
        self.values = np.empty((n, room), np.float32)
        self.ids = np.empty((n, room), np.int32)
        self.counts = np.zeros(n, np.int64)
        # A zero row takes no candidates, as all its cosines are 0.
        self.thresholds = np.where(self.scale > 0, _NOTHING, np.float32(np.inf))


def search(
    a: Side, b: Side, *, progress: Progress = SILENT, workers: int | None = None, block: int | None = None
) -> None:
    """Fill `cos` and `idx` of both sides, which may be the same side; `progress.update` counts tiles and may raise."""
    workers = workers or available_cpus()
    for side in {a, b}:
        side.begin()
    tiles = _Tiles(a, b, block or _BLOCK, workers)
    pairs, parts = tiles.pairs(), tiles.parts()
    total = len(pairs) + len(parts)
    run_all(tiles.offer, pairs, workers=workers, progress=Stage(progress, 0, total))
    run_all(tiles.settle, parts, workers=workers, progress=Stage(progress, len(pairs), total))


class _Tiles:
    """The tiles of a product, and the two steps of the search; `offer` and `settle` run on several threads at once."""

    def __init__(self, a: Side, b: Side, block: int, workers: int):
        self.a, self.b, self.same = a, b, a is b
        self.block = min(block, max(len(a.rows), len(b.rows)))
        # The float32 cosine of two rounded unit rows may be wrong by half of this, either way.
        self.margin = np.float32(2 * (a.rows.shape[1] + 8) * 2.0**-24)
        self.buffers = [np.empty((2, self.block**2), np.float32) for _ in range(workers)]
        self.locks = {part: threading.Lock() for part in self.parts()}

    def parts(self) -> list[tuple[Side, int]]:
        """Return the blocks of rows of both sides."""
        sides = (self.a,) if self.same else (self.a, self.b)
        return [(side, start) for side in sides for start in range(0, len(side.rows), self.block)]

    def pairs(self) -> list[tuple[int, int]]:
        """Return the starts of the tiles. Tiles next to each other have different rows, so that threads rarely wait."""
        i_starts, j_starts = (range(0, len(side.rows), self.block) for side in (self.a, self.b))
        pairs = [
            (i, j_starts[(n + shift) % len(j_starts)]) for shift in range(len(j_starts)) for n, i in enumerate(i_starts)
        ]
        return [(i, j) for i, j in pairs if i <= j or not self.same]

    def offer(self, pair: tuple[int, int]) -> None:
        """Multiply one tile and offer its values as candidates to the rows of both sides."""
        from core.geometry.kernels import transpose

        i, j = pair
        rows, columns = self.a.unit[i : i + self.block], self.b.unit[j : j + self.block]
        shape = len(rows), len(columns)
        buffer = self.buffers.pop()
        try:
            tile, turned = (part[: len(rows) * len(columns)] for part in buffer)
            tile = np.matmul(rows, columns.T, out=tile.reshape(shape))
            if self.same and i == j:
                np.fill_diagonal(tile, _SELF)
            else:
                turned = turned.reshape(shape[::-1])
                transpose(tile, turned)
                self._keep(self.b, j, turned, i)
            self._keep(self.a, i, tile, j)
        finally:
            self.buffers.append(buffer)

    def _keep(self, side: Side, start: int, tile: Float[np.ndarray, "row column"], first: int) -> None:
        from core.geometry.kernels import keep_best

        part = slice(start, start + len(tile))
        with self.locks[side, start]:
            keep_best(
                tile,
                first,
                side.k,
                self.margin,
                side.values[part],
                side.ids[part],
                side.counts[part],
                side.thresholds[part],
            )

    def settle(self, part: tuple[Side, int]) -> None:
        """Choose the k nearest among the candidates of a block of rows."""
        from core.geometry.kernels import drop_all_hopeless

        side, start = part
        at = slice(start, min(start + self.block, len(side.rows)))
        ids, counts = side.ids[at], side.counts[at]
        drop_all_hopeless(side.values[at], ids, counts, side.k, self.margin)
        side.cos[at], side.idx[at] = self._best(side, at, ids[:, : max(counts.max(), side.k)], counts)
        for r in np.flatnonzero(counts < side.k):
            # A zero row has cosine 0 with all others, so it takes the first k. A crowded row looks at all others.
            others = np.arange(len(self._other(side).rows), dtype=np.int32)
            others = np.delete(others, start + r) if self.same else others
            chosen = (others[: side.k] if side.scale[start + r] == 0 else others)[None]
            row = slice(start + r, start + r + 1)
            side.cos[row], side.idx[row] = self._best(side, row, chosen, np.array([chosen.size]))

    def _best(
        self, side: Side, rows: slice, ids: Int[np.ndarray, "row room"], counts: Int[np.ndarray, " row"]
    ) -> tuple[Float[np.ndarray, "row k"], Int[np.ndarray, "row k"]]:
        """Return each row's k best of its first `counts` candidates; ties: lower row first."""
        from core.geometry.kernels import exact_cosines

        other, exact = self._other(side), np.full(ids.shape, -np.inf, np.float32)
        exact_cosines(side.rows[rows], side.scale[rows], other.rows, other.scale, ids, counts, exact)
        order = np.lexsort((ids, -exact))[:, : side.k]
        return np.take_along_axis(exact, order, axis=1), np.take_along_axis(ids, order, axis=1)

    def _other(self, side: Side) -> Side:
        return self.a if side is self.b else self.b
