"""A store of activations that are given, held in memory, and the statistics that a token pass counts of them."""

import numpy as np

from core.activations.measures import MEASURES
from core.activations.statistics import ActivationStatistics, Tally
from core.activations.store import ActivationBlock, ActivationStore
from core.work.progress import SILENT

LEFT_OUT = 1
"""The id of tokens that nothing counts."""


class HeldStore(ActivationStore):
    """Blocks of `acts` (row, position, feature), 0 on tokens that are not counted; `rows` are token ids, else all 0."""

    def __init__(self, acts: np.ndarray, counted: np.ndarray | None = None, *, rows=None, block_rows: int = 25):
        rows = np.zeros(acts.shape[:2], np.int64) if rows is None else rows
        rows = rows if counted is None else np.where(counted, rows, LEFT_OUT)
        super().__init__(None, "given", "given", rows, left_out=(LEFT_OUT,), block_rows=block_rows)
        self._held = [self._block(acts[part], rows[part]) for part in self.parts]

    def blocks(self, progress=SILENT):
        for i, block in enumerate(self._held):
            yield block
            progress.update(i + 1, len(self))

    def statistics(self) -> ActivationStatistics:
        tally = Tally(self.rows.shape[1], self._d_sae, 1)
        for block in self._held:
            tally.add(block)
        return tally.finish()

    def _block(self, acts: np.ndarray, rows: np.ndarray) -> ActivationBlock:
        flat = acts.reshape(-1, acts.shape[-1])
        token, feature = np.nonzero(flat)
        ends, n_pos = np.searchsorted(token, np.arange(len(flat)), side="right"), rows.shape[1]
        self._d_sae = flat.shape[1]
        sums = np.zeros((len(MEASURES), n_pos), np.float32), np.zeros((n_pos, 1), np.float32)
        values = flat[token, feature].astype(np.float32)
        return ActivationBlock(rows, ends, feature.astype(np.int32), values, *sums, left_out=self.left_out)
