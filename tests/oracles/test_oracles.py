"""Every number of the catalogue has an oracle and a planted truth, and the column that is shown agrees with both."""

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from core.catalogue import STATISTICS
from core.oracles.found import all_oracles, rooms
from tests.oracles import cases
from tests.oracles.shown import CLOSE, Case, disturbed, same
from tests.oracles.without import BY_BORDER

CASES = sorted(info.name for info in pkgutil.iter_modules(cases.__path__))


@cache
def case_of(room: str, folder: Path) -> Case:
    return import_module(f"{cases.__name__}.{room}").case(folder)


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    places = {room: tmp_path_factory.mktemp(room) for room in CASES}
    return lambda room: case_of(room, places[room])


def test_every_oracle_is_of_a_statistic_and_every_room_has_a_case():
    assert [name for name in all_oracles() if name not in STATISTICS] == []
    assert rooms() == CASES


@pytest.mark.parametrize("room", CASES)
def test_what_is_shown_is_what_the_oracles_say(case, room):
    assert [wrong for shown in case(room).shown for column in shown.columns for wrong in shown.wrong(column)] == []


@pytest.mark.parametrize("room", CASES)
def test_every_column_is_held_or_excused(case, room):
    assert [f"{shown.what}: {column}" for shown in case(room).shown for column in shown.loose] == []


@pytest.mark.parametrize("room", CASES)
def test_a_column_that_is_a_little_wrong_is_noticed(case, room):
    for shown in case(room).shown:
        for column in shown.columns:
            assert shown.wrong(column, disturbed(shown.table[column], shown.close.get(column, CLOSE))), (
                f"{shown.what}: {column}"
            )


@pytest.mark.parametrize("room", CASES)
def test_the_two_sides_of_a_column_cannot_be_swapped(case, room):
    for shown in case(room).shown:
        for column in (name for name in shown.columns if name.endswith("_a") and f"{name[:-1]}b" in shown.columns):
            other = f"{column[:-1]}b"
            assert shown.wrong(column, shown.table[other]), f"{shown.what}: {column}"
            assert shown.wrong(other, shown.table[column]), f"{shown.what}: {other}"


@pytest.mark.parametrize("room", CASES)
def test_what_was_planted_is_shown_and_is_what_the_oracle_says(case, room):
    for truth in case(room).planted:
        found = case(room).found(truth)
        assert found, f"no table shows {truth}"
        for pair in found:
            assert [value for value in pair if not same(value, truth.value, 1e-5)] == [], truth


@pytest.fixture(scope="session")
def covered(case):
    """Statistics with an oracle, a planted truth and a column that is held."""
    made = [case(room) for room in CASES]
    held = {shown.statistic(column) for one in made for shown in one.shown for column in shown.columns}
    return held & {truth.statistic for one in made for truth in one.planted}


def test_every_statistic_is_held_or_is_tested_at_its_borders(covered):
    known = covered | set(BY_BORDER)
    assert sorted(set(STATISTICS) - known) == []
    assert sorted(known - set(STATISTICS)) == []
    assert sorted(covered & set(BY_BORDER)) == []
