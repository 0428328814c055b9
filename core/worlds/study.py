"""All that the page Ground truth draws: a dictionary of the known world, its truth, and what was found of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.dictionaries.dictionary import Dictionary
from core.dictionaries.world import World, world
from core.dictionaries.world_rows import KINDS, Planted, planted
from core.errors import DoesNotFitError
from core.geometry.neighbors import Between, Neighbors, nearest_between
from core.matching.labels import LABELS
from core.worlds import said
from core.worlds.said import Verdict
from core.worlds.sampled import Sampled


@dataclass(frozen=True, eq=False)
class WorldStudy:
    """A dictionary of the world beside what the pages' own results say; `narrow_wide` is None for the narrow one."""

    dictionary: Dictionary
    neighbors: Neighbors
    found: Sampled
    narrow_wide: Between | None

    @cached_property
    def truth(self) -> Planted:
        return planted(self.dictionary.id.partition("/")[2])

    @cached_property
    def world(self) -> World:
        return world()

    @cached_property
    def in_world(self) -> Between:
        """The nearest features of the dictionary, A, and the world, B."""
        return nearest_between(self.dictionary.W_dec, self.world.directions, k=1)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What pages say; splitting and absorption only where there is a narrower dictionary to compare with."""
        found = [said.recovered(self.truth, self.in_world, self.world)]
        if self.narrow_wide is not None:
            found.append(said.split(self.truth, said.labels_of(self.narrow_wide)))
            found.append(said.absorbed(self.truth, self.world, self.found, self.in_world))
        return (*found, said.duplicated(self.truth, self.neighbors), said.dead(self.truth, self.found))

    def verdict_table(self) -> pd.DataFrame:
        """One row for each thing that is true: how often, by which page and rule it is said, and how often rightly."""
        return pd.DataFrame(
            {
                "world_what": [one.name for one in self.verdicts],
                "world_true": [int(one.true.sum()) for one in self.verdicts],
                "world_hit": [one.hit for one in self.verdicts],
                "world_missed": [one.missed for one in self.verdicts],
                "world_false": [one.false for one in self.verdicts],
                "world_page": [one.page for one in self.verdicts],
                "world_rule": [one.rule for one in self.verdicts],
            }
        )

    def feature_table(self) -> pd.DataFrame:
        """One row for each feature of the dictionary: what it is, and what pages say of it."""
        kind = self.truth.kind
        columns = {
            "feature": np.arange(len(kind)),
            "world_kind": [f"{one}: {KINDS[one]}" for one in kind],
            "world_wrong": self._wrong(),
            "world_feature": pd.array(np.where(self.truth.of < 0, None, self.truth.of), dtype="Int64"),
            "world_cosine": self.in_world.a_in_b_cos[:, 0].astype(float),
            "nearest_cosine": self.neighbors.cos[:, 0].astype(float),
            "density": self.found.density,
        }
        if self.narrow_wide is not None:
            columns["world_label"] = [LABELS[i] for i in said.labels_of(self.narrow_wide).label]
        return pd.DataFrame(columns)

    def _wrong(self) -> list[str]:
        """Say for each feature of the dictionary what is missed of it, and what is said though it is not true."""
        said_of = [one for one in self.verdicts if one.name != "recovered"]
        texts: list[str] = []
        for feature in range(len(self.truth.kind)):
            missed = [f"not said: {v.name}" for v in said_of if v.true[feature] and not v.said[feature]]
            false = [f"said: {v.name}" for v in said_of if v.said[feature] and not v.true[feature]]
            texts.append(", ".join(missed + false))
        return texts

    def world_table(self) -> pd.DataFrame:
        """One row for each feature of the world: how often it fires, and the dictionary's nearest feature beside it."""
        best, recall, precision = said.best_features(self.found, self.in_world)
        recovery = self.verdicts[0]
        return pd.DataFrame(
            {
                "world_feature": np.arange(len(best)),
                "world_is": self.world.kinds(),
                "world_parent": pd.array(np.where(self.world.parent < 0, None, self.world.parent), dtype="Int64"),
                "world_rate": self.found.rate,
                "feature": best,
                "world_cosine": self.in_world.b_in_a_cos[:, 0].astype(float),
                "world_recall": recall,
                "world_precision": precision,
                "world_has": np.where(recovery.true, "yes", "no"),
            }
        )


def check_known(dictionary: Dictionary, known: Sequence[str]) -> None:
    """Raise DoesNotFitError for a dictionary whose truth nobody knows; `known` are the ids of the others."""
    if dictionary.id not in known:
        raise DoesNotFitError(
            f"{dictionary.title} was trained, so nobody knows what is true of its features. Expected a dictionary of "
            f"the known world; pick {' or '.join(known)}."
        )
