"""The feature map in a browser:   python -m benchmarks.feature_map [--quick] [--runs N]

The page shows only a map (tests/feature_map/feature_map_app.py) with cached coordinates, in headless Chromium without a
GPU. Ready: seconds from the click on a button to the first complete frame or to the end of the last long task (over 50
ms) of the browser's main thread, whichever is later; this includes Python's run. Zoom: 24 wheel steps, 16 ms apart, to
the last frame with all points. Lasso: seconds from the release of the mouse to the new table. The peer shows the same
points with st.altair_chart, which has no lasso and was not zoomed: its wheel steps take over a second each.
"""

import argparse
import time
from statistics import median

from benchmarks.common import Record, report
from tests.browser.chromium import FIGURE, open_browser, serve

SIZES = (24_576, 131_072)
LIMITS_S = {"ready": {24_576: 1.0, 131_072: 2.0}, "24 wheel steps": 2.0, "lasso to table": 0.5}
WATCH = """() => {
  window.tasks = [0];
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.tasks.push(task.startTime + task.duration);
  }).observe({ type: "longtask" });
  document.addEventListener("click", () => { window.clicked = performance.now(); }, { capture: true });
}"""
# Waits for the element, stores the time of its appearance, and waits until the main thread has rested.
READY = """(there) => new Promise((resolve) => {
  const query = (root) => root.querySelector(there) ?? [...root.querySelectorAll("*")].map(
    (e) => e.shadowRoot && query(e.shadowRoot)).find(Boolean);
  const look = () => {
    if (!query(document)) return requestAnimationFrame(look);
    const drawn = performance.now();
    setTimeout(() => resolve((Math.max(drawn, ...window.tasks) - window.clicked) / 1000), 1500);
  };
  look();
})"""
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


def ready(page, url: str, query: str, there: str) -> float:
    """Load the page, click the button, and return the seconds until the figure is drawn and the browser rests."""
    page.goto(f"{url}/?{query}")
    button = page.get_by_role("button", name="Show")
    button.wait_for()
    page.wait_for_timeout(1500)
    page.evaluate(WATCH)
    button.click(no_wait_after=True)
    return page.evaluate(READY, there)


def zoom(page, middle: tuple[float, float]) -> float:
    page.mouse.move(*middle)
    page.wait_for_timeout(300)
    began = time.perf_counter()
    for step in range(24):
        page.mouse.wheel(0, -60 if step < 12 else 60)
        page.wait_for_timeout(16)
    page.evaluate(FRAMES)
    page.locator(".stage[data-whole=true]").wait_for()  # during a move, the map draws fewer points in a slow browser
    return time.perf_counter() - began


def lasso(page, middle: tuple[float, float]) -> float:
    x, y = middle
    page.get_by_role("button", name="Lasso", exact=True).click()
    before = page.locator("[data-testid=stText]").first.inner_text()
    page.mouse.move(x - 150, y - 120)
    page.mouse.down()
    for dx, dy in ((150, -120), (30, 0), (150, 150), (-150, 150)):
        page.mouse.move(x + dx, y + dy, steps=10)
    began = time.perf_counter()
    page.mouse.up()
    page.wait_for_function("before => document.querySelector('[data-testid=stText]').innerText !== before", arg=before)
    return time.perf_counter() - began


def one_run(browser, url: str, n: int, *, peer: bool) -> dict[str, float]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(120_000)
    times = {"ready": ready(page, url, f"n={n}", ".stage[data-frames]")}
    box = page.locator(".stage").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    times["24 wheel steps"], times["lasso to table"] = zoom(page, middle), lasso(page, middle)
    if peer:
        times["peer"] = ready(page, url, f"n={n}&altair=1", FIGURE)
    context.close()
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two runs, the smaller size, no peer")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    records = []
    with serve("tests/feature_map/feature_map_app.py") as url, open_browser() as browser:
        for n in SIZES[:1] if arguments.quick else SIZES:
            one_run(browser, url, n, peer=False)  # imports, and the points into the cache
            runs = [
                one_run(browser, url, n, peer=not arguments.quick)
                for _ in range(2 if arguments.quick else arguments.runs)
            ]
            for name, limit in LIMITS_S.items():
                values = sorted(run[name] for run in runs)
                limit = limit[n] if isinstance(limit, dict) else limit
                spread = f"{values[0]:.2f} to {values[-1]:.2f} s, wanted under {limit} s"
                record = Record(f"feature map, {name}", f"{n} points, median of {len(runs)}, {spread}", median(values))
                if name == "ready" and "peer" in runs[0]:
                    record.peer, record.peer_s = "st.altair_chart", median(run["peer"] for run in runs)
                records.append(record)
    report(records)


if __name__ == "__main__":
    main()
