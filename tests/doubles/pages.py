"""Pages as a test opens them without a browser, on caches of their own, and as a person reads them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from tests.doubles import planted_pages
from ui.shared.escape import BREAK

SCRIPT = Path(__file__).resolve().parents[2] / "ui" / "shell" / "script.py"
READ = ("title", "caption", "markdown", "error", "warning", "info", "metric")
"""The kinds of element that hold most of what a page says."""


def forget() -> None:
    """Drop what the app keeps in memory, as a new start of it would."""
    st.cache_resource.clear()
    st.cache_data.clear()


@contextmanager
def app(patch, *arguments: str) -> Iterator[None]:
    """Give the app these arguments and new caches; its pages wait for their jobs, so that a test sees them finished.

    Models run here unless the arguments say --apart: each new cache would start a process that imports torch.
    """
    here = () if "--apart" in arguments else ("--no-apart",)
    patch.setattr("sys.argv", ["app.py", *arguments, *here])
    patch.setattr("ui.shared.progress.PATIENCE_S", 120)
    patch.setattr("ui.shared.progress.BACKGROUND_S", 120)
    forget()
    try:
        yield
    finally:
        forget()


@contextmanager
def page(root: Path, patch, name: str, *more: str) -> Iterator[Callable[..., AppTest]]:
    """Give a function that opens a page of the workspace below `root` with a query, each time on new caches.

    `more` goes behind the app's arguments. The dictionary is the planted one unless the query says another.
    """

    def open_page(query: Mapping[str, object] | None = None) -> AppTest:
        forget()
        return run(SCRIPT, {"sae": planted_pages.id_of(root)} | dict(query or {}))

    with app(patch, *planted_pages.arguments(root), *more, "--page", name):
        yield open_page


@contextmanager
def kept_page(root: Path, name: str, usual: Mapping[str, object]) -> Iterator[Callable[..., AppTest]]:
    """Write a planted workspace below `root` and give a function that opens its page with a query beside `usual`.

    Its text is read once, and what one opening computed is there for the next.
    """
    planted_pages.write_workspace(root)
    with pytest.MonkeyPatch.context() as patch:
        planted_pages.read_little_text(patch)
        with app(patch, *planted_pages.arguments(root), "--page", name):
            yield lambda query=None: run(SCRIPT, {"sae": planted_pages.id_of(root)} | dict(usual) | dict(query or {}))


def run(script: Path | str | Callable, query: Mapping[str, object] | None = None, **state: object) -> AppTest:
    """Run a file, a text or a function as an app, once, with what its URL says and what its widgets hold.

    A value of None in the query leaves its name out.
    """
    if isinstance(script, Path):
        at = AppTest.from_file(script, default_timeout=150)
    elif isinstance(script, str):
        at = AppTest.from_string(script, default_timeout=150)
    else:
        at = AppTest.from_function(script, default_timeout=150)
    for name, value in (query or {}).items():
        if value is not None:
            at.query_params[name] = value if isinstance(value, list) else str(value)
    for name, value in state.items():
        at.session_state[name] = value
    return at.run()


def fine(at: AppTest) -> AppTest:
    """The page again, once it has neither crashed nor shown an error."""
    assert not at.exception
    assert not [error.value for error in at.error]
    return at


def text_of(block, *kinds: str) -> str:
    """What a person reads in elements of these kinds, by default `READ`, without the escapes of Markdown."""
    elements = [element for kind in kinds or READ for element in block.get(kind)]
    texts = [str(getattr(e, "value", "")) + str(getattr(e, "label", "")) for e in elements]
    return "\n".join(texts).replace(BREAK, "").replace("\\", "")


def table(at: AppTest, column: str) -> pd.DataFrame:
    """The first table on the page that has a column."""
    return next(frame.value for frame in at.dataframe if column in frame.value.columns)


def table_by_key(at: AppTest, key: str) -> pd.DataFrame:
    return next(frame.value for frame in at.dataframe if frame.key == key)


def reading(at: AppTest, label: str) -> str:
    """What the metric with this label says."""
    return next(metric.value for metric in at.metric if metric.label == label)


def button(at: AppTest, label: str):
    return next(button for button in at.button if button.label == label)
