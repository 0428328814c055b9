"""Pages of series read what is stored, name the sweep that makes the rest, and compute it when asked."""

from types import SimpleNamespace

import pytest

from tests.doubles.pages import SCRIPT, app, button, fine, run, table, text_of
from tests.doubles.planted_sweep import contents, sweep_in, write_sweep
from tests.sweeps.test_sweeps_page import arguments

RESUME = "python -m core.sweeps resume"


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A sweep of pairs of which only that of a and b is there, in an app that does nothing unasked."""
    sweep = sweep_in(write_sweep(tmp_path, analyses='["matching"]'), tmp_path / "cache")
    ids = [one.id for one in sweep.plan.dictionaries]
    sweep.worker().run([task for task in sweep.plan.tasks if task.ids == tuple(ids[:2])])
    monkeypatch.setattr("ui.studies.series_results.ASK", 0)
    listed = {name: SimpleNamespace(id=id) for name, id in zip("012", ids, strict=True)}
    monkeypatch.setattr("ui.studies.feature_map.series", lambda *given: listed)
    return SimpleNamespace(root=tmp_path, ids=ids, sweep=sweep)


def opened(half, monkeypatch, page: str, **query):
    with app(monkeypatch, *arguments(half.root), "--page", page):
        return fine(run(SCRIPT, {"sae": half.ids[0]} | query))


def is_marked(at, half, words: str) -> bool:
    said = f'The sweep "sweep" makes {words}: 0 done, {words.partition(" ")[0]} to do.'
    return said in text_of(at, "info") and any(f"{RESUME} {half.sweep.plan.name}" in code.value for code in at.code)


def test_a_matrix_shows_the_pairs_that_are_there_and_computes_the_others_when_asked(half, monkeypatch):
    before = contents(half.root / "cache")
    query = {"tab": "Many dictionaries", "split_many": half.ids}
    with app(monkeypatch, *arguments(half.root), "--page", "splitting"):
        at = fine(run(SCRIPT, {"sae": half.ids[0]} | query))
        assert "2 of 3 pairs are not computed yet and left out" in text_of(at, "info")
        assert is_marked(at, half, "2 of them")
        assert table(at, "mmcs")["factor_change"].tolist() == ["12 → 16", "16 → 12"]
        assert contents(half.root / "cache") == before
        at = fine(button(at, "Compute what is missing").click().run())
    assert len(table(at, "mmcs")) == 6
    assert "not computed yet" not in text_of(at, "info")


def test_widths_without_their_pairs_are_left_out(half, monkeypatch):
    at = opened(half, monkeypatch, "splitting", tab="Counts", split_wider=half.ids[1:], feature="0")
    assert "1 of 2 widths are not computed yet and left out: 20 features" in text_of(at, "info")
    assert is_marked(at, half, "2 of them")
    assert table(at, "mean_children")["d_sae"].tolist() == [16]


def test_features_are_counted_in_the_dictionaries_that_are_there(half, monkeypatch):
    at = opened(half, monkeypatch, "stability", st_others=half.ids[1:])
    assert is_marked(at, half, "1 of them")
    assert "in 1 other dictionary" in text_of(at, "caption")


def test_lives_are_followed_over_the_layers_without_a_gap(half, monkeypatch):
    at = opened(half, monkeypatch, "stability", tab="Life over layers", st_others=half.ids[1:2])
    assert "1 of 2 steps from layer to layer are not computed yet and left out: 1 → 2" in text_of(at, "info")
    assert is_marked(at, half, "1 of them")
    assert "2 layers" in text_of(at, "caption")


def test_layers_without_a_token_pass_name_the_sweep_that_makes_it(tmp_path, monkeypatch):
    sweep = sweep_in(write_sweep(tmp_path, analyses='["activations"]', more="together_gb = 0"), tmp_path / "cache")
    ids = [one.id for one in sweep.plan.dictionaries]
    sweep.worker().run(sweep.plan.tasks[:1])
    listed = {name: SimpleNamespace(id=id) for name, id in zip("012", ids, strict=True)}
    monkeypatch.setattr("ui.studies.feature_map.series", lambda *given: listed)
    text = {"text": "File or folder", "text_name": str(tmp_path / "text.txt"), "rows": 40}
    half = SimpleNamespace(root=tmp_path, ids=ids, sweep=sweep)
    at = opened(half, monkeypatch, "activations", tab="By layer", **text)
    assert "These layers have no token pass yet: 1, 2." in text_of(at, "info")
    assert is_marked(at, half, "2 of them")
