"""Extremes of the running sum and rank sums of token sets in whole arrays, for a device. Imports torch: import lazily.

The compiled loop walks each feature's tokens for all sets at once. Here a block of features is sorted once, and each
set gathers and sorts only the ranks of its own members. The largest value of the running sum is 0 or comes right after
a member, and its least is 0 or comes right before one.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.devices.blocks import on_its_device, rows_that_fit, run_on_device
from core.devices.device import Device
from core.devices.placed import fetch, place
from core.logit_weights.unembedding import Unembedding
from core.work.progress import SILENT, Progress


@on_its_device
def running_sum_extremes(
    directions: Float[np.ndarray, "d_sae d_model"],
    unembedding: Unembedding,
    least_range: Float[np.ndarray, " d_sae"],
    members: Sequence[Int[np.ndarray, " _"]],
    device: Device,
    *,
    progress: Progress = SILENT,
) -> tuple[
    Int[np.ndarray, "d_sae n_sets"],
    Int[np.ndarray, "d_sae n_sets"],
    Int[np.ndarray, "d_sae n_sets"],
    Bool[np.ndarray, " d_sae"],
]:
    """Return low, high, ranks and blank, as core.enrichment.kernels.running_sum_extremes writes them.

    `members` holds, for each set, rows of the unembedding, ascending. A feature needs up to 60 bytes for each token.
    """
    W_U, n_tokens, ties = place(unembedding.rows, device).float(), len(unembedding.rows), unembedding.ties
    sets = [torch.as_tensor(tokens, device=W_U.device) for tokens in members]

    def work(features: slice) -> tuple[np.ndarray, ...]:
        values = place(directions[features], device).float() @ W_U.T
        ties.settle(values, 0, values.new_empty(len(values), ties.n_groups))
        return tuple(map(fetch, block_extremes(values, place(least_range[features], device), sets)))

    block = rows_that_fit(device, len(directions), bytes_per_row=60 * n_tokens, width=n_tokens)
    parts = run_on_device(work, len(directions), block, device, progress=progress)
    low, high, ranks, blank = (np.concatenate(part) for part in zip(*parts, strict=True))
    return low, high, ranks, blank


def block_extremes(
    values: Float[Tensor, "feature n_tokens"],
    least_range: Float[Tensor, " feature"],
    sets: Sequence[Int[Tensor, " _"]],
) -> tuple[
    Int[Tensor, "feature n_sets"],
    Int[Tensor, "feature n_sets"],
    Int[Tensor, "feature n_sets"],
    Bool[Tensor, " feature"],
]:
    """Return low, high, ranks and blank for the logit weights of a block of features.

    All are int64, as rank x set size may exceed 2^31 from V = 46,341 on.
    """
    n_tokens = values.shape[1]
    start, end, blank = _ranks(values, least_range)
    low, high, ranks = (values.new_empty((len(values), len(sets)), dtype=torch.int64) for _ in range(3))
    for s, tokens in enumerate(sets):
        k = len(tokens)
        first = start[:, tokens].sort(dim=1).values.long()
        last = end.gather(1, first).long()  # the group of equal values that starts at a rank ends there
        j = torch.arange(k, device=values.device) * n_tokens
        # Among equal values only the first member can set `low`, and only the last one `high`; min and max choose them.
        low[:, s] = (j - first * k).amin(1).clamp_max(0)
        high[:, s] = (j + n_tokens - last * k).amax(1).clamp_min(0)
        ranks[:, s] = (first + last - 1).sum(1)
    return low, high, ranks, blank


def _ranks(
    values: Float[Tensor, "feature n_tokens"], least_range: Float[Tensor, " feature"]
) -> tuple[Int[Tensor, "feature n_tokens"], Int[Tensor, "feature n_tokens"], Bool[Tensor, " feature"]]:
    """Return the start of each token's group of equal values, the end of the group at each rank, and blank features.

    Ranks count from 0 at the largest value.
    """
    n_tokens = values.shape[1]
    ordered, order = torch.sort(values + 0.0, dim=1, descending=True)  # + 0.0: -0.0 and 0.0 are one value
    blank = ~(ordered.isfinite().all(1) & (ordered[:, 0] - ordered[:, -1] > least_range))
    first = torch.ones_like(ordered, dtype=torch.bool)
    torch.ne(ordered[:, 1:], ordered[:, :-1], out=first[:, 1:])
    del ordered
    place_of = torch.arange(n_tokens, device=values.device, dtype=torch.int32).expand(len(values), -1)
    begin = torch.where(first, place_of, 0).cummax(1).values
    last = torch.cat([first[:, 1:], torch.ones_like(first[:, :1])], dim=1)
    end = torch.where(last, place_of + 1, n_tokens).flip(1).cummin(1).values.flip(1)
    return torch.empty_like(begin).scatter_(1, order, begin), end, blank
