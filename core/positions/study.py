"""One dictionary's positional statistics, with everything that views and exports need."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from core import tables
from core.devices.device import CPU, Device
from core.dictionaries.dictionary import Dictionary
from core.models.language_model import LanguageModel
from core.positions.scores import score_table, suggested_count
from core.positions.statistics import PositionStatistics


@dataclass(frozen=True)
class Study:
    """Everything the positional views share for one dictionary."""

    dictionary: Dictionary
    model: LanguageModel
    stats: PositionStatistics
    reason: str
    """Which method was used and why, as a sentence."""
    device: Device = CPU
    """Where it was computed."""
    text: str = ""
    """The rows of text, for captions and downloads; empty where no text was read."""
    rows_sha256: str = ""
    """Their hash."""

    @property
    def n_pos(self) -> int:
        return self.stats.mean.shape[1]

    @property
    def context_size(self) -> int:
        return self.stats.context_size

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row per feature, best position score first."""
        return score_table(self.stats).sort_values("rank", ignore_index=True)

    @cached_property
    def suggested(self) -> int:
        """How many features are positional by the elbow of the scores."""
        return suggested_count(self.stats)

    @property
    def samples(self) -> str:
        what = "rows of text" if self.stats.method == "corpus" else "tokens"
        return f"{self.stats.n_samples:,} {what}"

    def note(self, *more: str) -> str:
        """Say what a figure was computed from."""
        read = self.text or f"{self.samples} × {self.n_pos:,} positions"
        parts = [read, self.stats.method, f"d_sae {self.dictionary.d_sae:,}"]
        parts.append("decoder norms folded" if self.dictionary.folded else "decoder norms as stored")
        return " · ".join([*parts, *self.device.inputs.values(), *more])

    @property
    def context_note(self) -> list[str]:
        """The meaning of the dashed line in a chart; empty if the chart has none."""
        return [f"dashed: training context ends at {self.context_size}"] if self.context_size < self.n_pos else []

    @cached_property
    def provenance(self) -> dict:
        return tables.provenance(
            dictionary=self.dictionary,
            model=self.model,
            method=self.stats.method,
            settings={"n_pos": self.n_pos, "context_size": self.context_size, "n_samples": self.stats.n_samples}
            | ({"text": self.text, "rows_sha256": self.rows_sha256} if self.text else {})
            | self.device.inputs,
        )

    def top(self, count: int) -> list[int]:
        """The features with the largest position scores, zeros left out."""
        alive = self.scores.loc[self.scores["position_score"] > 0, "feature"]
        return alive.head(count).astype(int).tolist()
