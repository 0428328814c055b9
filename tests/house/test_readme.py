"""The README says what is true."""

from pathlib import Path

from core import catalogue

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    "pip install -r requirements.txt && streamlit run app.py",
    "pip install -r requirements-dev.txt && pytest",
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


def test_every_page_has_its_line_and_every_picture_exists():
    from ui.shell.router import page_files

    assert page_files()
    for page in page_files():
        assert f"| {page.title} | {page.question}" in README
    for line in README.splitlines():
        if line.startswith("!["):
            assert (ROOT / line.rpartition("(")[2].rstrip(")")).is_file()


def test_one_page_is_the_first():
    from ui.shell.router import page_files

    orders = [page.order for page in page_files()]
    assert orders[0] == 0
    assert len(set(orders)) == len(orders)
