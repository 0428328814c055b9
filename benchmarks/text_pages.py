"""Pages on text as a person waits for them:   python -m benchmarks.text_pages [--quick] [--runs N]

Badge: a fresh server with an empty result cache, opened at the overview; seconds from starting the process to
the health badge, which needs a token pass, the loss with reconstructions in place and a probe of recipes.
Feature: with the pass over 200,000 tokens stored, another feature picked in an open session; seconds from the
key press to its last figure drawn. All of the demo, on this machine; the browser draws without a GPU.
"""

import argparse
import re
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.common import Record, report
from benchmarks.page import start_server, wait_for_server
from core.activations.statistics import ActivationStatistics
from core.activations.token_pass import activation_pass
from core.catalogue import statistic
from core.corpus.samples import SampleSettings, sample_of_stream
from core.corpus.streams import standard_library_stream
from core.dictionaries.sources import demo
from core.installation import PROJECT
from core.models.search import find_model
from core.work.artifacts import ArtifactStore
from core.workspace import Workspace
from tests.browser.chromium import open_browser

DICTIONARY, N_ROWS = "layer2-standard-2048", 1563
"""The dictionary, and rows of 128 tokens that make 200,000."""
PATIENCE_MS = 120_000
LOSS = statistic("ce_recovered").title
VERDICT = re.compile("(Healthy|Suspicious|Broken|Not judged)$")


def badge(browser) -> dict[str, float]:
    """Measure one cold start of the overview."""
    cache = tempfile.mkdtemp()
    began = time.perf_counter()
    process, url = start_server(PROJECT, cache)
    context = browser.new_context(viewport={"width": 1400, "height": 950})
    page = context.new_page()
    try:
        wait_for_server(url, process)
        answered = time.perf_counter()
        page.goto(f"{url}/overview?sae=demo/{DICTIONARY}", wait_until="commit")
        page.get_by_text(VERDICT).first.wait_for(timeout=PATIENCE_MS)
        end = time.perf_counter()
        page.get_by_test_id("stMetricLabel").get_by_text(LOSS).wait_for(timeout=PATIENCE_MS)
        loss = time.perf_counter()
    finally:
        context.close()
        process.terminate()
        process.wait()
        shutil.rmtree(cache, ignore_errors=True)
    return {
        "health badge, cold": end - began,
        "health badge, after the server answers": end - answered,
        "health badge with loss recovered, cold": loss - began,
    }


def store_pass(folder: Path) -> ActivationStatistics:
    """Run the pass that the feature page then reads."""
    workspace = Workspace()
    dictionary = demo.open(DICTIONARY, workspace)
    model = find_model(dictionary.config.model_name, workspace, centred=dictionary.config.center_writing_weights)
    stream = standard_library_stream(model.tokenizer, separator=model.separator)
    settings = SampleSettings(n_rows=N_ROWS)
    sample = sample_of_stream(stream.tokens, stream.title, dictionary.config, model, settings)
    return activation_pass(dictionary, model, sample.rows, ArtifactStore(folder))


def features(browser, folder: Path, chosen: list[int]) -> list[float]:
    """Open the feature page once, then pick one feature after the other; return seconds for each."""
    process, url = start_server(PROJECT, str(folder))
    context = browser.new_context(viewport={"width": 1400, "height": 1400})
    page = context.new_page()
    try:
        wait_for_server(url, process)
        page.goto(f"{url}/feature?sae=demo/{DICTIONARY}&rows={N_ROWS}&feature={chosen[0]}", wait_until="commit")
        wait_for_feature(page, chosen[0])
        page.wait_for_timeout(3000)
        return [pick(page, feature) for feature in chosen[1:]]
    finally:
        context.close()
        process.terminate()
        process.wait()


def pick(page, feature: int) -> float:
    """Type a feature's number; return seconds to its page."""
    field = page.get_by_label("Feature", exact=True).first
    field.fill(str(feature))
    began = time.perf_counter()
    field.press("Enter")
    wait_for_feature(page, feature)
    taken = time.perf_counter() - began
    page.wait_for_timeout(1500)
    return taken


def wait_for_feature(page, feature: int) -> None:
    """Wait until the page's last figure is that of this feature, and nothing runs any more."""
    page.get_by_text(re.compile(rf"feature {feature}(:)? by position", re.IGNORECASE)).first.wait_for(
        timeout=PATIENCE_MS
    )
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget]') && !document.querySelector('[data-stale=true]')",
        timeout=PATIENCE_MS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one run")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    n_runs = 1 if arguments.quick else arguments.runs
    records = []
    with tempfile.TemporaryDirectory() as folder, open_browser() as browser:
        stats = store_pass(Path(folder))
        count = stats.count.sum(axis=0)
        common = [int(i) for i in np.argsort(-count, kind="stable")[: 3 * n_runs : 3]]
        rare = [int(i) for i in np.argsort(np.abs(count - np.median(count)), kind="stable")[:n_runs]]
        runs = [badge(browser) for _ in range(n_runs)]
        for name in runs[0]:
            records.append(record(name, [run[name] for run in runs], f"demo, {DICTIONARY}"))
        for kind, chosen in (("most active", common), ("median density", rare)):
            times = features(browser, Path(folder), [rare[0] + 1, *chosen])
            records.append(record(f"feature page, stored pass, {kind}", times, f"{stats.n_tokens():,} tokens"))
    report(records)


def record(name: str, times: list[float], size: str) -> Record:
    spread = f"{size}, median of {len(times)}, {min(times):.2f} to {max(times):.2f} s"
    return Record(name=name, size=spread, median_s=median(times))


if __name__ == "__main__":
    main()
