"""The README and the other documents say what is true."""

import ast
import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

from core import catalogue

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/glossary.md",
    "docs/notebook.md",
    "docs/pages.md",
    "docs/deploy.md",
    "docs/dictionaries.md",
    "docs/reach.md",
    "docs/speed.md",
    "docs/scale.md",
    "docs/experiments.md",
    "docs/trust.md",
]
COMMANDS = (
    "pip install -r requirements.txt && streamlit run app.py",
    "pip install -r requirements-dev.txt && pytest -n 2",
)


def test_the_table_of_statistics_is_what_the_catalogue_declares():
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    table = text[text.index("| Statistic |") :]
    assert table == catalogue.markdown_table(), "CONTRIBUTING.md says how docs/statistics.md is written anew"
    assert "(docs/statistics.md)" in README


def test_the_two_commands_of_the_readme_are_those_that_ci_runs():
    lines = README.splitlines()
    script = (ROOT / ".ci" / "run").read_text()
    for command in COMMANDS:
        assert command in lines
        for half in command.split(" && "):
            assert half in script


def test_every_page_has_its_line():
    from ui.shell.router import page_files

    assert page_files()
    for page in page_files():
        assert f"| {page.title} | {page.question}" in README


def test_one_page_is_the_first():
    from ui.shell.router import page_files

    orders = [page.order for page in page_files()]
    assert orders[0] == 0
    assert len(set(orders)) == len(orders)


def prose(name: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_every_document_is_looked_at():
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} <= {*DOCUMENTS, "docs/statistics.md"}


@pytest.mark.parametrize("name", [*DOCUMENTS, "docs/statistics.md"])
def test_every_link_and_picture_leads_to_a_file(name):
    for target in re.findall(r"\]\(([^)#:]+)\)", prose(name)):
        assert ((ROOT / name).parent / target).is_file(), target


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").glob("*.png")), ids=lambda path: path.name)
def test_every_picture_is_shown_somewhere(picture):
    assert any(re.search(rf"!\[.+\]\(.*{re.escape(picture.name)}\)", prose(name)) for name in DOCUMENTS)


def named(text: str) -> object:
    """Import what a dotted name says; raises if there is no such thing."""
    parts = text.split(".")
    for n in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[n:], module)
    raise ModuleNotFoundError(text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_and_name_of_the_code_that_a_document_mentions_exists(name):
    for span in re.findall(r"`([^`\n]+)`", prose(name)):
        if re.fullmatch(r"(core|ui|pages|tests|docs|benchmarks|\.ci)/[\w./-]*", span):
            assert (ROOT / span).exists(), span
        elif re.fullmatch(r"(core|ui)(\.\w+)+(\(.*\))?", span):
            named(span.partition("(")[0])


def test_a_name_that_is_not_there_is_noticed():
    assert named("core.catalogue.markdown_table") is catalogue.markdown_table
    with pytest.raises(AttributeError):
        named("core.catalogue.markdown")
    with pytest.raises(AttributeError):
        named("core.no_such_room.markdown_table")


def constant(path: Path, name: str) -> object:
    """What a page declares under a name, without running it; None if it declares no such thing."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == name:
            return ast.literal_eval(node.value)
    return None


def tabs_of(path: Path) -> list[str]:
    """Titles in the page's TABS; none where another module makes them."""
    tables = [
        node.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "TABS"
    ]
    return [ast.literal_eval(key) for table in tables if isinstance(table, ast.Dict) for key in table.keys]


def test_a_name_is_that_of_one_page_or_one_tab():
    """Nobody who is told a name has to ask which of two is meant."""
    from ui.matching import page as matching_page
    from ui.shell.router import page_files

    made = ast.parse(Path(matching_page.__file__).read_text(encoding="utf-8"))
    tables = [
        node.value for node in ast.walk(made) if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
    ]
    matching = max(([ast.literal_eval(key) for key in table.keys] for table in tables), key=len)
    names = [page.title for page in page_files()] + matching
    names += [tab for page in page_files() for tab in tabs_of(page.path)]
    assert len(matching) == 8
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_old_names_of_tabs_lead_to_todays():
    from ui.shell.router import page_files

    renamed = {page.title: constant(page.path, "FORMERLY") for page in page_files()}
    assert sum(map(bool, renamed.values())) > 6
    for page in page_files():
        tabs, old = tabs_of(page.path), renamed[page.title] or {}
        assert not tabs or set(old.values()) <= set(tabs)
        assert not set(old) & set(tabs)


def test_every_page_and_tab_is_described():
    from ui.shell.router import page_files

    titles = [page.title for page in page_files()]
    sections = {part.partition("\n")[0]: part for part in prose("docs/pages.md").split("\n## ")[1:]}
    assert list(sections)[: len(titles)] == titles
    found = {page.title: tabs_of(page.path) for page in page_files()}
    assert sum(map(bool, found.values())) > 8
    for title, tabs in found.items():
        described = re.findall(r"^- \*\*(.+?)\*\*: ", sections[title], re.MULTILINE)
        assert not tabs or described == tabs, f"docs/pages.md on {title}"
