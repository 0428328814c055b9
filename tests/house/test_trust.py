"""docs/trust.md names tests and files that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "trust.md").read_text(encoding="utf-8")


def missing(text: str) -> list[str]:
    """Return what a page names in backticks that is not there: files, and tests as FILE::NAME."""
    named = re.findall(r"`((?:tests|core|ui)/[\w/]+(?:\.py)?)(?:::(\w+))?`", text)
    return [f"{path}::{test}".removesuffix("::") for path, test in named if not _there(ROOT / path, test)]


def _there(path: Path, test: str) -> bool:
    if not test:
        return path.exists()
    return path.is_file() and test in {
        node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)
    }


def test_every_test_and_file_that_the_page_names_exists():
    assert missing(PAGE) == []
    assert PAGE.count("::test_") > 30


@pytest.mark.parametrize(
    "named", ["tests/house/test_trust.py::test_nothing", "tests/house/no.py::test_x", "core/no.py"]
)
def test_a_name_that_does_not_exist_is_found(named):
    assert missing(f"`{named}` and `tests/house/test_trust.py`") == [named]


def test_every_approximation_says_where_it_is_and_a_bound():
    table = PAGE.partition("## Approximations")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    assert [row for row in rows if len(row) != 4 or not all(cell.strip("| ") for cell in row[:3])] == []


def test_constants_that_the_page_names_are_those_that_run():
    from core.automata.transitions import TransitionSettings
    from core.enrichment.nulls import DRAWS, SMALL
    from core.matching.proof import ROUNDS
    from core.maths.exact_sums import FRACTION_BITS
    from core.positions.statistics import PositionSettings
    from core.stability import left_over
    from core.text import unit_difference

    assert TransitionSettings().n_shuffles > 0
    for said in (
        f"multiples of 2^-{FRACTION_BITS}",
        f"sets of {SMALL} tokens or more",
        f"share of {DRAWS:,} draws",
        f"at most {ROUNDS} rounds",
        f"{PositionSettings().grid_tokens:,} tokens are drawn",
        f"random subspaces are {left_over.DRAWS} draws",
        f"from {unit_difference.DRAWS:,} draws",
    ):
        assert said in PAGE, said
