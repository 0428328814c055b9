"""Largest values with a rule for ties, and sums in float64, in whole arrays. Imports torch: import lazily.

torch.topk has no rule for equal values: which ones it takes, and in what order, differs between devices.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

_LOW = 0x7FFFFFFF
_CHUNK = 256
_GROUP = 32


def rising(x: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Return float32 values as int32 in the same order; -0.0 and 0.0 are one value."""
    bits = (x + 0.0).view(torch.int32)
    return bits ^ ((bits >> 31) & _LOW)


def from_rising(order: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the float32 values of what `rising` returned."""
    return (order ^ ((order >> 31) & _LOW)).view(torch.float32)


def pack(values: Float[Tensor, "*shape"], ids: Int[Tensor, "*ids"]) -> Int[Tensor, "*shape"]:
    """Return one int64 for each float32 value and number: larger for a larger value, then for a lower number."""
    return (rising(values).long() << 32) | (_LOW - ids.long())


def unpack(keys: Int[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], Int[Tensor, "*shape"]]:
    """Return values and numbers of packed keys."""
    return from_rising((keys >> 32).int()), _LOW - (keys & _LOW)


def top_keys(x: Float[Tensor, "row column"], k: int, first: int = 0) -> Int[Tensor, "row k"]:
    """Return the packed k largest of each row, best first; ties: lower column first. Columns count from `first`.

    NaN counts as the smallest value. Keys are made for the k values that torch chose, and for a whole row only if more
    columns hold the k-th value than torch chose.
    """
    k = min(k, x.shape[1])
    x = torch.where(x.isnan(), -torch.inf, x)
    values, ids = x.topk(k, dim=1)
    edge = values[:, -1:]
    keys = pack(values, ids + first)
    cut = ((x == edge).sum(1) != (values == edge).sum(1)).nonzero()[:, 0]
    for rows in cut.split(max(1, 2**26 // x.shape[1])):
        columns = torch.arange(first, first + x.shape[1], device=x.device)
        keys[rows] = pack(x[rows], columns).topk(k, dim=1).values
    return keys.sort(dim=1, descending=True).values


def extreme_keys(
    x: Float[Tensor, "row column"], k: int, first: int = 0
) -> tuple[Int[Tensor, "row k"], Int[Tensor, "row k"]]:
    """Return `top_keys` of x and of -x. If x has many more columns than k, x is read only once.

    The k largest lie in the k groups of neighbouring columns with the largest maxima, ties: lower group first. If one
    of them lay in another group, each of these k would hold a value that comes before it.
    """
    n_groups = x.shape[1] // _GROUP
    if n_groups < 2 * k:
        return top_keys(x, k, first), top_keys(-x, k, first)
    whole = x[:, : n_groups * _GROUP]
    low, high = whole.unflatten(1, (n_groups, _GROUP)).aminmax(dim=2)
    if high.isnan().any():
        return top_keys(x, k, first), top_keys(-x, k, first)
    rest = torch.arange(n_groups * _GROUP, x.shape[1], device=x.device).expand(len(x), -1)
    inside = torch.arange(_GROUP, device=x.device)

    def best(maxima: Tensor, sign: int) -> Tensor:
        groups = unpack(top_keys(maxima, k))[1]
        columns = torch.cat([(groups[..., None] * _GROUP + inside).flatten(1), rest], dim=1)
        return pack(sign * x.gather(1, columns), columns + first).topk(k, dim=1).values

    return best(high, 1), best(-low, -1)


def merge_keys(a: Int[Tensor, "row ka"], b: Int[Tensor, "row kb"], k: int) -> Int[Tensor, "row k"]:
    """Return the k largest of two lists of packed keys."""
    return torch.cat([a, b], dim=1).sort(dim=1, descending=True).values[:, :k]


def sum64(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """Return float64 sums over the last axis: float32 within 256 values, as in the compiled loops.

    x.sum(dtype=torch.float64) makes a float64 copy of all of x first.
    """
    parts = x.shape[-1] // _CHUNK
    whole = x[..., : parts * _CHUNK].unflatten(-1, (parts, _CHUNK)).sum(-1).sum(-1, dtype=torch.float64)
    return whole + x[..., parts * _CHUNK :].sum(-1, dtype=torch.float64)
