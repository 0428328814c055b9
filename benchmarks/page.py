"""The app as a person waits for it:   python -m benchmarks.page [--quick] [--runs N]

Cold: a fresh server with an empty result cache, and a fresh browser; seconds from the start of the process to the shell
(title and pickers) and to the first drawn figure of the page Positions, and, on another such server, to the questions
and the first finding of the page Home. Again: the same browser loads the page once more. Warm: back to the
page's first tab in an open session. A change of feature on the page Feature: from the key Enter to the figures of the
new feature, and until nothing runs; for features seen for the first time, and once more. A switch of pages: from the
click in the menu until nothing runs, on pages opened before. The floor is the least that Streamlit can do: a page with
a title and one chart of two points, which takes turns with ours. Everything runs on this machine; the browser draws
without a GPU. There is no peer.
"""

import argparse
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from benchmarks.common import Record, report
from core.installation import PROJECT
from tests.browser.chromium import FIGURE, open_browser

FEATURES = (12, 300, 892, 1178, 610, 5)
"""Features that the page Feature is changed to."""
QUIET_MS = 1_000
_WATCH = """() => {
  window.busyUntil = performance.now();
  const look = () => {
    const app = document.querySelector('.stApp');
    const busy = app.dataset.testScriptState !== 'notRunning' || document.querySelector(
      '[data-stale=true], [data-testid=stProgress], [data-testid=stSkeleton], [data-testid=stSpinner]');
    if (busy) [window.busyUntil, window.wasBusy] = [performance.now(), true];
    requestAnimationFrame(look);
  };
  look();
}"""
"""Notes at each frame whether anything runs or is still to be drawn."""
_QUIET = f"""() => (window.wasBusy || performance.now() - window.busyUntil > {5 * QUIET_MS})
  && performance.now() - window.busyUntil > {QUIET_MS}"""
_SHOWN = """feature => [...document.querySelectorAll('[data-testid=stMain] strong')].filter(
  title => [`Feature ${feature}: activations`, `Feature ${feature}: by position`].includes(title.innerText)).length > 1
  && !document.querySelector('[data-testid=stMain] [data-stale=true]')"""

LEAST_APP = """import altair as alt
import pandas as pd
import streamlit as st

st.title("Least")
st.altair_chart(alt.Chart(pd.DataFrame({"x": [1, 2], "y": [1, 2]})).mark_point().encode(x="x", y="y"))
"""


