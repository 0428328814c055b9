"""The exact neighbour search in whole arrays, for a device. Imports torch: import lazily.

As on the CPU, a float32 product selects candidates (the screen), and float64 decides. Let c be the true cosine of a
pair, s the screened one, and |s - c| <= e for all pairs of a row. Then the k-th largest s of the row is at most its
k-th largest c plus e, so that each of the true k nearest has s >= s_(k) - 2 e. If even the last of the row's
k + RESERVE best is over this bound, a true one may be missing, and float64 decides among all pairs of the row.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.devices.blocks import on_its_device, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.placed import fetch, place
from core.geometry.search import Side
from core.work.progress import SILENT, Progress, Stage

RESERVE = 32
"""Candidates beyond k. With k = 100, no row of 24,576 rows of width 768 needed more than 5."""
_MOST_GATHERED = 2**29
"""Largest number of floats in the rows of candidates that are gathered at a time."""


class Rows:
    """One side's rows on a device."""

    def __init__(self, side: Side, device: Device):
        self.rows = place(side.rows, device)
        self.scale, self.unit, self.off = map(torch.cat, zip(*map(_scaled, self.rows.split(4096)), strict=True))

    def error_against(self, other: "Rows") -> Float[Tensor, " row"]:
        """Return, for each row, a bound of the error of its screened cosines with all rows of `other`.

        It has three parts. The product reads rounded rows: |x.y - x'.y'| <= |x - x'| |y| + |x'| |y - y'|. It rounds d
        times, by 2^-24 each. And cosines are ordered after rounding to float32, so that ties differ by up to 2^-24.
        """
        rounding = (self.rows.shape[1] + 8) * 2.0**-24
        off, others = self.off, float(other.off.max())
        return off + (1 + off) * others + rounding * (1 + off) * (1 + others) + 2.0**-24


def _scaled(
    rows: Float[Tensor, "row d"],
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row d"], Float[Tensor, " row"]]:
    """Return 1 / length (0 for a zero row), the unit rows that the screen reads, and how far off these are."""
    exact = rows.double()
    length = exact.square().sum(1).sqrt()
    scale = torch.where(length > 0, 1 / length, 0)
    exact *= scale[:, None]
    unit = exact.float()
    return scale, unit, (exact - unit.double()).square().sum(1).sqrt()


@on_its_device
def search_on_device(a: Side, b: Side, device: Device, *, progress: Progress = SILENT) -> None:
    """Fill `cos` and `idx` of both sides, which may be the same side; `progress` counts rows of both.

    Each way computes its own product: selecting along both axes of one product would take longer.
    """
    sides = [(a, b)] if a is b else [(a, b), (b, a)]
    placed = {id(side): Rows(side, device) for side in (a, b)}
    total = sum(len(side.rows) for side, _ in sides)
    for done, (side, other) in zip((0, len(a.rows)), sides, strict=False):
        _fill(side, placed[id(side)], placed[id(other)], device, Stage(progress, done, total))


def _fill(side: Side, own: Rows, other: Rows, device: Device, progress: Progress) -> None:
    n, d = other.rows.shape
    error, same = own.error_against(other), own is other
    reach = min(side.k + RESERVE, n - same)

    def work(rows: slice) -> None:
        cos, idx = _nearest(
            own, other, torch.arange(rows.start, rows.stop, device=error.device), error, side.k, reach, same
        )
        side.cos[rows], side.idx[rows] = fetch(cos), fetch(idx)

    step = rows_that_fit(device, len(side.rows), bytes_per_row=12 * n + 20 * reach * d, width=n)
    step = max(1, min(step, _MOST_GATHERED // (reach * d)))
    run_on_device(work, len(side.rows), step, device, progress=progress)


def _nearest(
    own: Rows, other: Rows, i: Int[Tensor, " row"], error: Float[Tensor, " d_sae"], k: int, reach: int, same: bool
) -> tuple[Float[Tensor, "row k"], Int[Tensor, "row k"]]:
    """Return cosines and numbers of the k nearest of some rows."""
    n = len(other.rows)
    screened = own.unit[i] @ other.unit.T
    if same:
        screened.scatter_(1, i[:, None], -torch.inf)
    # topk may drop any of several ties: either they are below the bound, or the row is done again.
    best, ids = screened.topk(reach, dim=1)
    bound = best[:, k - 1] - 2 * error[i]
    cos, idx = _sorted(_cosines(own, other, i, ids), ids, k)
    crowded = ((best[:, -1] >= bound) & (reach < n - same) | (own.scale[i] == 0)).nonzero()[:, 0]
    for part in crowded.split(max(1, 2**26 // n)):
        cos[part], idx[part] = _of_all(own, other, i[part], k, same)
    return cos, idx.int()


def _cosines(own: Rows, other: Rows, i: Int[Tensor, " row"], ids: Int[Tensor, "row c"]) -> Float[Tensor, "row c"]:
    """Return cosines of given pairs, summed in float64 and rounded to float32."""
    dots = torch.einsum("rd,rcd->rc", own.rows[i].double(), other.rows[ids].double())
    return (dots * own.scale[i][:, None] * other.scale[ids]).float()


def _of_all(
    own: Rows, other: Rows, i: Int[Tensor, " row"], k: int, same: bool
) -> tuple[Float[Tensor, "row k"], Int[Tensor, "row k"]]:
    """Return the k nearest among all other rows, for crowded rows and for zero rows, whose cosines are all 0."""
    parts = [
        (own.rows[i].double() @ rows.double().T) * own.scale[i][:, None] * scale
        for rows, scale in zip(other.rows.split(4096), other.scale.split(4096), strict=True)
    ]
    cos = torch.cat(parts, dim=1).float() + 0.0  # -0.0 would come after 0.0
    if same:
        cos.scatter_(1, i[:, None], -torch.inf)
    best, ids = cos.sort(dim=1, descending=True, stable=True)
    return best[:, :k], ids[:, :k]


def _sorted(
    cos: Float[Tensor, "row c"], ids: Int[Tensor, "row c"], k: int
) -> tuple[Float[Tensor, "row k"], Int[Tensor, "row k"]]:
    """Return the k best; ties: lower number first."""
    ids, order = ids.sort(dim=1)
    cos, order = (cos.gather(1, order) + 0.0).sort(dim=1, descending=True, stable=True)
    return cos[:, :k], ids.gather(1, order[:, :k])
