"""The app's own server and pages of headless Chromium, for the tests of this folder."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.browser.chromium import TIMEOUT_MS, chromium_path, open_browser
from tests.doubles import planted_pages

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")


@pytest.fixture(scope="session")
def browser():
    if not chromium_path():
        if os.environ.get("LOUPE_REQUIRE_BROWSER"):
            pytest.fail("Chromium is required here (LOUPE_REQUIRE_BROWSER is set) and was not found.")
        pytest.skip("no Chromium on this machine; install it to run the browser tests")
    with open_browser() as found:
        yield found


@contextmanager
def started(folder: Path, arguments: list[str]) -> Iterator[str]:
    """Run the app on a free port with a log in `folder`; give its URL once it answers."""
    run = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port"]
    with answering(lambda port: [*run, str(port), "--", *arguments], folder / "server.log", cwd=ROOT) as url:
        yield url


@contextmanager
def answering(command: Callable[[int], list[str]], log: Path, **how) -> Iterator[str]:
    """Run the command for a free port, and write what it says; give its URL once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(log, "w") as file:
        server = subprocess.Popen(command(port), stdout=file, stderr=subprocess.STDOUT, **how)
        try:
            url = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read() == b"ok":
                        break
                except OSError:
                    time.sleep(0.1)
            else:
                raise AssertionError("the server did not start: " + log.read_text()[-2000:])
            yield url
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a fresh server and returns its URL."""
    with ExitStack() as running:
        yield lambda arguments=(): running.enter_context(started(tmp_path, list(arguments)))


@pytest.fixture
def planted_url(serve, tmp_path):
    planted_pages.write_workspace(tmp_path)
    return serve(planted_pages.arguments(tmp_path))


@pytest.fixture(scope="session")
def shared_url(tmp_path_factory, browser):
    """A server for a planted workspace that many tests visit, so that each result is computed once."""
    folder = tmp_path_factory.mktemp("shared")
    planted_pages.write_workspace(folder)
    with started(folder, planted_pages.arguments(folder)) as url:
        yield url


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.left_machine = []
    page.on("request", lambda request: request.url.startswith(LOCAL) or page.left_machine.append(request.url))
    yield page
    context.close()
