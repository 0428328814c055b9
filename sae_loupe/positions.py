"""Which features follow token position."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import pandas as pd

from core.corpus.samples import SampleSettings, TextSample
from core.errors import CorpusError, UnknownNameError
from core.positions import tables
from core.positions.methods import choose_method, position_device, wanted_positions
from core.positions.statistics import PositionSettings
from core.positions.study import Study
from sae_loupe.opened import Opened
from sae_loupe.results import MOST_MARKS, StudyResult
from sae_loupe.text import Text, sample
from sae_loupe.words import number


@dataclass(frozen=True, eq=False, repr=False)
class Positions(StudyResult):
    """Every feature by position, from core.positions.

    `mean`, `std`, `rate`, `pre_mean`, `pre_std` are [d_sae, n_pos]; `share_position`, `share_token`, `token_score` and
    others [d_sae]. `context_size` is where the training text ended.
    """

    study: Study

    @property
    def reason(self) -> str:
        """By which method it was computed, and why."""
        return self.study.reason

    @property
    def positional(self) -> list[int]:
        """The features that follow position, by the elbow of the scores; the largest score first."""
        return self.study.top(self.study.suggested)

    def to_frame(self) -> pd.DataFrame:
        """One row for each feature, the largest position score first."""
        return self.study.scores

    def top(self, count: int) -> list[int]:
        """Return the features with the largest position scores, zeros left out."""
        return self.study.top(count)

    def curves(self, *features: int, stage: str = "acts") -> pd.DataFrame:
        """Return the mean activation of some features by position, with one standard deviation either side.

        Columns: feature, position, mean, std, low, high. `stage`: acts or pre_acts.
        """
        if stage not in get_args(tables.Stage):
            raise UnknownNameError("stage", stage, get_args(tables.Stage))
        return tables.curves(self.stats, self._known(features), stage=stage)

    def cells(self, *features: int) -> pd.DataFrame:
        """Return mean, std and rate of features at each position where the mean is not 0, sorted by their peaks."""
        return tables.heatmap_cells(self.stats, tables.feature_order_by_peak(self.stats, self._known(features)))

    def at(self, position: int, *, top: int = 20) -> pd.DataFrame:
        """Return the features with the largest mean activation at a position: feature, mean, std, rate."""
        return tables.at_position(self.stats, number("Position", position, self.study.n_pos), top=top)

    def _known(self, features: Sequence[int]) -> list[int]:
        return [number("Feature", feature, len(self.stats.mean)) for feature in features]

    def chart(self, *features: int):
        """Draw the mean activation by position of these features, by default of those that follow position.

        Of very many cells, only the larger ones are drawn.
        """
        from ui.positions.charts import feature_heatmap
        from ui.shared.finish import finished

        shown = self._known(features) or self.positional or self.study.top(20)
        order = tables.feature_order_by_peak(self.stats, shown)
        floor, cells = 0.0, tables.heatmap_cells(self.stats, order)
        while len(cells) > MOST_MARKS:
            floor = max(1.5 * floor, 1e-3)
            cells = tables.heatmap_cells(self.stats, order, floor=floor)
        size = {"n_pos": self.study.n_pos, "context_size": self.study.context_size}
        return finished(feature_heatmap(cells, order, **size), dark=False)


def of(
    sae: Opened, *, n_pos: int | None, n_rows: int, text: Text = None, bos: bool | None = None, seed: int = 0
) -> Positions:
    """Compute positional statistics by the method that fits the dictionary, as the page Positions does."""
    dictionary, model = sae.dictionary, sae.model
    n_pos = min(n_pos or model.n_ctx, model.n_ctx)
    settings = PositionSettings(n_pos=n_pos)
    method, reason = choose_method(dictionary, model, settings)
    chosen = SampleSettings(n_rows=n_rows, context=n_pos, bos=bos, seed=seed)
    read = _rows(sae, text, chosen) if method == "corpus" else None
    rows = None if read is None else read.rows
    device = position_device(dictionary, model, settings, sae.device())
    stats = sae.wanted(wanted_positions(dictionary, model, settings, rows, sae.device()))
    return Positions(Study(dictionary, model, stats, reason, device, "" if read is None else read.note))


def _rows(sae: Opened, text: Text, chosen: SampleSettings) -> TextSample:
    read = sample(sae, text, chosen)
    if read.rows.shape[1] < chosen.context:
        raise CorpusError(
            f"The rows of {read.title} have {read.rows.shape[1]:,} tokens, expected at least {chosen.context:,}. Ask "
            "for fewer positions with n_pos=, or give other text."
        )
    return read
