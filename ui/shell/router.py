"""The router: navigation, the pickers that all pages share, and one run of a page."""

import ast
import runpy
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import StopException

from core.errors import UnknownNameError
from ui.shared import audit, errors, naming, progress, same_in_python
from ui.shared import report as reports
from ui.shared.garbage import spare_modules
from ui.shell import docked, history, link, report, style, visitors
from ui.shell.told import told
from ui.sidebar import device, dictionary_finder, pickers, running, selection
from ui.studies import compute, names
from ui.studies.audit import recompute
from ui.studies.opened import model_folder

ROOT = Path(__file__).resolve().parents[2]


opened: set[str] = set()
"""Pages that were opened since the server started, by their names in the address. The root is the start page."""


@dataclass(frozen=True)
class PageFile:
    """What a page declares: its docstring is 'Title: question.', and it sets ICON, GROUP and ORDER."""

    path: Path
    title: str
    question: str
    icon: str
    group: str
    """Its heading in the menu."""
    order: int
    """Its place in the menu; pages of one group stand together."""


@cache
def page_files() -> tuple[PageFile, ...]:
    """Read the heads of the files in pages/ without running them, sorted by their ORDER."""
    pages = []
    for path in sorted((ROOT / "pages").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        title, _, question = (ast.get_docstring(tree) or path.stem).partition(":")
        constants = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in ("ICON", "GROUP", "ORDER")
        }
        declared = (constants[name] for name in ("ICON", "GROUP", "ORDER"))
        pages.append(PageFile(path, title, question.strip(), *declared))
    return tuple(sorted(pages, key=lambda page: page.order))


def start_page() -> PageFile:
    """Return the page that --page names, by default the first. Raises UnknownNameError for a name that no page has."""
    name = compute.workspace().start_page
    pages = {page.path.stem: page for page in page_files()}
    if name is None:
        return page_files()[0]
    if name not in pages:
        raise UnknownNameError("page", name, list(pages))
    return pages[name]


def run_start_page() -> None:
    """Run the start page."""
    with errors.shown(stop=True):
        page = start_page()
    runpy.run_path(str(page.path))


def menu() -> dict[str, list[st.Page]]:
    """Return the pages under their headings. The first one stands at the root, unless --page names another.

    Streamlit gives the page at the root no address of its own. So one more page, which no menu shows, runs the page
    that --page names, and that page keeps its own address.
    """
    named = compute.workspace().start_page is not None
    pages = {}
    for place, page in enumerate(page_files()):
        at_root = place == 0 and not named
        shown = st.Page(str(page.path), title=page.title, icon=page.icon, url_path=page.path.stem, default=at_root)
        pages.setdefault(page.group, []).append(shown)
    if named:
        root = st.Page(run_start_page, title="SAE Loupe", url_path="root", default=True, visibility="hidden")
        pages[page_files()[0].group].insert(0, root)
    return pages


def _file_of(page: st.Page) -> PageFile:
    """Return the file of an open page; the start page's for the root."""
    with errors.shown(stop=True):
        return next((file for file in page_files() if file.path.stem == page.url_path), None) or start_page()


def main() -> None:
    """Draw one run of the app."""
    with told():
        _run()


def _run() -> None:
    spare_modules()
    st.set_page_config(page_title="SAE Loupe", page_icon=str(ROOT / "ui" / "shell" / "favicon.png"), layout="wide")
    visitors.settle()
    style.draw()
    history.draw()
    history.keep_tab()
    page = st.navigation(menu(), expanded=True)
    opened.add(page.url_path)
    link.follow()
    link.clean()
    progress.begin(compute.jobs())
    naming.find_by(names.find)
    same_in_python.find_models_by(model_folder)
    audit.recompute_by(recompute)
    with st.sidebar:
        missing = pickers.dictionary()
        pickers.choices()
        pickers.feature()
        selection.draw()
        device.pick()
        work = st.container(key="other_work")  # ui/shell/style.py keeps it in sight
    file = _file_of(page)
    try:
        with suppress(StopException), reports.watched(file.path.stem):  # a page may stop early, as while it waits
            page.run()
            report.offer(file.path.stem, file.title, file.question, compute.jobs())
    finally:
        docked.draw(file.path.stem)
        with work:
            running.draw(compute.jobs())
    with missing:  # late, because it opens the model, which not every page needs
        dictionary_finder.offer_missing()
