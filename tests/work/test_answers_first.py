"""A figure stands before its baselines, nulls and further matchings, says so, and gets each when it is ready."""

import re

import pytest

from core.errors import CorpusError
from core.work.job import Job
from core.work.jobs import Jobs
from tests.doubles import pages, planted_pages
from tests.doubles.pages import fine
from tests.matching.test_matching_page import write_second
from ui.shared.later import NOT_YET

SHUFFLED, OTHER_SIDE = "shuffled coordinates|with shuffled", "encoder"


class Slow:
    """Jobs whose label fits a pattern do not begin; all others have ended when they are first asked for."""

    def __init__(self, monkeypatch, pattern: str):
        self.pattern, self.held = pattern, {}
        submit, finished_within, slow = Jobs.submit, Job.finished_within, self

        def submit_unless_slow(jobs: Jobs, key: str, label: str, fn, **how) -> Job:
            if slow.pattern and re.search(slow.pattern, label):
                return slow.held.setdefault(key, Job(key, label, fn, None, lambda: 0.0))
            return submit(jobs, key, label, fn, **how)

        monkeypatch.setattr(Jobs, "submit", submit_unless_slow)
        monkeypatch.setattr(
            Job, "finished_within", lambda job, _: finished_within(job, 0 if job.key in slow.held else 60)
        )
        # A page looks again and again until its patience ends, which for what is held back is at once.
        monkeypatch.setattr("ui.shared.progress._finished_within", lambda job, seconds: job.finished_within(seconds))

    def release(self, pattern: str = "") -> None:
        """Hold back only what still fits; the rest is done at once."""
        self.pattern = pattern
        for key, job in list(self.held.items()):
            if not pattern or not re.search(pattern, job.label):
                self.held.pop(key).run()


@pytest.fixture
def open_page(tmp_path, monkeypatch):
    """Return a function that opens a page of two planted dictionaries, with jobs of some labels held back."""
    planted_pages.write_workspace(tmp_path)
    write_second(tmp_path)
    planted_pages.count_no_text(monkeypatch)

    def open_it(name: str, query: dict, slow: str):
        with pages.page(tmp_path, monkeypatch, name, "--sae", str(tmp_path / "second")) as run:
            held = Slow(monkeypatch, slow)
            yield held, run(query)

    opened = []

    def start(name: str, slow: str, **query: str):
        opened.append(open_it(name, query, slow))
        return next(opened[-1])

    yield start
    for each in opened:
        each.close()


def text(at) -> str:
    return " ".join(element.value for element in at.caption).replace("\\", "")


def bars(at) -> list[str]:
    keys = [str(button.key) for button in at.button if str(button.key).startswith("cancel-")]
    assert len(keys) == len(set(keys)), "a job has two bars"
    return keys


def test_matching_draws_after_the_first_matching_and_compares_with_chance_later(open_page):
    slow, at = open_page("matching", f"{OTHER_SIDE}|{SHUFFLED}|Nearest")
    found = {card.label: card for card in fine(at).metric}
    assert list(found) == [
        "MMCS, A in B",
        "MMCS, B in A",
        "Matched, A in B",
        "Matched, B in A",
        "Matched, one to one",
        "PW-MCC",
    ]
    assert {card.delta for card in found.values()} == {NOT_YET}
    assert len(at.get("vega_lite_chart")) >= 2, "the curve, and the histogram by decoder"
    assert text(at).count(NOT_YET) >= 3
    assert bars(at)
    slow.release(f"{OTHER_SIDE}|Nearest")
    found = {card.label: card for card in at.run().metric}
    assert all(card.delta.startswith("by chance") for card in found.values())
    assert len(found) == 6
    slow.release()
    assert len(at.run().metric) == 9
    assert NOT_YET not in text(at)
    assert not bars(at)


def test_the_control_that_fails_leaves_its_answer_and_says_why(open_page, monkeypatch):
    def fail(*found, **how):
        raise CorpusError("There is no control. Choose another.")

    monkeypatch.setattr("ui.studies.matching.geometry.neighbors", fail)
    _, at = open_page("matching", "")
    assert {error.value.replace("\\", "") for error in at.error} == {"There is no control. Choose another."}
    assert len(at.metric) == 9
    assert "not yet compared with themselves" in text(at)


@pytest.mark.parametrize(
    ("name", "query", "control", "titles", "missing"),
    [
        ("logit_weights", {}, "random directions", ["Skewness", "log₁₀ kurtosis"], NOT_YET),
        ("logit_weights", {"tab": "Enrichment"}, "random directions", ["in all features"], NOT_YET),
        ("geometry", {"simulate": "true"}, "random directions", ["How near the nearest feature"], "not yet simulated"),
    ],
)
def test_figures_stand_before_random_directions_do(open_page, name, query, control, titles, missing):
    slow, at = open_page(name, control, **query)
    fine(at)
    assert all(any(title in markdown.value for markdown in at.markdown) for title in titles)
    assert missing in text(at)
    assert len(bars(at)) == 1
    charts = len(at.get("vega_lite_chart"))
    slow.release()
    at.run()
    assert missing not in text(at)
    assert not bars(at)
    assert len(at.get("vega_lite_chart")) == charts


def test_activations_are_matched_before_a_rotated_basis_is(open_page, monkeypatch):
    planted_pages.read_little_text(monkeypatch)
    query = {"tab": "By activations", "match_rotated": "true", "match_least": "1", "match_rows": "20"}
    slow, at = open_page("matching", "rotated", **query)
    assert "not yet compared with a rotated basis" in text(fine(at))
    assert [card.label for card in at.metric] == ["Median, A in B", "Median, B in A"]
    assert len(bars(at)) == 1
    slow.release()
    assert "Median, A in a rotated basis of B" in [card.label for card in fine(at.run()).metric]
    assert "not yet" not in text(at)
