"""Colours that stand for different things can be told apart, also with protanopia and with deuteranopia."""

import tomllib
from pathlib import Path

import numpy as np
import pytest

from ui.activations import loss
from ui.feature import proxy_charts
from ui.feature_map.component.colours import GROUP_COLOURS
from ui.logit_weights.charts import CLASS_COLOURS
from ui.matching import charts as matching_charts
from ui.shared.charts import COLOURS, MUTED, ORDERED, ramp
from ui.splitting import charts as splitting_charts
from ui.text.charts import CHOSEN

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
SIGHT = {
    "trichromatic": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
# Oklab (Ottosson 2020): distances in it are about as large as differences look.
TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
LEAST = 9
"""The least distance in Oklab, times 100. The palette that was here before had 1.2."""
CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())["theme"]
PALETTES = {
    "series": [*COLOURS, MUTED],
    "theme": CONFIG["chartCategoricalColors"],
    "classes": CLASS_COLOURS,
    "loss": list(loss.COLOURS.values()),
    "matching": [*COLOURS[:3], *matching_charts.CONTROL],
    "chance": list(matching_charts.CHANCE.values()),
    "two classes": proxy_charts.TWO,
    "classes of proxies": proxy_charts.MANY,
    "regions": splitting_charts.OVERLAP[2:],  # a bar has one of the three greys
    "chosen": [COLOURS[0], CHOSEN, MUTED],
}


def seen(colour: str, sight: str) -> np.ndarray:
    """Return Oklab of a colour as somebody sees it."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return TO_OKLAB @ np.cbrt(TO_CONES @ np.clip(SIGHT[sight] @ linear, 0, 1))


def nearest(colours: list[str], sight: str) -> tuple[float, str, str]:
    """Return the least distance of two colours, and the two."""
    pairs = ((a, b) for i, a in enumerate(colours) for b in colours[i + 1 :])
    return min((100 * float(np.linalg.norm(seen(a, sight) - seen(b, sight))), a, b) for a, b in pairs)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("palette", PALETTES)
def test_any_two_colours_of_a_palette_can_be_told_apart(palette, sight):
    distance, *pair = nearest(PALETTES[palette], sight)
    assert distance >= LEAST, pair


@pytest.mark.parametrize("sight", SIGHT)
def test_an_ordered_quantity_grows_lighter(sight):
    lightness = [seen(colour, sight)[0] for colour in ramp(16)]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] - lightness[0] > 0.28


def test_the_measure_knows_what_people_confuse():
    assert nearest(["#54a24b", "#e45756"], "trichromatic")[0] > 20
    assert nearest(["#54a24b", "#e45756"], "deuteranopia")[0] < 2


def test_the_theme_has_the_colours_of_our_charts_and_the_map_uses_all_but_grey():
    assert CONFIG["chartCategoricalColors"] == [COLOURS[1], COLOURS[0], *COLOURS[2:], MUTED]
    assert len(COLOURS) == GROUP_COLOURS
    assert ramp(len(ORDERED)) == ORDERED
