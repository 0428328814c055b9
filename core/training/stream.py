"""Activations for sae-lens' trainer: its data provider is an iterator of batches. Imports torch: import lazily."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.devices.blocks import computing_on
from core.devices.device import CPU, Device
from core.models.batches import rows_per_run
from core.models.language_model import LanguageModel
from core.models.on_device import activations_on_device
from core.training.text import Plan, Rows, order_in_buffer
from core.work.torch_library import as_tensor


@runtime_checkable
class Stream(Protocol):
    """Where batches come from. What a step gets depends on seed and step alone."""

    d_in: int

    def batch(self, seed: int, step: int) -> Float[Tensor, "token d_in"]: ...


class ActivationStream:
    """Batches of a model's activations at a hook, in the order of a plan. One filling of the buffer is in memory."""

    def __init__(
        self, model: LanguageModel, hook_name: str, rows: Rows, plan: Plan, *, batch_tokens: int, device: Device = CPU
    ):
        self.d_in = model.hook_width(hook_name)
        self._model, self._hook, self._rows, self._plan = model, hook_name, rows, plan
        self._batch, self._device = batch_tokens, device
        self._chunk = -1
        self._buffer = torch.empty(0, self.d_in, dtype=torch.float32)
        self._orders: dict[int, Tensor] = {}
        """The order of each seed in this filling."""

    def batch(self, seed: int, step: int) -> Float[Tensor, "token d_in"]:
        """Return the activations of one step, float32 on the device."""
        chunk, i = self._plan.chunk_of(step)
        if chunk != self._chunk:
            self._fill(chunk)
        if seed not in self._orders:
            order = order_in_buffer(seed, chunk, len(self._buffer))
            self._orders[seed] = as_tensor(order).to(self._device.torch)
        return self._buffer[self._orders[seed][i * self._batch : (i + 1) * self._batch]]

    def _fill(self, chunk: int) -> None:
        self._chunk, self._orders = -1, {}
        rows = np.sort(self._plan.chunks[chunk])
        tokens, counted = self._rows.tokens[rows], self._rows.counted[rows]
        n = int(counted.sum())
        if len(self._buffer) != n:
            self._buffer = torch.empty(n, self.d_in, dtype=torch.float32, device=self._device.torch)
        filled, step = 0, rows_per_run(tokens.shape[1])
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            found = self._run(tokens[part])[as_tensor(counted[part]).to(self._device.torch)]
            self._buffer[filled : filled + len(found)] = found
            filled += len(found)
        self._chunk = chunk

    def _run(self, tokens: np.ndarray) -> Float[Tensor, "row pos d_in"]:
        if self._device.is_cpu:
            return as_tensor(self._model.activations(tokens.astype(np.int64), self._hook))
        with computing_on(self._device):
            found = activations_on_device(self._model, tokens.astype(np.int64), self._hook, self._device)
        return found.clone()  # what was made in inference mode can take no part in training


class Batches(Iterator[Tensor]):
    """The data provider of one dictionary. `step` is its whole state: setting it moves on or back."""

    def __init__(self, stream: Stream, seed: int, step: int = 0):
        self._stream, self._seed, self.step = stream, seed, step

    def __next__(self) -> Tensor:
        batch = self._stream.batch(self._seed, self.step)
        self.step += 1
        return batch
