"""Work that the app does between the start of the server and the first visit, so that the first page is fast."""

import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("script.py")
"""What Streamlit runs for every session and every interaction."""


@asynccontextmanager
async def warm_up(_app) -> AsyncIterator[None]:
    """Import what the first page needs on a thread of its own. The server answers meanwhile."""
    settle_for_visitors()
    threading.Thread(target=import_first_page, name="loupe-warm-up", daemon=True).start()
    yield


def settle_for_visitors() -> None:
    """Set the limits of a public app's server before anybody comes. Of a person's own nothing is imported for it."""
    from core.workspace import parse_arguments

    if parse_arguments(sys.argv[1:], os.environ).policy.public:
        from ui.shell import visitors

        visitors.settle()


def import_first_page() -> None:
    """Import the page's modules, draw one chart, fetch compiled loops from numba's cache (or compile them)."""
    import pandas as pd

    import ui.home.answers
    import ui.home.dictionary_card
    import ui.shell.router
    from core.activations import token_pass
    from core.positions import additive
    from ui.studies import compute

    here = not compute.workspace().apart  # else another process runs the loops
    if here and ui.shell.router.opened <= {"", "root", "positions"}:  # only if the page to expect still needs them
        additive.prepare()
    import ui.overview.health
    import ui.positions.beyond
    import ui.positions.directions
    import ui.positions.one_feature
    import ui.shared.charts

    # The first chart of a process makes Altair read its schema.
    ui.shared.charts.histogram(pd.DataFrame({"value": [0.0, 1.0]}), "value", "Value").to_dict()
    # The loops of a token pass come late, because only the health of the dictionary needs them.
    if here:
        token_pass.prepare()
    read_models()


def read_models() -> None:
    """Find out what the given models are made of, which imports their library once: seconds that no page then waits."""
    from core.errors import LoupeError
    from core.models.layouts import read_parts
    from ui.studies import compute

    for folder in compute.workspace().models:
        with suppress(LoupeError):
            read_parts(folder, compute.store())
