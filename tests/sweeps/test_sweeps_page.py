"""The page Sweeps tells states, failures and what is missing; other pages find what a sweep has made."""

from dataclasses import replace

import numpy as np
import pytest

from core.sweeps.state import progress_of
from core.sweeps.tables import coverage_table, cross_table, stored_matrix
from core.work.artifacts import ArtifactStore
from tests.doubles import pages
from tests.doubles.pages import SCRIPT, app, fine, run, table, text_of
from tests.doubles.planted_sweep import spoil, sweep_in, write_sweep

LABELS = ("code", "prose", "code")


def arguments(root, *more: str) -> list[str]:
    named = {"--root": root, "--cache": root / "cache", "--notes": root / "notes", "--model": root / "planted"}
    said = [word for option, path in named.items() for word in (option, str(path))]
    return [str(root / "saes"), *said, *more]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A sweep of which one dictionary was spoiled after the plan was made, and another has one analysis missing."""
    root = tmp_path_factory.mktemp("made")
    sweep = sweep_in(write_sweep(root), root / "cache")
    spoil(root / "saes" / "c")
    a = [task for task in sweep.plan.tasks if not (task.analysis == "neighbors" and task.ids[0].endswith("/b"))]
    sweep.worker().run(a)
    return root, sweep


@pytest.fixture
def open_page(made, monkeypatch):
    root, _ = made
    with app(monkeypatch, *arguments(root), "--page", "sweeps"):
        yield lambda **query: run(SCRIPT, query)


def test_tasks_are_listed_with_failures_first_in_their_words_and_a_command_to_go_on(made, open_page):
    _, sweep = made
    at = fine(open_page())
    tasks = table(at, "sweep_task")
    assert list(tasks["sweep_state"]) == ["failed"] * 7 + ["waiting"] + ["done"] * 8
    assert all("sae_weights.safetensors" in words for words in tasks["sweep_words"][:7])
    assert "8 done, 7 failed, 1 to do · 3 dictionaries, 16 tasks" in text_of(at)
    assert f"python -m core.sweeps resume {sweep.plan.name}" in at.code[0].value


def test_what_is_missing_is_marked_for_each_dictionary(open_page):
    at = fine(open_page(tab="What is there"))
    there = table(at, "there_neighbors").set_index("sweep_of")
    assert list(there["there_neighbors"]) == ["done", "missing", "missing"]
    assert list(there["there_matching"]) == ["1 of 2", "1 of 2", "missing"]
    assert list(there["there_logit_weights"]) == ["done", "done", "missing"]


def test_texts_are_crossed_with_what_dictionaries_were_trained_on(made, open_page):
    _, sweep = made
    at = fine(open_page(tab="Across texts"))
    crossing = table(at, "fve")
    assert list(crossing["read_text"]) == ["1: text.txt, 40 rows"] * 3
    assert np.isfinite(crossing["fve"][:2]).all()
    assert np.isnan(crossing["fve"][2])
    labelled = [replace(one, labels={"data": data}) for one, data in zip(sweep.plan.dictionaries, LABELS, strict=True)]
    crossed = cross_table(replace(sweep.plan, dictionaries=tuple(labelled)), sweep.place.store)
    assert list(crossed["trained_on"]) == list(LABELS)


def test_pairs_that_are_there_have_their_ratio_both_ways(made, open_page):
    root, sweep = made
    matrix, listed = stored_matrix(sweep.plan, sweep.place.store)
    from core.dictionaries.sources import open_dictionary
    from core.matching.matrix import match_matrix

    workspace = sweep.plan.workspace(root / "cache")
    slow = match_matrix([open_dictionary(one.id, workspace) for one in listed[:2]])
    for name in ("ratio", "mmcs", "random_ratio"):
        mine, theirs = getattr(matrix, name), getattr(slow, name)
        np.testing.assert_array_equal(mine[0, 1], theirs[0, 1])
        np.testing.assert_array_equal(mine[1, 0], theirs[1, 0])
        assert np.isnan(mine[2]).all()
    at = fine(open_page(tab="Across dictionaries"))
    assert "2 pairs are missing or share no space" in text_of(at)


def test_a_plan_without_passes_or_pairs_says_so(tmp_path, monkeypatch):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["neighbors"]'), tmp_path / "cache")
    assert set(coverage_table(sweep.plan, progress_of(sweep.plan, sweep.place.store, sweep.place.documents))) == {
        "sweep_of",
        "there_neighbors",
        "sweep_words",
    }
    with app(monkeypatch, *arguments(tmp_path), "--page", "sweeps"):
        assert "no token pass" in text_of(fine(run(SCRIPT, {"tab": "Across texts"})))
        assert "No pair is there yet" in text_of(fine(run(SCRIPT, {"tab": "Across dictionaries"})))


def test_without_a_plan_the_page_says_how_to_make_one(tmp_path, monkeypatch):
    write_sweep(tmp_path)
    with app(monkeypatch, *arguments(tmp_path), "--page", "sweeps"):
        at = fine(run(SCRIPT, {}))
    assert "There is no plan in the store of this app." in text_of(at)
    assert "python -m core.sweeps plan sweep.toml" in text_of(at)
    assert not (tmp_path / "cache" / "sweeps").exists()


def test_a_public_app_shows_no_plans(made, monkeypatch):
    root, sweep = made
    with app(monkeypatch, *arguments(root), "--page", "sweeps", "--public"):
        at = run(SCRIPT, {})
    assert not at.exception
    assert "this public app shows no plans" in " ".join(error.value.replace("\\", "") for error in at.error)
    assert sweep.plan.name not in text_of(at)


@pytest.mark.parametrize("name", ["geometry", "logit_weights", "positions", "activations"])
def test_pages_find_what_a_sweep_has_made(made, monkeypatch, name):
    root, sweep = made
    id = f"folder/{(root / 'saes' / 'a').resolve()}"
    mine = {key for task in sweep.plan.tasks if task.ids == (id,) for key in task.keys}
    analysis = {"geometry": "neighbors"}.get(name, name)
    asked = {task.keys[0] for task in sweep.plan.tasks if task.ids == (id,) and task.analysis == analysis}
    read, load, saved, save = set(), ArtifactStore.load, set(), ArtifactStore.save

    def watched(self, cls, key):
        read.add(key)
        return load(self, cls, key)

    def written(self, result, key, provenance=None):
        saved.add(key)
        return save(self, result, key, provenance)

    monkeypatch.setattr(ArtifactStore, "load", watched)
    monkeypatch.setattr(ArtifactStore, "save", written)
    query = {"sae": id, "text": "File or folder", "text_name": str(root / "text.txt"), "rows": 40}
    with app(monkeypatch, *arguments(root), "--page", name):
        pages.fine(run(SCRIPT, query))
    assert asked <= read
    assert not mine & saved
