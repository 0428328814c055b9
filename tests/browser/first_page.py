"""Wait until the app at a URL answers and its first pages are drawn without an exception, the second with a chart.

`python -m tests.browser.first_page http://127.0.0.1:8501`; the last step of .ci/run.
"""

import sys
import time
import urllib.error
import urllib.request

from tests.browser.chromium import FIGURE, TIMEOUT_MS, open_browser, wait_until_drawn

PATIENCE_S = 900  # the fresh environment is still being installed while we wait


def wait_for_server(url: str) -> None:
    """Poll the health endpoint until the server is up."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).read() == b"ok":
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"No app answered at {url} within {PATIENCE_S} s.")


def main(url: str) -> None:
    wait_for_server(url)
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for address in (url, f"{url.rstrip('/')}/positions"):
            page.goto(address)
            wait_until_drawn(page)
            print(f"{address}: {page.locator('h1').inner_text()!r} is drawn.")
        page.wait_for_selector(FIGURE, timeout=TIMEOUT_MS)


if __name__ == "__main__":
    main(sys.argv[1])
