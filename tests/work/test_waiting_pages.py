"""Every tab of every page waits for its jobs without a red box, however many of its views wait for the same one."""

import shutil

import pytest

from core.work.job import Job
from tests.doubles import pages, planted_pages
from tests.splitting.test_splitting_page import write_wider
from ui.shell.router import page_files

MOST_RUNS = 30


class Held:
    """Jobs that look unfinished for the rest of the run in which they are first asked for, and are done in the next."""

    def __init__(self, monkeypatch):
        self.waited_for: dict[str, Job] = {}
        self.released: set[str] = set()
        held = self

        def finished_within(job: Job, seconds: float) -> bool:
            if job.key not in held.released:
                held.waited_for[job.key] = job
                return False
            return job._finished.wait(60)

        monkeypatch.setattr(Job, "finished_within", finished_within)
        for patience in ("PATIENCE_S", "BACKGROUND_S"):  # else a page looks at an unfinished job for as long as that
            monkeypatch.setattr(f"ui.shared.progress.{patience}", 0.02)

    def release(self) -> bool:
        """End what was waited for; whether there was anything."""
        waited_for, self.waited_for = self.waited_for, {}
        for job in waited_for.values():
            assert job._finished.wait(60)
        self.released |= waited_for.keys()
        return bool(waited_for)


@pytest.mark.parametrize("name", [page.path.stem for page in page_files()])
def test_every_tab_waits_for_its_jobs_one_bar_each(tmp_path, monkeypatch, name):
    planted_pages.write_workspace(tmp_path)
    planted_pages.read_little_text(monkeypatch)
    write_wider(tmp_path)
    waited = 0
    with pages.page(tmp_path, monkeypatch, name, "--sae", str(tmp_path / "wide")) as open_page:
        held = Held(monkeypatch)
        ids = [planted_pages.id_of(tmp_path, folder) for folder in ("dictionary", "wide")]
        query = {"sae": ids[0], "b": ids[1], "split_wider": [ids[1]], "split_many": ids, "feature": "4"}
        tabs = [None]
        while tabs:
            tab = tabs.pop()
            held.released.clear()
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            at = open_page(query | ({"tab": tab} if tab else {}))
            for _ in range(MOST_RUNS):
                assert not at.exception, (tab, at.exception[0].stack_trace)
                bars = [button.key for button in at.button if str(button.key).startswith("cancel-")]
                assert len(bars) == len(set(bars))
                if not held.release():
                    break
                waited += 1
                at.run()
            if tab is None:
                tabs = [found.label for found in at.tabs[1:]]
    assert waited or name in (
        "dashboards",
        "neuronpedia",
        "sweeps",
        "training",
        "worlds",
    )  # these start nothing by themselves
