"""Headless Chromium for the tests: the system's own, never a downloaded one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL without a GPU.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 90_000
FIGURE = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"


def chromium_path() -> str | None:
    """Return the system's Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator:
    """Start headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


def wait_until_drawn(page) -> None:
    """Wait until the page has a title and its script has ended; fail on a shown exception."""
    page.wait_for_selector("h1", timeout=TIMEOUT_MS)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget]') && !document.querySelector('[data-testid=stSpinner]')"
        " && !document.querySelector('[data-testid=stProgress]')",
        timeout=TIMEOUT_MS,
    )
    failures = page.locator("[data-testid=stException]")
    assert not failures.count(), failures.first.inner_text()
