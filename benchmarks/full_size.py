"""The app at real size, page by page:   python -m benchmarks.full_size [PAGE ...] [--folder FOLDER] [--again]

Opens each page in Chromium, on a fresh server with an empty result cache, of a dictionary of 24,576 features on a model
of GPT-2's shape (random weights, written once: see benchmarks.full_size_data). Seconds from the opening of the page to
its first numbers (a metric or a figure with marks), to its first figure, and to the end of all its work; then another
feature, another tab with a table, and a brush or a lasso, where the page has them. The first numbers stand beside the
page's own analysis, timed before them in a process of its own, on the same weights: by the clock, and in seconds of
processor time of the server, which say more on a machine that others use too. Also the largest memory of the server,
and the marks and bytes of the largest chart that was sent.

Results are kept in the folder, line by line, so that a run that was stopped goes on. There is no peer.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import full_size_analyses
from benchmarks.common import seconds
from benchmarks.full_size_data import DICTIONARIES, MODEL, Size, write
from benchmarks.page import wait_for_server
from core.installation import PROJECT
from tests.browser.chromium import FIGURE, open_browser
from tests.doubles.marks import marks_and_bytes

PATIENCE_S = 240
DRAWN = f"{FIGURE}, .stage[data-ticks]"
"""A chart by Vega, or one of many points by WebGL."""
NUMBERS = f"[data-testid=stMain] :is([data-testid=stMetricValue], {DRAWN}, [data-testid=stDataFrame], .loupe-map)"
SETTLED = """() => !document.querySelector(
    '[data-testid=stStatusWidget], [data-testid=stProgress], [data-testid=stSpinner], [data-stale=true]')
    && !document.body.innerText.includes('Computing:')"""


@dataclass(frozen=True)
class Page:
    """One page as it is opened."""

    query: str = ""
    analysis: str | None = None
    """The name of the page's own analysis in benchmarks.full_size_analyses."""
    numbers: str = NUMBERS
    """A selector for the first numbers."""
    table: str | None = None
    """The tab with a table."""
    drag: str | None = None
    """The chart on which a drag chooses features, as a selector."""


PAGES = {
    "home": Page(numbers="text=/features follow position\\./"),
    "overview": Page(analysis="token_pass", table="Table of features"),
    "logit_weights": Page(analysis="logit_weights", drag=".stage[data-ticks]"),
    "enrichment": Page("logit_weights?tab=Enrichment", "enrichment", numbers=DRAWN),
    "positions": Page(analysis="positions", table="All scores"),
    "geometry": Page(analysis="geometry", table="Nearest features"),
    "feature_map": Page(drag="[data-testid=stBidiComponentRegular]"),
    "matching": Page(f"matching?b={DICTIONARIES[1]}", "matching", table="Lists"),
    "splitting": Page(),
    "feature": Page("feature?feature=7", table="Logits"),
    "activations": Page(table="Features"),
    "text": Page(),
}


def serve(folder: Path, cache: str) -> tuple[subprocess.Popen, str]:
    """Start the app on the folder's dictionaries, and wait until it has imported what it imports before a visit."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port"]
    command += [str(port), "--", "--cache", cache, "--notes", cache, "--model", str(folder / MODEL), "--root", folder]
    command += [part for name in DICTIONARIES for part in ("--sae", str(folder / name))]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    wait_for_server(url, process)
    used = -1.0
    while cpu_s(process.pid) - used > 0.05:  # what it imports before a visit
        used = cpu_s(process.pid)
        time.sleep(2)
    return process, url


class Sent:
    """The largest chart among the messages of one browser page."""

    def __init__(self, page):
        self.marks, self.nbytes, self.title = 0, 0, ""
        page.on("websocket", lambda socket: socket.on("framereceived", self._take))

    def _take(self, payload: object) -> None:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        if not isinstance(payload, bytes):
            return
        message = ForwardMsg()
        message.ParseFromString(payload)
        element = message.delta.new_element
        if element.WhichOneof("type") == "vega_lite_chart":
            marks, nbytes = marks_and_bytes(element.vega_lite_chart)
            self.nbytes = max(self.nbytes, nbytes)
            if marks > self.marks:
                self.marks, self.title = marks, element.vega_lite_chart.alt


def measure(browser, name: str, folder: Path) -> dict[str, object]:
    """Open one page on a fresh server, and use it."""
    page_of, found, cache = PAGES[name], {}, tempfile.mkdtemp()
    if page_of.analysis:
        found["analysis_s"], found["analysis_cpu_s"] = analysis_seconds(page_of.analysis, folder)
    process, url = serve(folder, cache)
    context = browser.new_context(viewport={"width": 1400, "height": 1400})
    page = context.new_page()
    sent = Sent(page)
    try:
        began, used = time.perf_counter(), cpu_s(process.pid)
        page.goto(address(url, page_of.query or name, folder), wait_until="commit")
        found["numbers_s"] = since(began, lambda: page.wait_for_selector(page_of.numbers, timeout=PATIENCE_S * 1000))
        found["numbers_cpu_s"] = cpu_s(process.pid) - used
        found["figure_s"] = since(began, lambda: page.wait_for_selector(DRAWN, timeout=PATIENCE_S * 1000))
        found["settled_s"] = since(began, lambda: settle(page))
        found["said"] = page.locator("[data-testid=stException], [data-testid=stAlert]").all_inner_texts()
        for what, act in (("feature_s", pick), ("table_s", open_table), ("drag_s", drag)):
            found[what] = attempt(page, lambda act=act: act(page, page_of))
    finally:
        found |= {"peak_gb": peak_gb(process.pid), "marks": sent.marks, "chart_mb": sent.nbytes / 1e6}
        found["largest"] = sent.title
        context.close()
        process.terminate()
        process.wait()
        shutil.rmtree(cache, ignore_errors=True)
    return found


def address(url: str, query: str, folder: Path) -> str:
    place, _, rest = query.partition("?")
    for name in DICTIONARIES[1:]:
        rest = rest.replace(f"b={name}", f"b=folder/{folder / name}")
    return f"{url}/{place}?sae=folder/{folder / DICTIONARIES[0]}" + (f"&{rest}" if rest else "")


def since(began: float, wait: Callable[[], object]) -> float | None:
    """Return seconds from a moment to the end of a wait; None if that never comes."""
    from playwright.sync_api import TimeoutError as NeverCameError

    try:
        wait()
    except NeverCameError:
        return None
    return time.perf_counter() - began


def settle(page) -> None:
    """Wait until nothing has run for a second."""
    end = time.perf_counter() + PATIENCE_S
    quiet = 0
    while quiet < 5 and time.perf_counter() < end:
        quiet = quiet + 1 if page.evaluate(SETTLED) else 0
        page.wait_for_timeout(200)


def attempt(page, act: Callable[[], bool]) -> float | None:
    """Return the seconds from an act to its settled page, less the quiet second; None if the page has no such act."""
    began = time.perf_counter()
    return time.perf_counter() - began - 1 if act() else None


def pick(page, page_of: Page) -> bool:
    """Type another feature's number."""
    field = page.get_by_label("Feature", exact=True)
    if not field.count():
        return False
    field.first.fill("1234")
    field.first.press("Enter")
    page.wait_for_timeout(150)
    settle(page)
    return True


