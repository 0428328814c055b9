"""Take the pictures of README.md and docs/ anew from the running app:   python -m benchmarks.pictures [--cache FOLDER]

Chromium opens each page on the demo, with an empty result cache or a given one, until nothing runs any more; once to
compute and once more to be seen as a person finds it.
"""

import argparse
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import start_server, wait_for_server
from core.installation import PROJECT
from tests.browser.chromium import open_browser, wait_until_settled

WIDTH, HEIGHT = 1400, 1000
PATIENCE = 6
"""How many times the tests' own patience a page may take."""


@dataclass(frozen=True)
class Picture:
    """One page as it is seen."""

    path: str
    """Of the picture, in the project."""
    query: str
    """Of the page, with its settings."""
    first: tuple[str, ...] = ()
    """Pages that compute what the picture shows, such as names of features."""


LAYER_0, LAYER_2 = "sae=demo/layer0-standard-2048", "sae=demo/layer2-standard-2048"
PICTURES = (
    Picture("docs/positions.png", "positions", (f"feature?{LAYER_0}", f"logit_weights?{LAYER_0}")),
    Picture("docs/feature.png", f"feature?{LAYER_0}&feature=269"),
    Picture(
        "docs/feature_map.png",
        f"feature_map?{LAYER_2}&feature=892",
        (f"feature?{LAYER_2}", f"logit_weights?{LAYER_2}", f"feature_map?{LAYER_2}"),
    ),
)


def take(browser, url: str, picture: Picture, target: Path) -> None:
    """Open the pages, the one that is seen twice, each in a browser of its own, and save what the last shows."""
    for query in (*picture.first, picture.query, picture.query):
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page = context.new_page()
        page.goto(f"{url}/{query}")
        page.wait_for_selector("h1", timeout=60_000)
        if (compute := page.get_by_role("button", name=re.compile("^(Compute the|Run the token pass)"))).count():
            compute.first.click()
        settle(page)
        page.screenshot(path=target)
        context.close()


def settle(page) -> None:
    """Wait until nothing runs, however busy the machine is."""
    from playwright.sync_api import TimeoutError as BrowserTimeoutError

    for _ in range(PATIENCE):
        with suppress(BrowserTimeoutError):
            wait_until_settled(page)
            return
    raise RuntimeError(f"{page.url} still computes after {PATIENCE} long waits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cache", help="a result cache to begin with; it stays")
    given = parser.parse_args().cache
    cache = given or tempfile.mkdtemp()
    process, url = start_server(PROJECT, cache)
    try:
        wait_for_server(url, process)
        with open_browser() as browser:
            for picture in PICTURES:
                take(browser, url, picture, PROJECT / picture.path)
                print(picture.path)
    finally:
        process.terminate()
        process.wait()
        if not given:
            shutil.rmtree(cache, ignore_errors=True)


if __name__ == "__main__":
    main()
