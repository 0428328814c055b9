"""The catalogue of statistics: complete, unambiguous, and safe to show."""

import dataclasses
import re

import numpy as np
import pytest

from core.activations.reconstruction import ErrorByPosition
from core.catalogue import ALIASES, NEEDS, STATISTICS, help_text, markdown_table, read_statistics, statistic
from core.errors import UnknownNameError
from core.positions.methods import position_statistics
from core.positions.scores import peaks_per_position, score_table
from core.positions.statistics import PositionSettings
from tests.doubles.planted import planted_dictionary, planted_model

ENTRY = """
[x]
title = "X"
unit = "1"
formula = "x"
meaning = "X."
source = "s"
per = "feature"
needs = ["grid"]
"""


@pytest.mark.parametrize("item", STATISTICS.values(), ids=STATISTICS)
def test_every_statistic_is_ready_to_show(item):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", item.name)
    assert 0 < len(item.title) <= 30, "too long for an axis"
    for text in (item.unit, item.formula, item.meaning, item.source, item.per):
        assert text.strip()
        assert "\n" not in text
        # These would be read as Markdown (emphasis, code, maths, strike-through, links) in column help.
        assert not re.search(r"[*`$~|]|\]\(|:\w+\[", text)
    assert item.meaning.endswith(".")
    assert not item.formula.endswith(".")
    assert re.fullmatch(r"d|\.\d~?[fg%]|\.\d%", item.format)
    assert item.needs <= set(NEEDS)


def test_titles_are_unique():
    titles = [item.title for item in STATISTICS.values()]
    assert sorted(set(titles)) == sorted(titles)


def test_a_name_declared_twice_is_noticed(tmp_path):
    (tmp_path / "a.toml").write_text(ENTRY)
    (tmp_path / "b.toml").write_text(ENTRY)
    with pytest.raises(AssertionError, match=r"x is declared twice, the second time in b\.toml"):
        read_statistics(tmp_path)


def test_an_unknown_need_is_noticed(tmp_path):
    (tmp_path / "a.toml").write_text(ENTRY.replace('"grid"', '"magic"'))
    with pytest.raises(AssertionError, match="x needs \\['magic'\\]"):
        read_statistics(tmp_path)


def test_unknown_names_get_a_hint():
    with pytest.raises(UnknownNameError, match=r"no statistic called 'position_scor'.*position_score"):
        statistic("position_scor")


def test_aliases_lead_to_statistics_and_hide_none():
    assert set(ALIASES.values()) <= set(STATISTICS)
    assert not set(ALIASES) & set(STATISTICS)
    assert statistic("rate").name == "firing_rate"


def test_every_column_of_the_position_scores_is_declared(tmp_path):
    dictionary, model = planted_dictionary(), planted_model(tmp_path, d_vocab=9)
    stats = position_statistics(dictionary, model, settings=PositionSettings(n_pos=8))
    produced = [*score_table(stats).columns, *peaks_per_position(stats, [0, 1]).columns]
    assert len(produced) > 15
    assert [name for name in produced if ALIASES.get(name, name) not in STATISTICS] == []


def test_every_column_of_the_errors_is_declared():
    curves = {field.name: np.ones(4) for field in dataclasses.fields(ErrorByPosition) if field.type is not int}
    result = ErrorByPosition(**curves | {"position_rows": np.full(4, 2)}, first=0, context_size=3)
    produced = {*result.to_frame().columns, *result.totals().columns} - {"where", "tokens"}
    assert produced <= set(STATISTICS)


def test_help_says_formula_unit_and_source():
    text = help_text("position_score")
    for part in ("max over p < C of μ(p)", "Unit: activation.", "Chughtai & Lau 2024"):
        assert part in text


def test_the_markdown_table_has_a_row_for_each_statistic():
    lines = markdown_table().splitlines()
    assert len(lines) == 2 + len(STATISTICS)
    assert {line.count("|") for line in lines} == {8}
    only = markdown_table(["position_score", "ce_recovered"]).splitlines()[2:]
    assert "grid or corpus" in only[0]
    assert "corpus and intervention" in only[1]
