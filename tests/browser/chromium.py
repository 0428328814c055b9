"""Headless Chromium for the tests: the system's own, never a downloaded one."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
_CALM, _CALM_MS = "calmSince", 400
_IS_CALM = f"""() => {{
  const app = document.querySelector(".stApp");
  const busy = app.dataset.testScriptState !== "notRunning" || document.querySelector("[data-stale=true]");
  if (busy) window.{_CALM} = undefined;
  else window.{_CALM} ??= performance.now();
  return !busy && performance.now() - window.{_CALM} > {_CALM_MS};
}}"""
FIGURE = "[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg"


def chromium_path() -> str | None:
    """Return the system's Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def open_browser() -> Iterator:
    """Start headless Chromium."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def serve(script: str) -> Iterator[str]:
    """Run a Streamlit script, given by its path below the project, on a free port; give its URL once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.headless", "true"]
    command += ["--server.port", str(port)]
    server = subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while server.poll() is None:
            try:
                if urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1).read() == b"ok":
                    yield f"http://127.0.0.1:{port}"
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"{script} ended before it answered")
    finally:
        server.terminate()
        server.wait(20)


def wait_until_settled(page) -> None:
    """Wait until the page is drawn and no run of its script began or ended for a while; fail on a shown exception."""
    page.evaluate(f"window.{_CALM} = undefined")
    wait_until_drawn(page)
    page.wait_for_function(_IS_CALM, timeout=TIMEOUT_MS)
    wait_until_drawn(page)


def type_feature(page, feature: int) -> None:
    """Type a feature into the sidebar, and again where that is lost because the field is just being drawn anew."""
    from playwright.sync_api import TimeoutError as BrowserTimeoutError

    for _ in range(3):
        field = page.get_by_label("Feature", exact=True).first
        field.fill(str(feature))
        field.press("Enter")
        with suppress(BrowserTimeoutError):
            page.wait_for_url(re.compile(rf"[?&]feature={feature}(&|$)"), timeout=20_000)
            return
    raise AssertionError(f"feature {feature} was typed three times and is not in {page.url}")


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
