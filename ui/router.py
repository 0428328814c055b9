"""The router: navigation, the pickers that all pages share, and one page run.

Streamlit discovers a top-level `pages/` folder by itself until some session has called
`st.navigation`. The first request to a fresh server may be a deep link; the page file would then run
alone, without pickers. So every page starts with `boot()`, which hands over to this router.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import streamlit as st

from ui import pickers

ROOT = Path(__file__).resolve().parents[1]
_INSIDE = "_inside_router"


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
    # Streamlit gives the default page no path of its own. With an empty one that passes on to the first
    # page, every page has a link that stays good whatever comes first.
    root = st.Page(lambda: None, title="SAE Loupe", url_path="root", default=True, visibility="hidden")
    page = st.navigation({"SAE Loupe": [root, *pages]})
    if page == root:
        st.switch_page(pages[0], query_params=dict(st.query_params))
    with st.sidebar:
        pickers.dictionary()
    st.session_state[_INSIDE] = True
    try:
        page.run()
    finally:
        st.session_state[_INSIDE] = False


def boot() -> None:
    """Go through the router if Streamlit ran this page by itself. First line of every page."""
    if not st.session_state.get(_INSIDE):
        main()
        st.stop()