def start_server(folder: Path, cache: str, *options: str) -> tuple[subprocess.Popen, str]:
    """Start the app of a folder on a free port, without waiting; return its process and address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true"]
    command += ["--server.port", str(port), "--", "--cache", cache, *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return process, f"http://127.0.0.1:{port}"


def wait_for_server(url: str, process: subprocess.Popen) -> None:
    while process.poll() is None:
        try:
            if urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).read() == b"ok":
                return
        except OSError:
            time.sleep(0.02)
    raise RuntimeError("the server ended before it answered")


def load(page, url: str, began: float) -> tuple[float, float]:
    """Open the page; return seconds since `began` to the shell and to the first figure."""
    page.goto(url, wait_until="commit")
    page.wait_for_selector("h1", timeout=60_000)
    shell = time.perf_counter() - began
    page.wait_for_selector(FIGURE, timeout=60_000)
    return shell, time.perf_counter() - began


def back_to_first_tab(page) -> float:
    """Open another tab and come back; return seconds from the click on the first tab to the drawn figure."""
    page.get_by_role("tab", name="Feature by position").click()
    page.get_by_text(re.compile(r"Feature \d+ by position")).first.wait_for()
    page.wait_for_timeout(1500)  # let the other tab finish
    began = time.perf_counter()
    page.get_by_role("tab", name="Heatmap").click()
    page.get_by_text("Mean activation by position").wait_for()
    page.wait_for_function(
        f"[...document.querySelectorAll('{FIGURE}')].some(figure => figure.offsetParent ||"
        " figure.parentElement.offsetParent)"
    )
    return time.perf_counter() - began


def home(page, url: str, began: float) -> dict[str, float]:
    """Open the root; return seconds since `began` to its questions and to the first finding."""
    page.goto(url, wait_until="commit")
    page.get_by_text("Which features follow token position?").wait_for(timeout=60_000)
    questions = time.perf_counter() - began
    page.get_by_text("features follow position.").wait_for(timeout=60_000)
    return {"questions of Home, cold": questions, "first finding of Home, cold": time.perf_counter() - began}


def home_run(browser) -> dict[str, float]:
    """Measure one cold start on the page Home."""
    cache, began = tempfile.mkdtemp(), time.perf_counter()
    process, url = start_server(PROJECT, cache)
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    try:
        wait_for_server(url, process)
        return home(context.new_page(), url, began)
    finally:
        context.close()
        process.terminate()
        process.wait()
        shutil.rmtree(cache, ignore_errors=True)


def settled(page, act) -> float:
    """Return the seconds from an act until nothing runs."""
    page.evaluate("() => { window.actedAt = window.busyUntil = performance.now(); window.wasBusy = false; }")
    act()
    page.wait_for_function(_QUIET, timeout=120_000)
    return page.evaluate("() => (window.busyUntil - window.actedAt) / 1000")


def change_feature(page, feature: int) -> tuple[float, float]:
    """Type a feature; return the seconds to its figures, and until nothing runs."""
    field, shown = page.get_by_label("Feature", exact=True).first, []
    field.fill(str(feature))

    def act() -> None:
        field.press("Enter")
        page.wait_for_function(_SHOWN, arg=feature, polling="raf", timeout=60_000)
        shown.append(page.evaluate("() => (performance.now() - window.actedAt) / 1000"))

    quiet = settled(page, act)
    return shown[0], max(quiet, shown[0])


def visits_run(browser) -> dict[str, float]:
    """Measure changes of feature and switches of pages in one open session."""
    cache = tempfile.mkdtemp()
    process, url = start_server(PROJECT, cache)
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    try:
        wait_for_server(url, process)
        page = context.new_page()
        page.goto(f"{url}/feature?feature=269")
        page.wait_for_selector("h1", timeout=60_000)
        page.evaluate(_WATCH)
        page.wait_for_function(_QUIET, timeout=240_000)
        times = {}
        for turn in ("first time", "once more"):
            found = [change_feature(page, feature) for feature in FEATURES]
            for what, values in zip(("figures", "nothing runs"), zip(*found, strict=True), strict=True):
                times[f"change of feature, {turn}, {what}"] = median(values)
        links = page.locator("[data-testid=stSidebarNavLink]")
        for _ in range(3):  # the last turn counts: before it, pages may compute
            switches = [settled(page, links.nth(i).click) for i in range(links.count())]
        return times | {"switch of pages, median": median(switches), "switch of pages, slowest": max(switches)}
    finally:
        context.close()
        process.terminate()
        process.wait()
        shutil.rmtree(cache, ignore_errors=True)


def one_run(browser, folder: Path = PROJECT) -> dict[str, float]:
    """Measure one cold start, one more load by the same browser and, for our app, one return to the first tab."""
    cache = tempfile.mkdtemp()
    began = time.perf_counter()
    process, url = start_server(folder, cache)
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    page, url = context.new_page(), f"{url}/positions" if folder == PROJECT else url
    try:
        wait_for_server(url.removesuffix("/positions"), process)
        times = {"server answers": time.perf_counter() - began}
        times["shell, cold"], times["first figure, cold"] = load(page, url, began)
        page.wait_for_timeout(1500)
        times["shell, again"], times["first figure, again"] = load(page, url, time.perf_counter())
        if folder == PROJECT:
            page.wait_for_timeout(1500)
            times["first figure, warm"] = back_to_first_tab(page)
    finally:
        context.close()
        process.terminate()
        process.wait()
        shutil.rmtree(cache, ignore_errors=True)
    return times


def least_app(folder: Path) -> Path:
    """Write the floor's app, with our server settings."""
    shutil.copytree(PROJECT / ".streamlit", folder / ".streamlit")
    (folder / "app.py").write_text(LEAST_APP)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two runs")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    runs, least = [], []
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        floor = least_app(Path(folder))
        one_run(browser)  # after this, the compiled code of numba and Python is on disk
        for _ in range(2 if arguments.quick else arguments.runs):
            least.append(one_run(browser, floor))
            runs.append(one_run(browser) | home_run(browser) | visits_run(browser))
    records = []
    for name in runs[0]:
        values = sorted(run[name] for run in runs)
        size = f"demo, median of {len(runs)}, {values[0]:.2f} to {values[-1]:.2f} s"
        floor_s = median(run[name] for run in least) if name in least[0] else None
        records.append(Record(name=name, size=size, median_s=median(values), floor_s=floor_s))
    report(records)


if __name__ == "__main__":
    main()
