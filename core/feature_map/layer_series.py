"""Features along a series of dictionaries: the steps of an animation from layer to layer.

A series is a Stack of dictionaries in order. All its features share one map. In a step, each feature of one dictionary
moves to the place of its best match in the next dictionary.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from core.devices.device import CPU, Device
from core.dictionaries.spaces import DictionarySide
from core.feature_map.layout import Layout
from core.feature_map.stack import Stack
from core.geometry.neighbors import nearest_between
from core.work.artifacts import artifact_key
from core.work.progress import SILENT, Part, Progress


@dataclass(frozen=True)
class LayerLinks:
    """For every row of a stack, the feature of the next dictionary with the largest cosine."""

    match: Int[np.ndarray, " row"]
    """Feature in the next dictionary; -1 in the last dictionary and for features without a direction."""
    cos: Float[np.ndarray, " row"]
    """Its cosine, -1 to 1; NaN without a match."""
    version: ClassVar[int] = 1

    @classmethod
    def key(cls, *weights_sha256: str, side: DictionarySide) -> str:
        return artifact_key("layer-links", cls.version, weights=",".join(weights_sha256), side=side)


@dataclass(frozen=True)
class LayerStep:
    """The features of one dictionary: their places on the map and those of their matches; NaN without a place."""

    feature: Int[np.ndarray, " d_sae"]
    x: Float[np.ndarray, " d_sae"]
    y: Float[np.ndarray, " d_sae"]
    match: Int[np.ndarray, " d_sae"]
    to_x: Float[np.ndarray, " d_sae"]
    to_y: Float[np.ndarray, " d_sae"]
    cos: Float[np.ndarray, " d_sae"]


def layer_links(stack: Stack, *, device: Device = CPU, progress: Progress = SILENT) -> LayerLinks:
    """Match each feature of each dictionary with the next dictionary. `progress` counts steps and may raise."""
    match = np.full(len(stack.feature), -1, np.int32)
    cos = np.full(len(stack.feature), np.nan, np.float32)
    for step in range(stack.count - 1):
        here, there = stack.rows(step), stack.rows(step + 1)
        part = Part(progress, step, stack.count - 1)
        rows = stack.directions[here], stack.directions[there]
        between = nearest_between(*rows, k=1, device=device, progress=part)
        match[here], cos[here] = between.a_in_b_idx[:, 0], between.a_in_b_cos[:, 0]
    return LayerLinks(match, cos)


def layer_steps(stack: Stack, layout: Layout, links: LayerLinks) -> list[LayerStep]:
    """Return the steps from each dictionary to the next: the place of each feature and the place it moves to."""
    steps = []
    for step in range(stack.count - 1):
        here, there = stack.rows(step), stack.rows(step + 1)
        match = links.match[here]
        # The NaN at the end is the place of a match -1.
        to_x, to_y = (np.append(axis[there], np.float32(np.nan))[match] for axis in (layout.x, layout.y))
        steps.append(LayerStep(stack.feature[here], layout.x[here], layout.y[here], match, to_x, to_y, links.cos[here]))
    return steps


def step_table(steps: list[LayerStep]) -> pd.DataFrame:
    """Return one row per feature and step, with the columns of a figure."""
    names = {"feature": "feature", "x": "map_x", "y": "map_y", "match": "next_match", "cos": "next_cosine"}
    frames = [
        pd.DataFrame({"series_step": number} | {column: getattr(step, name) for name, column in names.items()})
        for number, step in enumerate(steps)
    ]
    return pd.concat(frames, ignore_index=True)


def trail(stack: Stack, links: LayerLinks, row: int) -> pd.DataFrame:
    """Follow one row of a stack from match to match; return one row per step, from its own dictionary on."""
    steps = []
    while links.match[row] >= 0:
        number, match = int(stack.dictionary[row]), int(links.match[row])
        steps.append((number, int(stack.feature[row]), match, float(links.cos[row])))
        row = stack.rows(number + 1).start + match
    return pd.DataFrame(steps, columns=["series_step", "feature", "next_match", "next_cosine"])


def what_becomes_of(
    stack: Stack, links: LayerLinks, number: int, features: Bool[np.ndarray, " d_sae"]
) -> Bool[np.ndarray, " row"]:
    """Mark features of one dictionary of a stack, and from match to match what becomes of them in those after it."""
    marked = np.zeros(len(stack.feature), dtype=bool)
    rows = stack.rows(number)
    marked[rows] = features[stack.feature[rows]]
    for step in range(number, stack.count - 1):
        here, there = stack.rows(step), stack.rows(step + 1)
        match = links.match[here][marked[here]]
        marked[there.start + match[match >= 0]] = True
    return marked
