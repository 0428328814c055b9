"""Every number the app shows, declared once: title, unit, formula, meaning, source.

The declarations are data, one file for each subject in `core/catalogue`; a new page adds a file.
Charts, column help, downloads and docs/statistics.md all read them from here.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import UnknownNameError

NEEDS = ("weights", "grid", "corpus", "intervention", "two dictionaries")
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Statistic:
    """One number. `name` is also the column that holds it in tables and downloads."""

    name: str
    title: str
    """Short enough for an axis."""
    unit: str
    """For a number without dimension, its range."""
    formula: str
    """One line of plain text."""
    meaning: str
    """One sentence for a researcher."""
    source: str
    per: str
    """What has one such value: a feature, position, token, dictionary, or a combination of these."""
    needs: frozenset[str]
    """The inputs that it needs, from NEEDS. Weights are always available."""
    or_corpus: bool = False
    """Whether it can use text if no grid of tokens and positions is available."""
    format: str = ".3f"
    """In d3's notation, for axes and tooltips."""

    def __post_init__(self):
        assert self.needs, f"{self.name} does not say what it needs"
        assert self.needs <= set(NEEDS), f"{self.name} needs {sorted(self.needs)}, not of {NEEDS}"

    @property
    def needs_text(self) -> str:
        """Its inputs, in words."""
        words = " and ".join(need for need in NEEDS if need in self.needs)
        return f"{words} or corpus" if self.or_corpus else words


def read_statistics(folder: Path) -> dict[str, Statistic]:
    """Read all declarations of a folder, by name, files and entries in order. Names are unique across files."""
    declared: dict[str, Statistic] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
            assert name not in declared, f"{name} is declared twice, the second time in {path.name}"
            declared[name] = Statistic(name=name, **(entry | {"needs": frozenset(entry["needs"])}))
    return declared


STATISTICS = read_statistics(_FOLDER)

ALIASES = {
    "mean": "mean_activation",
    "std": "std_activation",
    "rate": "firing_rate",
    "features": "features_peaking",
    "positional": "n_positional",
    "max_cosine_decoder": "max_cosine",
    "max_cosine_encoder": "max_cosine",
    "nearest_position_decoder": "nearest_position",
    "nearest_position_encoder": "nearest_position",
    **{f"decile_{n}": "active_quantile" for n in range(1, 11)},
}
"""Columns of one figure's table that carry a statistic under a shorter or longer name."""


def statistic(name: str) -> Statistic:
    """Return a declaration by its name or an alias. Raises UnknownNameError."""
    name = ALIASES.get(name, name)
    if name not in STATISTICS:
        raise UnknownNameError("statistic", name, list(STATISTICS))
    return STATISTICS[name]


def definition(name: str) -> tuple[str, str, str]:
    """Return the title, then its unit with the formula, then the meaning with its source. Raises UnknownNameError."""
    item = statistic(name)
    unit = f", {item.unit}" if item.unit else ""
    return item.title, f"{unit}: {item.formula}", f"{item.meaning} ({item.source})"


def help_text(name: str) -> str:
    """Return the help text of a number, for a chart or a column."""
    item = statistic(name)
    return f"{item.meaning} Formula: {item.formula}. Unit: {item.unit}. Source: {item.source}."


def markdown_table(names: Iterable[str] | None = None) -> str:
    """Return the declarations (all, or those named) as a Markdown table, for docs/statistics.md."""
    lines = ["| Statistic | Column | Formula | Unit | Per | Needs | Source |", "|" + "---|" * 7]
    for name in STATISTICS if names is None else names:
        item = statistic(name)
        cells = (item.title, f"`{item.name}`", item.formula, item.unit, item.per, item.needs_text, item.source)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
