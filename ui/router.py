"""The router: navigation, the pickers that all pages share, and one page run."""

import ast
import runpy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st

from ui import pickers

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class PageFile:
    """What a page says of itself: its docstring is 'Title: question.', and it sets ICON and ORDER."""

    path: Path
    title: str
    question: str
    icon: str
    order: int


@cache
def page_files() -> tuple[PageFile, ...]:
    """Read the heads of the files in pages/, without running them, in the order they ask for."""
    found = []
    for path in sorted((ROOT / "pages").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        title, _, question = (ast.get_docstring(tree) or path.stem).partition(":")
        constants = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in ("ICON", "ORDER")
        }
        found.append(PageFile(path, title, question.strip(), constants["ICON"], constants["ORDER"]))
    return tuple(sorted(found, key=lambda page: page.order))


def main() -> None:
    """Draw one run of the app."""
    st.set_page_config(page_title="SAE Loupe", page_icon=str(ROOT / "ui" / "favicon.png"), layout="wide")
    pages = [
        st.Page(str(page.path), title=page.title, icon=page.icon, url_path=page.path.stem) for page in page_files()
    ]
    # Streamlit gives the default page no path of its own. With one more page at the root that runs the
    # first file, every page has a link that stays good whatever comes first.
    first = page_files()[0]
    root = st.Page(
        lambda: runpy.run_path(str(first.path)), title=first.title, url_path="root", default=True, visibility="hidden"
    )
    page = st.navigation({"SAE Loupe": [root, *pages]})
    with st.sidebar:
        pickers.dictionary()
        pickers.feature()
    page.run()