def open_table(page, page_of: Page) -> bool:
    """Open the tab with the table."""
    if page_of.table is None:
        return False
    page.get_by_role("tab", name=re.compile(f"^{page_of.table}$")).click()
    page.wait_for_timeout(150)
    settle(page)
    return True


def drag(page, page_of: Page) -> bool:
    """Drag over the middle of a chart, with Shift, which a lasso needs and a brush does not mind."""
    if page_of.drag is None:
        return False
    box = page.locator(page_of.drag).first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    for step in ((60, 0), (60, 60), (0, 60), (0, 5)):
        page.mouse.move(x + step[0], y + step[1], steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.wait_for_timeout(150)
    settle(page)
    return True


def analysis_seconds(name: str, folder: Path) -> list[float]:
    """Time an analysis in a process of its own that has read the weights; return seconds and processor seconds."""
    command = [sys.executable, "-m", "benchmarks.full_size", "--analysis", name, "--folder", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def cpu_s(pid: int) -> float:
    """Return the processor time of a process so far; NaN outside Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_gb(pid: int) -> float | None:
    """Return the largest resident memory of a process so far; None outside Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e9


COLUMNS = ("analysis_s", "analysis_cpu_s", "numbers_s", "numbers_cpu_s", "figure_s", "settled_s", "feature_s")
COLUMNS += ("table_s", "drag_s", "peak_gb", "marks")


def show(results: dict[str, dict]) -> None:
    """Print the table."""
    print(f"{'page':14}", *(f"{name:>14}" for name in (*COLUMNS, "ratio", "cpu ratio")), "largest chart")
    for name, row in results.items():
        cells = ["" if row.get(column) is None else f"{row[column]:.1f}" for column in COLUMNS[:-1]]
        cells += [f"{row['marks']:,}", ratio(row, ""), ratio(row, "cpu_")]
        print(f"{name:14}", *(f"{cell:>14}" for cell in cells), row["largest"])


def ratio(row: dict, of: str) -> str:
    """Return the time to the first numbers over that of the page's own analysis, empty where one is not known."""
    numbers, analysis = row.get(f"numbers_{of}s"), row.get(f"analysis_{of}s")
    return f"{numbers / analysis:.2f}" if numbers and analysis else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pages", nargs="*", help=f"of {', '.join(PAGES)}; all by default")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "loupe-full-size")
    parser.add_argument("--again", action="store_true", help="measure also what a run before has measured")
    parser.add_argument("--features", type=int, default=Size.d_sae, help="of each dictionary, for a busy machine fewer")
    parser.add_argument("--analysis", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    if arguments.analysis:
        work = full_size_analyses.prepared(arguments.analysis, folder)
        used = time.process_time()
        taken = seconds(work)
        print(json.dumps([taken, time.process_time() - used]))
        return
    write(folder, Size(d_sae=arguments.features))
    kept = folder / "results.jsonl"
    results = {}
    for line in kept.read_text().splitlines() if kept.exists() else ():
        results |= json.loads(line)
    with open_browser() as browser:
        for name in arguments.pages or PAGES:
            if name in results and not arguments.again:
                continue
            results[name] = measure(browser, name, folder)
            with kept.open("a") as file:
                file.write(json.dumps({name: results[name]}) + "\n")
    show({name: results[name] for name in arguments.pages or PAGES if name in results})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
