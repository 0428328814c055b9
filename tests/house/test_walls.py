"""The walls of the house: which room may know which, no circles, and names taken from where they are made.

A room that is new gets a line in FLOORS. It may use every room on a lower floor, and none on its own or above.
"""

import importlib.util
from pathlib import Path

import pytest

from tests.house.imports import Import, circles, imports, made_in, modules

ROOT = Path(__file__).parents[2]
FLOORS = {
    "core": (
        "amounts characters installation",
        "errors",
        "catalogue dashboards policy work",
        "devices workspace",
        "files hub maths oracles",
        "dictionaries",
        "models notebook",
        "corpus selection tables token_sets",
        "activations geometry logit_weights positions training",
        "enrichment feature feature_map matching overview proxies text",
        "audit automata interventions",
        "neuronpedia splitting sweeps",
        "home stability",
        "worlds",
    ),
    "ui": (
        "shared",
        "studies",
        "sidebar",
        "activations automata dashboards enrichment feature_map geometry logit_weights neuronpedia overview positions "
        "splitting text training worlds",
        "home interventions matching stability sweeps",
        "feature shell",
    ),
    "sae_loupe": (
        "arrays words",
        "opened results",
        "text",
        "geometry logits matching positions reading token_pass",
        "enrichment interventions maps",
        "numbers",
        "printing summary",
        "front",
        "commands",
        "command",
        "__main__",
    ),
}
FLOOR_OF = {
    (top, room): floor for top, floors in FLOORS.items() for floor, rooms in enumerate(floors) for room in rooms.split()
}
MAY_USE = {
    "app": {"ui"},
    "pages": {"ui"},
    "ui": {"ui", "core"},
    "core": {"core"},
    "sae_loupe": {"sae_loupe", "ui", "core"},
}
APART = {("core", "dashboards"): {"amounts", "characters", "errors"}, ("core", "oracles"): set()}
"""Rooms that may use less than their floor allows."""


def why_not(found: Import) -> str:
    """Say which wall an import breaks; empty if none."""
    by, of = found.by.split("."), found.of.split(".")
    if of[0] not in MAY_USE[by[0]]:
        return f"{by[0]} may not use {of[0]}"
    if by[0] != of[0] or len(by) == 1 or by[1] == of[1]:
        return ""
    here, there = (FLOOR_OF.get((by[0], path[1])) for path in (by, of))
    if here is None or there is None:
        return "a room has no floor"
    if of[1] not in APART.get((by[0], by[1]), {of[1]}):
        return f"{by[1]} stands apart"
    return "" if there < here else f"{by[1]} is on floor {here}, {of[1]} on {there}"


@pytest.fixture(scope="module")
def files():
    return modules(ROOT, (*FLOORS, "pages")) | {"app": ROOT / "app.py"}


def test_imports_run_down_the_floors(files):
    assert [f"{found}: {why_not(found)}" for found in imports(files) if why_not(found)] == []


def test_every_room_has_one_floor_and_every_floor_its_rooms(files):
    rooms = {tuple(name.split(".")[:2]) for name in files if name.count(".") and name.split(".")[0] in FLOORS}
    assert rooms == set(FLOOR_OF)
    assert len(FLOOR_OF) == sum(len(rooms.split()) for floors in FLOORS.values() for rooms in floors)


def test_no_files_import_each_other_in_a_circle(files):
    arrows = {}
    for found in imports(files):
        arrows.setdefault(found.by, set()).add(found.of)
    assert circles(arrows) == []


def test_names_are_imported_from_the_module_that_makes_them(files):
    made = {name: made_in(path) for name, path in files.items()}
    assert [str(found) for found in imports(files) if found.name and found.name not in made[found.of]] == []


def test_the_script_of_the_app_exposes_nothing_by_accident():
    shell = ROOT / "ui" / "shell"
    assert not (shell / "pages").exists()  # Streamlit would take every file in it for a page
    names = [path.stem for path in shell.glob("*.py") if path.stem != "__init__"]
    # Streamlit puts this folder first on the path: a name here hides every module called so.
    assert [name for name in names if importlib.util.find_spec(name)] == []


@pytest.mark.parametrize(
    ("by", "of", "why"),
    [
        ("core.maths.a", "core.geometry.b", "maths is on floor 4, geometry on 8"),
        ("core.text.a", "core.feature.b", "text is on floor 9, feature on 9"),
        ("core.work.a", "ui.shared.b", "core may not use ui"),
        ("pages.text", "core.errors", "pages may not use core"),
        ("ui.text.a", "sae_loupe.front", "ui may not use sae_loupe"),
        ("ui.studies.a", "ui.sidebar.b", "studies is on floor 1, sidebar on 2"),
        ("core.cellar.a", "core.errors", "a room has no floor"),
        ("core.dashboards.a", "core.errors", ""),
        ("core.oracles.a", "core.maths.b", "oracles stands apart"),
        ("ui.text.a", "core.text.b", ""),
    ],
)
def test_the_check_itself_knows_what_is_forbidden(by, of, why):
    assert why_not(Import(by, of, "", 1)) == why


def test_the_check_itself_sees_imports_in_functions_circles_and_borrowed_names(tmp_path):
    room = tmp_path / "core" / "a"
    room.mkdir(parents=True)
    (room / "one.py").write_text("from core.a.two import x\n\n\ndef f():\n    return x\n")
    (room / "two.py").write_text("import core.a.three\nx = 1\n")
    (room / "three.py").write_text("def g():\n    from core.a import one\n    from core.a.one import x\n")
    files = modules(tmp_path, ("core",))
    found = imports(files)
    assert [str(item) for item in found] == [
        "core.a.one:1 imports x of core.a.two",
        "core.a.three:2 imports all of core.a.one",
        "core.a.three:3 imports x of core.a.one",
        "core.a.two:1 imports all of core.a.three",
    ]
    assert circles({item.by: {item.of} for item in found}) == [["core.a.one", "core.a.three", "core.a.two"]]
    assert made_in(files["core.a.one"]) == {"f"}


def test_every_test_file_has_a_name_of_its_own():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []  # pytest takes two for one module
